"""Answers to our callers, whole or streamed."""

from __future__ import annotations

import math

import msgspec

from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.chat import ChatRequest
from ymera.core.errors import ProviderError, ProviderErrorKind, YmeraError
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.anthropic.errors import encode_error
from ymera.wire.anthropic.upstream_turns import tool_ids
from ymera.wire.anthropic.usage import wire_usage
from ymera.wire.codec import AnswerHead
from ymera.wire.signatures import marked
from ymera.wire.tool_arguments import arguments_as_object
from ymera.wire.upstream_error import bad_answer

__all__ = ["StreamEncoder", "encode_answer"]

_STOP_REASON = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}
_CHARS_PER_TOKEN = 3.6
_UNSEEN_PER_PING = 16
_NULL = msgspec.Raw(b"null")

_DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}\n\n'
)

_Fields = dict[str, object]
_encode = msgspec.json.encode


def encode_answer(answer: ChatAnswer, head: AnswerHead) -> bytes:
    """Return the body of a whole answer."""
    content = _reasoning(answer, head) if _shows_thinking(head.request) else []
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    ids = tool_ids()
    content += [
        {
            "type": "tool_use",
            "id": ids(call.id),
            "name": call.name,
            "input": arguments_as_object(call.arguments)[0],
        }
        for call in answer.tool_calls
    ]
    message = _message(head, content, wire_usage(answer.usage))
    return _encode({**message, "stop_reason": _STOP_REASON[answer.finish_reason]})


def _shows_thinking(request: ChatRequest) -> bool:
    """Return whether the caller asked for thinking: who did not expects text to come first."""
    verbatim = request.verbatim
    if verbatim is None or verbatim.dialect is not Dialect.ANTHROPIC:
        return True
    asked = verbatim.fields.get("thinking", _NULL)
    return asked != _NULL and b'"disabled"' not in bytes(asked)


def _marked(shown: ReasoningDelta, head: AnswerHead) -> ReasoningDelta:
    """Return reasoning whose signature says who made it, where that is another vendor."""
    if shown.signature is None:
        return shown
    signature = marked(shown.signature, head.model, Dialect.ANTHROPIC)
    return msgspec.structs.replace(shown, signature=signature)


def _reasoning(answer: ChatAnswer, head: AnswerHead) -> list[_Fields]:
    shown = _marked(answer.reasoning_for(Dialect.ANTHROPIC), head)
    signature = shown.signature
    if shown.redacted and signature is not None:
        redacted: _Fields = {"type": "redacted_thinking", "data": signature}
        # What could be read beside it is shown, but nothing signs that part any more.
        return [_thinking(answer.reasoning, None), redacted] if answer.reasoning else [redacted]
    if answer.reasoning or signature is not None:
        return [_thinking(answer.reasoning, signature)]
    return []


def _thinking(text: str, signature: str | None) -> _Fields:
    return {"type": "thinking", "thinking": text, "signature": signature or ""}


def _message(head: AnswerHead, content: list[_Fields], usage: _Fields) -> _Fields:
    return {
        "id": head.id.replace("req_", "msg_", 1),
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _event(name: str, fields: _Fields) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode({"type": name, **fields}))


class StreamEncoder:
    """Turns chat events into the bytes of a streamed answer.

    Call `encode` for each event, then `end` once; or `error` when the answer breaks off, and then
    nothing more: a broken stream carries neither a stop reason nor `message_stop`.

    Args:
        head: what the answer says of itself.
    """

    def __init__(self, head: AnswerHead) -> None:
        self._head = head
        self._shows_thinking = _shows_thinking(head.request)
        self._unseen = 0  # pieces of reasoning that were not shown
        self._usage: Usage | None = None
        self._finish: FinishReason | None = None
        self._begun = False
        self._index = -1
        self._open = ""  # kind of the block that is open
        self._call = -1  # number of the call that is open, or was last
        self._calls: set[int] = set()
        self._ids = tool_ids()

    def encode(self, event: ChatEvent) -> bytes:
        """Return what is sent for one event; empty for usage and finish, which `end` writes.

        Raises:
            ProviderError: a piece of a tool call whose block is closed already.
        """
        match event:
            case TextDelta() if event.text:
                start = self._block("text", {"type": "text", "text": ""})
                return start + self._delta(b"text_delta", b"text", event.text)
            case ReasoningDelta():
                return self._reasoning(event)
            case ToolCallDelta():
                return self._tool_call(event)
            case UsageReport():
                self._usage = event.usage
            case Finish():
                self._finish = event.reason
            case _:
                pass
        return b""

    def end(self) -> bytes:
        """Return what closes the answer, its usage among it.

        An answer that never finished is ended by an error instead.
        """
        if self._finish is None:
            return self.error(
                ProviderError(
                    "The answer ended before it was complete.", kind=ProviderErrorKind.TRANSIENT
                )
            )
        delta = {"stop_reason": _STOP_REASON[self._finish], "stop_sequence": None}
        return b"".join(
            (
                self._start(),
                self._close(),
                _event("message_delta", {"delta": delta, "usage": wire_usage(self._usage)}),
                _event("message_stop", {}),
            )
        )

    def error(self, error: YmeraError) -> bytes:
        """Return the event that tells the caller, mid-stream, what went wrong."""
        return b"event: error\ndata: %b\n\n" % encode_error(error)

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        usage = self._usage
        if usage is None:
            # The upstream tells at its end, but a number has to stand here; `message_delta`
            # carries the true ones, of the input, too.
            usage = Usage(input_tokens=_rough_tokens(self._head.request))
        usage = msgspec.structs.replace(usage, output_tokens=0, reasoning_tokens=0)
        return _event("message_start", {"message": _message(self._head, [], wire_usage(usage))})

    def _block(self, kind: str, block: _Fields) -> bytes:
        """Return what opens a block of this kind, unless one is open."""
        if self._open == kind:
            return b""
        start, ping = self._start() + self._close(), b""
        self._index += 1
        self._open = kind
        if self._index == 0:
            ping = _event("ping", {})
        return (
            start
            + _event("content_block_start", {"index": self._index, "content_block": block})
            + ping
        )

    def _close(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        return _event("content_block_stop", {"index": self._index})

    def _delta(self, kind: bytes, name: bytes, text: str) -> bytes:
        return _DELTA % (self._index, kind, name, _encode(text))

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        if not self._shows_thinking:
            self._unseen += 1
            beat = self._unseen % _UNSEEN_PER_PING == 1  # the caller sees that something happens
            return self._start() + (_event("ping", {}) if beat else b"")
        event = _marked(event.for_callers_of(Dialect.ANTHROPIC), self._head)
        if event.redacted:
            redacted: _Fields = {"type": "redacted_thinking", "data": event.signature or ""}
            return self._close() + self._block("redacted_thinking", redacted) + self._close()
        if not event.text and event.signature is None:
            return b""
        sent = self._block("thinking", _thinking("", None))
        if event.text:
            sent += self._delta(b"thinking_delta", b"thinking", event.text)
        if event.signature is not None:  # it signs the whole block, and ends it
            sent += self._delta(b"signature_delta", b"signature", event.signature)
            sent += self._close()
        return sent

    def _tool_call(self, event: ToolCallDelta) -> bytes:
        sent = b""
        if event.index not in self._calls:
            self._calls.add(event.index)
            self._call = event.index
            id = self._ids(event.id or f"call_{event.index}")
            block: _Fields = {"type": "tool_use", "id": id, "name": event.name or "", "input": {}}
            sent = self._close() + self._block("tool_use", block)
        elif event.arguments and (self._call != event.index or self._open != "tool_use"):
            raise bad_answer("pieces of several tool calls in turn, which cannot be told apart")
        if event.arguments:
            sent += self._delta(b"input_json_delta", b"partial_json", event.arguments)
        return sent


def _rough_tokens(request: ChatRequest) -> int:
    said = sum(len(message.text) for message in request.messages)
    offered = sum(
        len(tool.description or "") + len(bytes(tool.parameters or b"")) for tool in request.tools
    )
    return max(1, math.ceil((said + offered) / _CHARS_PER_TOKEN))
