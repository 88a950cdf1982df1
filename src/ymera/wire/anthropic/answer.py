"""Answers of upstreams, whole or streamed, as the same events."""

from __future__ import annotations

import msgspec

from ymera.core.answer import (
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from ymera.core.model import Dialect
from ymera.wire.anthropic.errors import decode_error_event
from ymera.wire.anthropic.usage import UsageReader
from ymera.wire.halves import UNREADABLE, Halves, whole_characters
from ymera.wire.tool_arguments import arguments_as_text
from ymera.wire.upstream_error import bad_answer

__all__ = ["StreamDecoder", "decode_answer"]

_FINISH = {
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "pause_turn": FinishReason.LENGTH,  # there is more to come, and nobody will ask for it
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
"""`end_turn`, `stop_sequence` and whatever comes next mean that it stopped."""

_NOTHING = msgspec.Raw()
_EMPTY = {b"", b"null", b"{}"}


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NOTHING


class _Delta(msgspec.Struct):
    """Of a block, or (without a type) of the message."""

    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Message(msgspec.Struct):
    type: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


_message = msgspec.json.Decoder(_Message)
_event = msgspec.json.Decoder(_Event)


def decode_answer(body: bytes, *, secrets: tuple[str, ...] = ()) -> list[ChatEvent]:
    """Return the events of one whole answer, `Finish` and usage last.

    Args:
        body: of an answer with status 2xx.
        secrets: never to appear in an error's message.

    Raises:
        ProviderError: it is no message, or it holds an error instead.
    """
    try:
        return whole_characters(body, lambda data: _read(data, secrets))
    except UNREADABLE as error:
        raise bad_answer("an answer that is no message") from error


def _read(body: bytes, secrets: tuple[str, ...]) -> list[ChatEvent]:
    message = _message.decode(body)
    if bytes(message.error) not in _EMPTY:
        raise decode_error_event(message.error, secrets=secrets)
    if message.content is None:
        raise bad_answer("an answer without any content")
    events: list[ChatEvent] = []
    calls = 0
    for block in _provable(message.content):
        events += _whole(block, calls)
        calls += block.type == "tool_use"
    reader = UsageReader()
    reader.take(message.usage)
    return [*events, *_closing(message.stop_reason, reader, called=calls > 0)]


def _provable(blocks: list[_Block]) -> list[_Block]:
    """Return the blocks without signatures where several blocks of thinking are signed.

    A whole answer keeps their text as one, which no signature of a part fits: sent back with one,
    it would be refused; without, it is left out. A streamed answer keeps them apart.
    """
    signed = [block for block in blocks if block.type == "thinking" and block.signature]
    for block in signed if len(signed) > 1 else ():
        block.signature = None
    return blocks


def _thought(text: str, signature: str | None) -> ReasoningDelta:
    return ReasoningDelta(text, signature, dialect=Dialect.ANTHROPIC if signature else None)


def _whole(block: _Block, call: int) -> list[ChatEvent]:
    match block.type:
        case "text":
            return [TextDelta(block.text)] if block.text else []
        case "thinking":
            signature = block.signature or None
            text = block.thinking or ""
            return [_thought(text, signature)] if text or signature else []
        case "redacted_thinking":
            return [ReasoningDelta("", block.data, redacted=True, dialect=Dialect.ANTHROPIC)]
        case "tool_use":
            arguments = arguments_as_text(block.input)
            return [ToolCallDelta(index=call, id=block.id, name=block.name, arguments=arguments)]
    return []  # what a tool of the vendor's did: none was offered


def _closing(reason: str | None, reader: UsageReader, *, called: bool) -> list[ChatEvent]:
    finish = _FINISH.get(reason or "", FinishReason.STOP)
    if finish is FinishReason.STOP and called:
        finish = FinishReason.TOOL_CALLS
    report = reader.report()
    return [Finish(finish)] if report is None else [Finish(finish), report]


class StreamDecoder:
    """Turns the data of server-sent events into chat events.

    Usage is told once, at the end: what the first event says of the output is a beginning, and
    must not be taken for the whole where the answer is cut.

    Args:
        secrets: never to appear in an error's message.

    Attributes:
        finished: `Finish` was given out.
        done: `message_stop` came: read no further.
    """

    def __init__(self, *, secrets: tuple[str, ...] = ()) -> None:
        self._secrets = secrets
        self._usage = UsageReader()
        self._reason: str | None = None
        self._calls: dict[int, int] = {}  # block -> number of the call
        self._unsaid: dict[int, str] = {}  # block -> input of a call with no piece yet
        self._halves: Halves | None = None
        self.finished = False
        self.done = False

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Return the events that one data payload holds, possibly none.

        Raises:
            ProviderError: the upstream reports a failure, or this is no event of this dialect.
        """
        try:
            events = self._read(data)
        except UNREADABLE as error:
            self._halves = self._halves or Halves()
            found = self._halves.read_again(data, self._read)
            if found is None:
                raise bad_answer("something that is no event") from error
            return found
        return events if self._halves is None else self._halves.join(events)

    def _read(self, data: bytes) -> list[ChatEvent]:
        return self._events(_event.decode(data))

    def _events(self, event: _Event) -> list[ChatEvent]:
        if bytes(event.error) not in _EMPTY:
            raise decode_error_event(event.error, secrets=self._secrets)
        match event.type:
            case "message_start" if event.message is not None:
                self._usage.take(event.message.usage, beginning=True)
            case "content_block_start" if event.content_block is not None:
                return self._begun(event.index, event.content_block)
            case "content_block_delta" if event.delta is not None:
                return self._piece(event.index, event.delta)
            case "content_block_stop" if event.index in self._unsaid:
                text = self._unsaid.pop(event.index)
                return [ToolCallDelta(index=self._calls[event.index], arguments=text)]
            case "message_delta":
                self._usage.take(event.usage)
                if event.delta is not None:
                    self._reason = event.delta.stop_reason or self._reason
            case "message_stop":
                return self._end()
            case "" | "error":
                raise bad_answer("an event of no known kind")
        return []  # `ping`, and kinds that later versions add

    def _begun(self, index: int, block: _Block) -> list[ChatEvent]:
        if block.type != "tool_use":
            return _whole(block, 0)
        self._unsaid[index] = arguments_as_text(block.input)
        self._calls[index] = call = len(self._calls)
        return [ToolCallDelta(index=call, id=block.id, name=block.name)]

    def _piece(self, index: int, delta: _Delta) -> list[ChatEvent]:
        if delta.partial_json is not None:
            if index not in self._calls or not delta.partial_json:
                return []
            self._unsaid.pop(index, None)
            return [ToolCallDelta(index=self._calls[index], arguments=delta.partial_json)]
        if delta.text:
            return [TextDelta(delta.text)]
        if delta.thinking or delta.signature:
            return [_thought(delta.thinking or "", delta.signature or None)]
        return []

    def _end(self) -> list[ChatEvent]:
        if self.finished:
            return []
        self.finished = self.done = True
        return _closing(self._reason, self._usage, called=bool(self._calls))
