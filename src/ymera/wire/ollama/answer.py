"""Answers of upstreams, whole or streamed, as the same events."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from ymera.core.answer import (
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.usage import Usage
from ymera.wire.halves import UNREADABLE, Halves
from ymera.wire.ollama.arguments import text_from
from ymera.wire.upstream_error import bad_answer, decode_error_value

__all__ = ["StreamDecoder", "decode_answer"]

_FINISH = {"length": FinishReason.LENGTH, "content_filter": FinishReason.CONTENT_FILTER}
"""`stop`, `load` and whatever comes next mean that it stopped."""

_NOTHING = msgspec.Raw()


class _Function(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = _NOTHING


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Said(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(msgspec.Struct):
    """A whole answer or one line of it."""

    message: _Said | None = None
    created_at: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: msgspec.Raw = _NOTHING


_line = msgspec.json.Decoder(_Line)


def decode_answer(body: bytes, *, secrets: tuple[str, ...] = ()) -> list[ChatEvent]:
    """Return the events of one whole answer, `Finish` and usage last.

    Args:
        body: of an answer with status 2xx.
        secrets: never to appear in an error's message.

    Raises:
        ProviderError: it is no answer of this dialect, or it holds an error instead.
    """
    decoder = StreamDecoder(secrets=secrets)
    events = decoder.feed(body)
    if not decoder.finished:
        raise bad_answer("an answer that is not done")
    return events


class StreamDecoder:
    """Turns lines into chat events.

    Args:
        secrets: never to appear in an error's message.

    Attributes:
        finished: the line with `done` came.
        done: the same: nothing follows it.
    """

    def __init__(self, *, secrets: tuple[str, ...] = ()) -> None:
        self._secrets = secrets
        self._calls = 0
        self._halves: Halves | None = None
        self.finished = False
        self.done = False

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Return the events that one line holds, possibly none.

        Raises:
            ProviderError: the upstream reports a failure, or this is no line of this dialect.
        """
        try:
            events = self._read(data)
        except UNREADABLE as error:
            self._halves = self._halves or Halves()
            found = self._halves.read_again(data, self._read)
            if found is None:
                raise bad_answer("an answer that is none of Ollama's") from error
            return found
        return events if self._halves is None else self._halves.join(events)

    def _read(self, data: bytes) -> list[ChatEvent]:
        line = _line.decode(data)
        if bytes(line.error) not in {b"", b"null"}:
            raise decode_error_value(bytes(line.error), secrets=self._secrets)
        return self._events(line)

    def _events(self, line: _Line) -> list[ChatEvent]:
        if line.message is None and not line.done:
            raise bad_answer("a line without a message")
        events: list[ChatEvent] = []
        said = line.message or _Said()
        if said.thinking:
            events.append(ReasoningDelta(said.thinking))
        if said.content:
            events.append(TextDelta(said.content))
        events += [self._call(call, line.created_at or "") for call in said.tool_calls or ()]
        if line.done and not self.finished:
            self.finished = self.done = True
            finish = _FINISH.get(line.done_reason or "", FinishReason.STOP)
            if finish is FinishReason.STOP and self._calls:
                finish = FinishReason.TOOL_CALLS
            events.append(Finish(finish))
            if (usage := _usage(line)) is not None:
                events.append(UsageReport(usage))
        return events

    def _call(self, call: _Call, at: str) -> ToolCallDelta:
        """Read one call; they come whole, and their index, where there is one, cannot be relied on.

        Older servers give no id. Then it is made of the call and its time, so that no two turns of
        a conversation share one.
        """
        arguments = text_from(call.function.arguments)  # first of all: it may not be readable
        index, name = self._calls, call.function.name
        self._calls += 1
        made = blake2b(f"{at}\0{index}\0{name}\0{arguments}".encode(), digest_size=6).hexdigest()
        return ToolCallDelta(
            index=index, id=call.id or f"call_{made}", name=name, arguments=arguments
        )


def _usage(line: _Line) -> Usage | None:
    """Return the token counts; None (unknown, not 0) without the prompt's.

    Ollama leaves a count of 0 out. An answer may have no tokens; a prompt without any only means
    that none had to be read again.
    """
    prompt, answer = line.prompt_eval_count, line.eval_count or 0
    if prompt is None or prompt < 0 or answer < 0:
        return None
    return Usage(input_tokens=prompt, output_tokens=answer)
