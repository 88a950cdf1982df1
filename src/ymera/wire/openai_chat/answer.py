"""Answers of upstreams, whole or streamed, as the same events."""

from __future__ import annotations

from decimal import Decimal

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
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.usage import Usage
from ymera.wire.halves import UNREADABLE, Halves
from ymera.wire.openai_chat.errors import decode_error_value

__all__ = ["StreamDecoder", "decode_answer", "read_usage"]

_FINISH = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
}
"""Vendors' words; `stop`, `eos`, `end_turn` and whatever comes next mean that it stopped."""

_NOTHING = msgspec.Raw()
_TICKS_PER_USD = Decimal(10**10)
_MOST_USD = Decimal(10**18)
"""In ticks, too; what is above is no cost."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: msgspec.Raw = _NOTHING


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Said(msgspec.Struct):
    """A whole message or a delta, as nearly every host writes it."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _OddSaid(msgspec.Struct):
    """The same, Raw where some hosts write another type: see `_text`."""

    content: msgspec.Raw = _NOTHING
    reasoning_content: msgspec.Raw = _NOTHING
    reasoning: msgspec.Raw = _NOTHING
    refusal: msgspec.Raw = _NOTHING
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None
    error: msgspec.Raw = _NOTHING


class _OddChoice(msgspec.Struct):
    index: int | None = None
    message: _OddSaid | None = None
    delta: _OddSaid | None = None
    finish_reason: str | None = None
    error: msgspec.Raw = _NOTHING


class _Groq(msgspec.Struct):
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


class _Body(msgspec.Struct):
    """A whole answer or one chunk."""

    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    x_groq: _Groq | None = None


class _OddBody(msgspec.Struct):
    choices: list[_OddChoice] | None = None
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    x_groq: _Groq | None = None


class _PartOfContent(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: list[_PartOfContent] | str | None = None


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Costs(msgspec.Struct):
    cost: msgspec.Raw = _NOTHING
    estimated_cost: msgspec.Raw = _NOTHING
    cost_in_usd_ticks: msgspec.Raw = _NOTHING


class _Usage(_Costs):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None


_body = msgspec.json.Decoder(_Body)
_odd_body = msgspec.json.Decoder(_OddBody)
_string = msgspec.json.Decoder(str)
_parts = msgspec.json.Decoder(list[_PartOfContent])
_usage = msgspec.json.Decoder(_Usage)
_costs = msgspec.json.Decoder(_Costs)
_decimal = msgspec.json.Decoder(Decimal)


def decode_answer(body: bytes, *, secrets: tuple[str, ...] = ()) -> list[ChatEvent]:
    """Return the events of one whole answer, `Finish` and usage last.

    Args:
        body: of an answer with status 2xx.
        secrets: never to appear in an error's message.

    Raises:
        ProviderError: it is no chat completion, or it holds an error instead.
    """
    decoder = StreamDecoder(secrets=secrets)
    events = decoder.feed(body)
    if not decoder.answered:
        raise _bad_answer("an answer without any choice")
    if not decoder.finished:
        # A whole JSON object cannot have been cut: some hosts just leave finish_reason out.
        usage = [event for event in events if isinstance(event, UsageReport)]
        said = [event for event in events if not isinstance(event, UsageReport)]
        return [*said, *decoder.feed(b"[DONE]"), *usage]
    return events


class StreamDecoder:
    """Turns the data of server-sent events into chat events; remembers which tool call is which.

    Args:
        secrets: never to appear in an error's message.

    Attributes:
        answered: some choice has been seen.
        finished: `Finish` was given out; only usage may still follow.
        done: `[DONE]` came: read no further.
    """

    def __init__(self, *, secrets: tuple[str, ...] = ()) -> None:
        self._secrets = secrets
        self._named_calls: set[int] = set()
        self._last_call = -1
        self._odd = False  # whether the host has written another type than most do
        self._halves: Halves | None = None
        self.answered = False
        self.finished = False
        self.done = False

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Return the events that one data payload holds, possibly none.

        Raises:
            ProviderError: the upstream reports a failure, or this is no chunk.
        """
        try:
            events = self._read(data)
        except UNREADABLE as error:
            return self._read_otherwise(data, error)
        return events if self._halves is None else self._halves.join(events)

    def _read(self, data: bytes) -> list[ChatEvent]:
        return self._events((_odd_body if self._odd else _body).decode(data))

    def _read_otherwise(self, data: bytes, error: Exception) -> list[ChatEvent]:
        """Return the events of what is not what nearly every host sends."""
        if data.strip() == b"[DONE]":
            self.done = True
            events = self._finish("stop")
            return events if self._halves is None else self._halves.join(events)
        if isinstance(error, msgspec.ValidationError) and not self._odd:
            self._odd = True
            return self.feed(data)
        self._halves = self._halves or Halves()
        try:
            found = self._halves.read(data, self._read)
        except msgspec.ValidationError as other:
            if self._odd:
                raise _no_completion() from other
            self._odd = True
            return self.feed(data)
        except UNREADABLE as other:
            raise _no_completion() from other
        if found is None:
            raise _no_completion() from error
        return found

    def _events(self, body: _Body | _OddBody) -> list[ChatEvent]:
        if body.error is not _NOTHING:
            self._refuse_error(body.error)
        if body.x_groq is not None:
            self._refuse_error(body.x_groq.error)
        events: list[ChatEvent] = []
        for choice in body.choices or ():
            if not choice.index:  # we never ask for a second one
                if choice.error is not _NOTHING:
                    self._refuse_error(choice.error)
                self.answered = True
                said = choice.delta or choice.message
                if said is not None:
                    self._said(said, events)
                if choice.finish_reason:
                    events += self._finish(choice.finish_reason)
        usage = None if body.usage is _NOTHING else read_usage(body.usage)
        if usage is None and body.x_groq is not None:
            usage = read_usage(body.x_groq.usage)
        if usage is not None:
            events.append(usage)
        return events

    def _refuse_error(self, raw: msgspec.Raw) -> None:
        if bytes(raw) not in {b"", b"null"}:
            raise decode_error_value(bytes(raw), secrets=self._secrets)

    def _finish(self, reason: str) -> list[ChatEvent]:
        if self.finished:
            return []
        if reason == "error":
            raise ProviderError(
                "The upstream failed while it was answering.", kind=ProviderErrorKind.TRANSIENT
            )
        self.finished = True
        finish = _FINISH.get(reason.lower(), FinishReason.STOP)
        if finish is FinishReason.STOP and self._named_calls:
            finish = FinishReason.TOOL_CALLS  # several hosts say `stop` after calling tools
        return [Finish(finish)]

    def _said(self, said: _Said | _OddSaid, events: list[ChatEvent]) -> None:
        if isinstance(said, _Said):
            text: str | None = said.content or said.refusal
            reasoning: str | None = said.reasoning_content or said.reasoning
        else:
            text, thinking = _text(said.content)
            text = text or _text(said.refusal)[0]
            reasoning = _text(said.reasoning_content)[0] or _text(said.reasoning)[0] or thinking
        if reasoning:
            events.append(ReasoningDelta(reasoning))
        if text:
            events.append(TextDelta(text))
        if said.tool_calls:
            events += [self._call(call) for call in said.tool_calls]

    def _call(self, call: _Call) -> ToolCallDelta:
        function = call.function or _Function()
        arguments = _text(function.arguments)[0]  # first of all: it may not be readable
        index = call.index
        if index is None:  # the host sends no index: whatever has a name begins a new call
            index = self._last_call + 1 if function.name else max(self._last_call, 0)
        self._last_call = max(self._last_call, index)
        first = index not in self._named_calls
        if function.name:
            self._named_calls.add(index)
        return ToolCallDelta(
            index=index,
            id=call.id if first else None,
            name=function.name if first else None,
            arguments=arguments,
        )


def _text(raw: msgspec.Raw) -> tuple[str, str]:
    """Return (text, reasoning) of a field that should be a string.

    Mistral sends a list of parts, thinking ones among them; Cloudflare a bare number when the
    model wrote one, and some hosts tool arguments as an object: those are text as they stand.
    """
    held = bytes(raw)
    if held.startswith(b'"'):
        return _string.decode(held), ""
    if held in {b"", b"null"}:
        return "", ""
    if held.startswith(b"[{"):
        parts = _parts.decode(held)
        text = "".join(part.text or "" for part in parts if part.thinking is None)
        return text, "".join(_thinking(part) for part in parts)
    return held.decode(), ""


def _thinking(part: _PartOfContent) -> str:
    if isinstance(part.thinking, list):
        return "".join(piece.text or "" for piece in part.thinking)
    return part.thinking or ""


def read_usage(raw: msgspec.Raw) -> UsageReport | None:
    """Return token counts and cost; None (unknown, not 0) when the counts are absent or senseless.

    What a call cost is believed without them, too: then the counts are 0.
    """
    if bytes(raw) in {b"", b"null"}:
        return None
    try:
        wire = _usage.decode(raw)
    except msgspec.DecodeError:
        return _cost_alone(raw)
    prompt, completion = wire.prompt_tokens, wire.completion_tokens
    if prompt is not None and completion is None and wire.total_tokens is not None:
        completion = wire.total_tokens - prompt
    cost_usd = _read_cost(wire)
    if prompt is None or completion is None or prompt < 0 or completion < 0:
        return None if cost_usd is None else UsageReport(Usage(), cost_usd)
    cached = wire.prompt_tokens_details and wire.prompt_tokens_details.cached_tokens
    reasoning = wire.completion_tokens_details and wire.completion_tokens_details.reasoning_tokens
    usage = Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=cached or wire.prompt_cache_hit_tokens or 0,
        reasoning_tokens=reasoning or 0,
    )
    return UsageReport(usage, cost_usd)


def _cost_alone(raw: msgspec.Raw) -> UsageReport | None:
    """Return the cost beside counts that cannot be read: a bill counts whatever stands by it."""
    try:
        cost_usd = _read_cost(_costs.decode(raw))
    except msgspec.DecodeError:
        return None
    return None if cost_usd is None else UsageReport(Usage(), cost_usd)


def _read_cost(wire: _Costs) -> Decimal | None:
    """Return what the host says the call cost in USD; None when it does not say.

    OpenRouter and hosts like it say `cost`, DeepInfra `estimated_cost`, xAI counts in ticks.
    """
    for raw in (wire.cost, wire.estimated_cost):
        if (cost := _number(raw)) is not None:
            return cost
    ticks = _number(wire.cost_in_usd_ticks)
    return None if ticks is None else ticks / _TICKS_PER_USD


def _number(raw: msgspec.Raw) -> Decimal | None:
    if not bytes(raw):
        return None
    try:
        number = _decimal.decode(raw)
    except msgspec.DecodeError:
        return None
    return number if number.is_finite() and 0 <= number < _MOST_USD else None


def _no_completion() -> ProviderError:
    return _bad_answer("an answer that is no chat completion")


def _bad_answer(what: str) -> ProviderError:
    return ProviderError(f"The upstream sent {what}.", kind=ProviderErrorKind.BAD_ANSWER)
