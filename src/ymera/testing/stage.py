"""Performs one answer, and whatever is to go wrong with it, for one caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec

from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, ToolCall
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.testing.faults import PAGE, Fault, page_for, refusal_for
from ymera.testing.http import Exchange
from ymera.testing.refusals import body_of, error_event, headers_of
from ymera.testing.speech import Voice
from ymera.wire.codec import AnswerHead, Framing

__all__ = ["CREATED", "Pause", "perform", "send_fault", "spoilt"]

CREATED = 1_760_000_000
"""Unix time that every simulated answer and model was made at."""

Pause = Callable[[int], Awaitable[None]]

_SPOILT_BEFORE_IT_IS_SENT = frozenset(
    {Fault.MISSING_USAGE, Fault.WRONG_USAGE, Fault.EMPTY, Fault.BAD_ARGUMENTS}
    | {Fault.BROKEN_JSON, Fault.WRONG_JSON}
)
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


async def send_fault(
    exchange: Exchange,
    fault: Fault,
    voice: Voice,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> bool | None:
    """Send what `fault` puts in place of an answer; None when it is of another sort."""
    if (page := page_for(fault)) is not None:
        status, body, content_type = page
        return await exchange.send(status, body, content_type)
    if (refusal := refusal_for(fault)) is None:
        return None
    dialect, habits = voice.dialect.dialect, voice.habits
    body = body_of(refusal, dialect, habits.words)
    said = headers_of(refusal, dialect, retry_after=habits.retry_after)
    return await exchange.send(refusal.status, body, headers={**headers, **said})


def spoilt(answer: ChatAnswer, request: ChatRequest, fault: Fault | None) -> ChatAnswer:
    """Return `answer` with what `fault` does to its content."""
    if fault not in _SPOILT_BEFORE_IT_IS_SENT:
        return answer
    replace = msgspec.structs.replace
    match fault:
        case Fault.MISSING_USAGE:
            return replace(answer, usage=None)
        case Fault.WRONG_USAGE:
            return replace(answer, usage=Usage(input_tokens=-7, output_tokens=-1))
        case Fault.EMPTY:
            return replace(answer, text="", tool_calls=(), finish_reason=FinishReason.LENGTH)
        case Fault.BROKEN_JSON | Fault.WRONG_JSON:
            return _misshapen(answer, request, fault)
    if not request.tools:
        return answer
    call = ToolCall(id="call_1", name=request.tools[0].name, arguments='{"a": 1,')
    return replace(answer, text="", tool_calls=(call,), finish_reason=FinishReason.TOOL_CALLS)


def _misshapen(answer: ChatAnswer, request: ChatRequest, fault: Fault) -> ChatAnswer:
    """Return structured output that a repair can mend, or JSON of another shape."""
    if request.response_format is None or not answer.text:
        return answer
    said, end = answer.text[:-1], answer.text[-1]
    if fault is Fault.WRONG_JSON:
        wrong = '{"not": "what was asked for"}' if end == "]" else '["not what was asked for"]'
        return msgspec.structs.replace(answer, text=wrong)
    comma = "," if end in "]}" and len(said) > 1 else ""
    return msgspec.structs.replace(answer, text=f"Here it is:\n```json\n{said}{comma}{end}\n```")


async def perform(
    exchange: Exchange,
    voice: Voice,
    request: ChatRequest,
    answer: ChatAnswer,
    *,
    fault: Fault | None = None,
    pause: Pause | None = None,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> bool:
    """Send an answer, or the beginning of one; return whether the connection is kept."""
    if fault is Fault.SLOW_FIRST_BYTE:
        await exchange.say_nothing()
    if fault is Fault.CUT_BEFORE_HEAD:
        return False
    if fault is Fault.CUT_MID_HEAD:
        return await exchange.send_half_a_head()
    head = AnswerHead(id="req_sim", created=CREATED, model=request.model, request=request)
    answer = spoilt(answer, request, fault)
    if request.stream:
        return await _stream(exchange, voice, head, answer, fault, pause, headers)
    if fault is Fault.ERROR_EVENT:
        return await exchange.send(200, _died(voice), headers=headers)
    body = voice.whole(answer, head)
    match fault:
        case Fault.STALL | Fault.CUT_MID_STREAM:
            return await exchange.send_half(body, headers, stall=fault is Fault.STALL)
        case Fault.BAD_CHUNK | Fault.NO_FINISH:
            return await exchange.send(200, body[: len(body) // 2], headers=headers)
    return await exchange.send(200, body, headers=headers)


def _died(voice: Voice) -> bytes:
    event = error_event(voice.dialect.dialect)
    return event.partition(b"data: ")[2].strip() or event.strip()


async def _stream(
    exchange: Exchange,
    voice: Voice,
    head: AnswerHead,
    answer: ChatAnswer,
    fault: Fault | None,
    pause: Pause | None,
    headers: Mapping[str, str],
) -> bool:
    exchange.begin(f"{voice.dialect.framing.value}; charset=utf-8", headers)
    number = 0
    for piece in voice.pieces(answer, head):
        if pause is not None and piece.event:
            await pause(number)
            number += 1
        if piece.finishes and fault is Fault.NO_FINISH:
            break
        await exchange.piece(piece.data)
        if piece.finishes and fault is Fault.DUPLICATE_FINISH:
            await exchange.piece(piece.data)
        if not piece.says:
            continue
        match fault:
            case Fault.STALL:
                await exchange.say_nothing()
            case Fault.CUT_MID_STREAM:
                return False
            case Fault.ERROR_EVENT:
                await exchange.piece(error_event(voice.dialect.dialect))
                break
            case Fault.BAD_CHUNK:
                await exchange.piece(_garbage(voice))
    return await exchange.end()


def _garbage(voice: Voice) -> bytes:
    """Return an event that breaks off in the middle of its JSON."""
    broken = b'{"choices":[{"index":0,"delta":{"content":"' + PAGE[:20]
    if voice.dialect.framing is Framing.NDJSON:
        return broken + b"\n"
    if voice.dialect.dialect is Dialect.GEMINI:
        return b"data: " + broken + b"\r\n\r\n"
    return b"data: " + broken + b"\n\n"
