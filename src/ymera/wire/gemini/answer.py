"""Answers of upstreams, whole or streamed, as the same events."""

from __future__ import annotations

import json
import re

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
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.gemini.errors import decode_error_value
from ymera.wire.halves import UNREADABLE, Halves
from ymera.wire.tool_arguments import arguments_as_text
from ymera.wire.upstream_error import bad_answer

__all__ = ["StreamDecoder", "decode_answer"]

_BLOCKED = frozenset(
    {"SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "ESCALATION", "JAILBREAK"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT"}
)
"""What the vendor will not have said, whoever says it."""

_FINISH = {
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.LENGTH,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
} | dict.fromkeys(_BLOCKED, FinishReason.CONTENT_FILTER)
"""Vendor's words; `STOP` and whatever comes next mean that it stopped."""

_FAILED = {
    "MALFORMED_FUNCTION_CALL": "a tool call that cannot be read",
    "UNEXPECTED_TOOL_CALL": "a call of a tool that was not offered",
    "TOO_MANY_TOOL_CALLS": "too many tool calls",
    "MALFORMED_RESPONSE": "an answer that cannot be read",
    "IMAGE_OTHER": "no image",
    "NO_IMAGE": "no image",
    "OTHER": "the end of its answer without a reason",
}

_NOTHING = msgspec.Raw()
_NOT_YET = frozenset({"", "FINISH_REASON_UNSPECIFIED"})
_NO_REASON = frozenset({"", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"})


class _FunctionCall(msgspec.Struct):
    name: str = ""
    id: str | None = None
    args: msgspec.Raw = _NOTHING


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    index: int | None = None
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Body(msgspec.Struct, rename="camel"):
    """A whole answer or one chunk."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: msgspec.Raw = _NOTHING
    response_id: str | None = None
    error: msgspec.Raw = _NOTHING


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None


_body = msgspec.json.Decoder(_Body)
_bodies = msgspec.json.Decoder(list[msgspec.Raw])
_usage = msgspec.json.Decoder(_Usage)


def decode_answer(body: bytes, *, secrets: tuple[str, ...] = ()) -> list[ChatEvent]:
    """Return the events of one whole answer, `Finish` and usage last.

    Args:
        body: of an answer with status 2xx: one object, or (streamed without `alt=sse`) an array
            of the chunks.
        secrets: never to appear in an error's message.

    Raises:
        ProviderError: it is no such answer, it was blocked, or it holds an error instead.
    """
    decoder = StreamDecoder(secrets=secrets)
    chunks: list[bytes] = [body]
    if body.lstrip().startswith(b"["):
        chunks = _chunks(body)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    if not decoder.answered:
        raise bad_answer("an answer without any candidate")
    if not decoder.finished:
        if len(chunks) != 1:
            raise bad_answer("an answer without an end")
        # A whole JSON object cannot have been cut: some relays just leave finishReason out.
        events += decoder.feed(b'{"candidates":[{"finishReason":"STOP"}]}')
    usage = [event for event in events if isinstance(event, UsageReport)]
    said = [event for event in events if not isinstance(event, UsageReport)]
    return [*said, *usage[-1:]]


def _chunks(body: bytes) -> list[bytes]:
    try:
        return [bytes(raw) for raw in _bodies.decode(body)]
    except UNREADABLE as error:
        try:  # this reader takes half characters, too
            return [json.dumps(chunk).encode() for chunk in json.loads(body)]
        except (ValueError, RecursionError):
            raise _no_answer() from error


class StreamDecoder:
    """Turns the data of server-sent events into chat events.

    Args:
        secrets: never to appear in an error's message.

    Attributes:
        answered: some candidate has been seen.
        finished: `Finish` was given out; only usage may still follow.
        done: always False: this dialect has no last word.
    """

    def __init__(self, *, secrets: tuple[str, ...] = ()) -> None:
        self._secrets = secrets
        self._calls = 0
        self._ids: set[str] = set()
        self._spoke = False
        self._usage: Usage | None = None
        self._response_id = ""
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
            self._halves = self._halves or Halves()
            found = self._halves.read_again(data, self._read)
            if found is None:
                raise _no_answer() from error
            return found
        return events if self._halves is None else self._halves.join(events)

    def _read(self, data: bytes) -> list[ChatEvent]:
        return self._events(_body.decode(data))

    def _events(self, body: _Body) -> list[ChatEvent]:
        if bytes(body.error) not in {b"", b"null"}:
            raise decode_error_value(bytes(body.error), secrets=self._secrets)
        if body.prompt_feedback and (body.prompt_feedback.block_reason or "") not in _NO_REASON:
            raise _moderated("the request", body.prompt_feedback.block_reason or "")
        self._response_id = self._response_id or body.response_id or ""
        events: list[ChatEvent] = []
        for candidate in body.candidates or ():
            if candidate.index:  # we never ask for a second one
                continue
            self.answered = True
            for part in (candidate.content and candidate.content.parts) or ():
                self._part(part, events)
            if not self.finished and (candidate.finish_reason or "") not in _NOT_YET:
                events.append(self._finish(candidate.finish_reason or ""))
        usage = _read_usage(body.usage_metadata)
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(UsageReport(usage))
        return events

    def _part(self, part: _Part, events: list[ChatEvent]) -> None:
        if part.function_call is not None:
            self._spoke = True
            if part.function_call.id not in self._ids:  # some relays send the same piece again
                events.append(self._call(part.function_call, part.thought_signature))
        elif part.thought:
            if part.text or part.thought_signature:
                events.append(_thought(part.text or "", part.thought_signature))
        else:
            if part.text:
                self._spoke = True
                events.append(TextDelta(part.text))
            if part.thought_signature:  # of an answer in words; it may come on an empty part
                events.append(_thought("", part.thought_signature))

    def _call(self, call: _FunctionCall, signature: str | None) -> ToolCallDelta:
        arguments = arguments_as_text(call.args)  # first of all: it may not be readable
        index = self._calls
        self._calls += 1
        if call.id:
            self._ids.add(call.id)
        return ToolCallDelta(
            index=index,
            id=call.id or _made_id(self._response_id, index),
            name=call.name,
            arguments=arguments,
            signature=signature,
        )

    def _finish(self, reason: str) -> Finish:
        if reason in _FAILED:
            raise bad_answer(_FAILED[reason])
        if reason == "MISSING_THOUGHT_SIGNATURE":
            raise ProviderError(
                "The upstream misses the signatures of earlier tool calls.",
                kind=Kind.CAPABILITY,
                scope=Scope.REQUEST,
            )
        if reason == "PUP_LIMITED_DISABLED":
            raise ProviderError(
                "The upstream has limited or disabled the account.",
                kind=Kind.AUTH,
                scope=Scope.KEY,
                hint="Look into the account with the vendor; its use policy was applied.",
            )
        if reason in _BLOCKED and not self._spoke:
            raise _moderated("its answer", reason)
        self.finished = True
        finish = _FINISH.get(reason, FinishReason.STOP)
        if finish is FinishReason.STOP and self._calls:
            finish = FinishReason.TOOL_CALLS  # this dialect says STOP after calling tools
        return Finish(finish)


def _thought(text: str, signature: str | None) -> ReasoningDelta:
    return ReasoningDelta(text, signature, dialect=Dialect.GEMINI if signature else None)


def _made_id(response_id: str, index: int) -> str:
    """Name a call that the vendor gave no id: unique in the conversation, if the answer has one."""
    unique = re.sub(r"[^A-Za-z0-9]", "", response_id)[:24]
    return f"call_{unique}_{index}" if unique else f"call_{index}"


def _read_usage(raw: msgspec.Raw) -> Usage | None:
    """Return the token counts; None (unknown, not 0) when they are absent or make no sense."""
    if bytes(raw) in {b"", b"null"}:
        return None
    try:
        wire = _usage.decode(raw)
    except msgspec.DecodeError:
        return None
    if wire.prompt_token_count is None:
        return None
    counts = Usage(
        input_tokens=wire.prompt_token_count + (wire.tool_use_prompt_token_count or 0),
        output_tokens=(wire.candidates_token_count or 0) + (wire.thoughts_token_count or 0),
        cached_tokens=wire.cached_content_token_count or 0,
        reasoning_tokens=wire.thoughts_token_count or 0,
    )
    numbers = (wire.prompt_token_count, wire.candidates_token_count or 0, counts.input_tokens)
    return None if min(*numbers, counts.cached_tokens, counts.reasoning_tokens) < 0 else counts


def _no_answer() -> ProviderError:
    return bad_answer("an answer that is no generateContent response")


def _moderated(what: str, reason: str) -> ProviderError:
    word = re.sub(r"[^A-Z_]", "", reason)[:40] or "OTHER"
    return ProviderError(
        f"The upstream blocked {what} ({word}).",
        kind=Kind.MODERATION,
        scope=Scope.REQUEST,
        hint="Rephrase the request.",
    )
