"""Streamed answers: events with sequence numbers, each item opened, written and closed in order."""

from __future__ import annotations

import msgspec

from ymera.core.answer import (
    ChatEvent,
    Finish,
    FinishReason,
    LimitsSeen,
    ReasoningDelta,
    RequestAdapted,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.errors import ProviderError, ProviderErrorKind, YmeraError
from ymera.core.usage import Usage
from ymera.wire.codec import AnswerHead
from ymera.wire.openai_responses.reply import (
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    ResponseBody,
    item_id,
    message_item,
    reasoning_item,
    status_of,
)
from ymera.wire.openai_responses.stream_calls import CallItems
from ymera.wire.openai_responses.stream_events import Events

__all__ = ["StreamEncoder"]

_encode = msgspec.json.encode


class StreamEncoder:
    """Turns chat events into the events of this dialect; see `ymera.wire.codec.StreamEncoder`.

    The answer ends in `response.completed`, `response.incomplete` or, when it breaks off,
    `response.failed`, and nothing follows.

    Args:
        head: what the answer says of itself.
    """

    def __init__(self, head: AnswerHead) -> None:
        self._head = head
        self._body = ResponseBody(head)
        self._events = Events()
        self._calls = CallItems(head, self._events)
        self._block: _Block | None = None
        self._begun = False
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None

    def encode(self, event: ChatEvent) -> bytes:
        """Return what is sent for one event.

        Raises:
            ProviderError: the upstream went on with a tool call that was complete.
        """
        if isinstance(event, ToolCallDelta):
            self._calls.check(event)  # before anything is numbered that would then not be sent
        opening = b"" if self._begun else self._open()
        match event:
            case TextDelta():
                return opening + self._piece(event.text, _TEXT) if event.text else opening
            case ReasoningDelta():
                return opening + self._piece(event.text, _REASONING) if event.text else opening
            case ToolCallDelta():
                return opening + self._close_block(COMPLETED) + self._calls.add(event)
            case UsageReport():
                self._usage = event.usage
                return opening
            case Finish():
                self._finish = event.reason
                return opening + self._close_all(status_of(event.reason)[0])
            case RequestAdapted() | LimitsSeen():
                return opening

    def end(self) -> bytes:
        """Return the last event; a failure when the answer never finished."""
        if self._finish is None:
            return self.error(
                ProviderError(
                    "The answer ended before it was complete.", kind=ProviderErrorKind.TRANSIENT
                )
            )
        status, reason = status_of(self._finish)
        body = self._body.write(status, self._events.items, usage=self._usage, reason=reason)
        return self._events.response(status, body)

    def error(self, error: YmeraError) -> bytes:
        """Return the event that tells what went wrong; the last one."""
        opening = b"" if self._begun else self._open()
        body = self._body.write(FAILED, self._events.items, usage=self._usage, error=error)
        return opening + self._events.response(FAILED, body)

    def _open(self) -> bytes:
        self._begun = True
        body = self._body.write(IN_PROGRESS)
        created = self._events.response("created", body)
        return created + self._events.response(IN_PROGRESS, body)

    def _piece(self, text: str, kind: _BlockKind) -> bytes:
        before = b""
        if self._block is None or self._block.kind is not kind:
            before = self._close_block(COMPLETED) + self._calls.pause()
            self._block = _Block(kind, self._head, self._events)
            before += self._block.open()
        return before + self._block.write(text)

    def _close_block(self, status: str) -> bytes:
        block, self._block = self._block, None
        return b"" if block is None else block.close(status)

    def _close_all(self, status: str) -> bytes:
        closing = self._close_block(status) + self._calls.close(status)
        if self._events.items:
            return closing
        # Nothing was said at all: the whole form has an empty text there, too.
        block = _Block(_TEXT, self._head, self._events)
        return closing + block.open() + block.close(status)


class _BlockKind:
    """Names of the events of a text, or of reasoning."""

    def __init__(self, id_prefix: str, part: str, delta: str, place: str) -> None:
        self.id_prefix = id_prefix
        self.part = part
        self.delta = delta
        self.place = place


_TEXT = _BlockKind("msg", "content_part", "output_text", "content_index")
_REASONING = _BlockKind("rs", "reasoning_summary_part", "reasoning_summary_text", "summary_index")


class _Block:
    """One item of text or of reasoning, while it is written."""

    def __init__(self, kind: _BlockKind, head: AnswerHead, events: Events) -> None:
        self.kind = kind
        self._events = events
        self._index = events.next_index()
        self._id = item_id(head, kind.id_prefix, self._index)
        self._pieces: list[str] = []
        where = {"item_id": self._id, "output_index": self._index, kind.place: 0}
        self._where = _encode(where)[1:-1]

    def open(self) -> bytes:
        return self._events.added(self._index, _encode(self._item(None, IN_PROGRESS))) + (
            self._event(f"{self.kind.part}.added", b'"part":%b' % self._part(""))
        )

    def write(self, text: str) -> bytes:
        self._pieces.append(text)
        more = b',"logprobs":[]' if self.kind is _TEXT else b""
        return self._event(f"{self.kind.delta}.delta", b'"delta":%b%b' % (_encode(text), more))

    def close(self, status: str) -> bytes:
        text = "".join(self._pieces)
        more = b',"logprobs":[]' if self.kind is _TEXT else b""
        return b"".join(
            (
                self._event(f"{self.kind.delta}.done", b'"text":%b%b' % (_encode(text), more)),
                self._event(f"{self.kind.part}.done", b'"part":%b' % self._part(text)),
                self._events.done(self._index, _encode(self._item(text, status))),
            )
        )

    def _event(self, name: str, fields: bytes) -> bytes:
        return self._events.event(name, b"%b,%b" % (self._where, fields))

    def _item(self, text: str | None, status: str) -> dict[str, object]:
        write = message_item if self.kind is _TEXT else reasoning_item
        return write(self._id, text, status)

    def _part(self, text: str) -> bytes:
        if self.kind is _TEXT:
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
            return _encode(part)
        return _encode({"type": "summary_text", "text": text})
