"""Tool calls of a streamed answer: one at a time, whatever order their pieces come in."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ymera.core.answer import ToolCallDelta
from ymera.core.chat import ToolCall
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.wire.codec import AnswerHead
from ymera.wire.openai_responses.reply import COMPLETED, IN_PROGRESS, call_item
from ymera.wire.openai_responses.stream_events import Events
from ymera.wire.openai_responses.tools import Kind, Offered, offered_tools, shell_action

__all__ = ["CallItems"]

_encode = msgspec.json.encode


class _Call:
    """What is known of one call so far."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.id: str | None = None
        self.name: str | None = None
        self.pieces: list[str] = []
        self.place = -1
        self.item_id = ""
        self.closed = False
        self.no_shell = False

    def take(self, event: ToolCallDelta) -> None:
        self.id = self.id or event.id
        self.name = self.name or event.name
        if event.arguments:
            self.pieces.append(event.arguments)

    def whole(self) -> ToolCall:
        return ToolCall(
            id=self.id or f"call_{self.index}",
            name=self.name or "",
            arguments="".join(self.pieces),
        )

    def is_complete(self) -> bool:
        """Whether its arguments are JSON, so that no further piece can belong to them."""
        try:
            msgspec.json.decode("".join(self.pieces))
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return False
        return True


class CallItems:
    """Writes calls as items, each opened when the one before is complete.

    Pieces of a further call wait while the open one may still go on: upstreams may mix them, this
    dialect's readers expect one after the other.

    Args:
        head: of the answer.
        events: of the answer.
    """

    def __init__(self, head: AnswerHead, events: Events) -> None:
        self._head = head
        self._events = events
        self._calls: dict[int, _Call] = {}
        self._open: _Call | None = None
        self._offered: Mapping[str, Offered] | None = None

    def check(self, event: ToolCallDelta) -> None:
        """Look at the next piece before it is added.

        Raises:
            ProviderError: it belongs to a call that was complete.
        """
        call = self._calls.get(event.index)
        if call is not None and call.closed and event.arguments.strip():
            raise ProviderError(
                "The upstream went on with a tool call that was complete.",
                kind=ProviderErrorKind.BAD_ANSWER,
            )

    def add(self, event: ToolCallDelta) -> bytes:
        """Take in the next piece; return what is sent for it."""
        call = self._calls.get(event.index)
        if call is None:
            call = self._calls[event.index] = _Call(event.index)
        if call.closed:
            return b""
        call.take(event)
        if call is self._open:
            return self._delta(call, event.arguments) if event.arguments else b""
        before = b""
        if self._open is not None:
            if not self._open.is_complete():
                return b""
            before = self._close(self._open, COMPLETED)
        return before + self._begin_next()

    def pause(self) -> bytes:
        """Close the open call if it is complete: something else is said now."""
        if self._open is None or not self._open.is_complete():
            return b""
        return self._close(self._open, COMPLETED)

    def close(self, status: str) -> bytes:
        """Write what is left; the last call has the status of the answer."""
        sent = b"" if self._open is None else self._close_in_turn(self._open, status)
        for call in self._calls.values():
            if not call.closed:
                sent += self._begin(call) + self._close_in_turn(call, status)
        return sent

    def _close_in_turn(self, call: _Call, status: str) -> bytes:
        last = all(other.closed for other in self._calls.values() if other is not call)
        return self._close(call, status if last else COMPLETED)

    def _begin_next(self) -> bytes:
        for call in self._calls.values():
            if not call.closed:
                return self._begin(call) if call.name else b""
        return b""

    def _begin(self, call: _Call) -> bytes:
        self._open = call
        if self._kind(call) is Kind.SHELL:
            return b""  # it has no shape before its arguments are whole
        call.place = self._events.next_index()
        whole = call.whole()
        item = self._item(msgspec.structs.replace(whole, arguments=""), call.place, IN_PROGRESS)
        call.item_id = str(item["id"])
        begun = self._events.added(call.place, _encode(item))
        return begun + self._delta(call, whole.arguments) if whole.arguments else begun

    def _delta(self, call: _Call, piece: str) -> bytes:
        if self._kind(call) is not Kind.FUNCTION:
            return b""  # told whole at its end
        return self._of_item(call, "function_call_arguments.delta", b'"delta":%b' % _encode(piece))

    def _close(self, call: _Call, status: str) -> bytes:
        if self._kind(call) is Kind.SHELL:
            return self._close_shell(call, status)
        call.closed, self._open = True, None
        whole = call.whole()
        item = self._item(whole, call.place, status)
        if self._kind(call) is Kind.CUSTOM:
            text = _encode(item["input"])
            told = self._of_item(call, "custom_tool_call_input.delta", b'"delta":%b' % text)
            told += self._of_item(call, "custom_tool_call_input.done", b'"input":%b' % text)
        else:
            fields = b'"arguments":%b' % _encode(whole.arguments)
            told = self._of_item(call, "function_call_arguments.done", fields)
        return told + self._events.done(call.place, _encode(item))

    def _close_shell(self, call: _Call, status: str) -> bytes:
        whole = call.whole()
        if shell_action(whole) is None:  # it says no command, so it is told as any function's
            call.no_shell = True
            return self._begin(call) + self._close(call, status)
        call.closed, self._open = True, None
        place = self._events.next_index()
        begun = _encode(self._item(whole, place, IN_PROGRESS))
        ended = _encode(self._item(whole, place, status))
        return self._events.added(place, begun) + self._events.done(place, ended)

    def _of_item(self, call: _Call, name: str, fields: bytes) -> bytes:
        where = b'"item_id":%b,"output_index":%d' % (_encode(call.item_id), call.place)
        return self._events.event(name, b"%b,%b" % (where, fields))

    def _item(self, call: ToolCall, place: int, status: str) -> dict[str, object]:
        return call_item(call, self._offer(call.name), self._head, place, status)

    def _kind(self, call: _Call) -> Kind:
        offered = None if call.no_shell else self._offer(call.name or "")
        return offered.kind if offered is not None else Kind.FUNCTION

    def _offer(self, name: str) -> Offered | None:
        if self._offered is None:
            self._offered = offered_tools(self._head.request)
        return self._offered.get(name)
