"""Answers to our callers, whole or streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from ymera.core.answer import (
    AnswerBuilder,
    ChatAnswer,
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
from ymera.core.chat import ToolCall
from ymera.core.errors import ProviderError, ProviderErrorKind, YmeraError
from ymera.core.usage import Usage
from ymera.wire.codec import AnswerHead
from ymera.wire.ollama.arguments import object_from
from ymera.wire.ollama.errors import encode_error

__all__ = [
    "StreamEncoder",
    "encode_answer",
    "encode_generated",
    "generate_encoder_for",
    "stream_encoder_for",
]

_encode = msgspec.json.encode
_Fields = dict[str, object]
_Say = Callable[[str, str, tuple[ToolCall, ...]], _Fields]
"""Text, reasoning and tool calls as the fields of a line."""

_DONE_REASONS = {FinishReason.TOOL_CALLS: FinishReason.STOP}


def encode_answer(answer: ChatAnswer, head: AnswerHead) -> bytes:
    """Return the body of a whole answer of `/api/chat`."""
    return _whole(answer, head, _in_chat)


def encode_generated(answer: ChatAnswer, head: AnswerHead) -> bytes:
    """Return the body of a whole answer of `/api/generate`."""
    return _whole(answer, head, _generated)


def stream_encoder_for(head: AnswerHead) -> StreamEncoder:
    """Return what writes a streamed answer of `/api/chat`."""
    return StreamEncoder(head, _in_chat)


def generate_encoder_for(head: AnswerHead) -> StreamEncoder:
    """Return what writes a streamed answer of `/api/generate`."""
    return StreamEncoder(head, _generated)


class StreamEncoder:
    """Turns chat events into lines.

    Call `encode` for each event, then `end` once; or `error` when the answer breaks off, and then
    nothing more: a broken stream has no line that is `done`.

    Args:
        head: what the answer says of itself.
        say: writes what was said.
    """

    def __init__(self, head: AnswerHead, say: _Say) -> None:
        self._head = head
        self._open = _encode(_opening(head))[:-1] + b","
        self._say = say
        self._calls = AnswerBuilder()
        self._usage: Usage | None = None
        self._finish: FinishReason | None = None
        self._first_s: float | None = None

    def encode(self, event: ChatEvent) -> bytes:
        """Return the line for one event; tool calls wait until they are whole."""
        match event:
            case TextDelta():
                return self._line(self._say(event.text, "", ()))
            case ReasoningDelta():
                return self._line(self._say("", event.text, ())) if event.text else b""
            case ToolCallDelta():
                self._note_first()
                self._calls.add(event)
            case UsageReport():
                self._usage = event.usage
            case Finish():
                self._finish = event.reason
                self._calls.add(event)
                if calls := self._calls.build().tool_calls:
                    return self._line(self._say("", "", calls))
            case RequestAdapted() | LimitsSeen():
                pass
        return b""

    def end(self) -> bytes:
        """Return the last line; an error for an answer that never finished."""
        if self._finish is None:
            return self.error(
                ProviderError(
                    "The answer ended before it was complete.", kind=ProviderErrorKind.TRANSIENT
                )
            )
        closing = _closing(self._finish, self._usage, self._head, self._first_s)
        return self._open + _encode({**self._say("", "", ()), **closing})[1:] + b"\n"

    def error(self, error: YmeraError) -> bytes:
        """Return the line that tells the caller, mid-stream, what went wrong."""
        return encode_error(error) + b"\n"

    def _line(self, said: _Fields) -> bytes:
        self._note_first()
        return self._open + _encode(said)[1:-1] + b',"done":false}\n'

    def _note_first(self) -> None:
        if self._first_s is None and self._head.elapsed_s is not None:
            self._first_s = self._head.elapsed_s()


def _whole(answer: ChatAnswer, head: AnswerHead, say: _Say) -> bytes:
    said = say(answer.text, answer.reasoning, answer.tool_calls)
    closing = _closing(answer.finish_reason, answer.usage, head, None)
    return _encode({**_opening(head), **said, **closing})


def _opening(head: AnswerHead) -> _Fields:
    at = datetime.fromtimestamp(head.created, UTC)
    return {"model": head.model, "created_at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}


def _in_chat(text: str, thinking: str, calls: tuple[ToolCall, ...]) -> _Fields:
    message: _Fields = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = _wire_calls(calls)
    return {"message": message}


def _generated(text: str, thinking: str, calls: tuple[ToolCall, ...]) -> _Fields:
    said: _Fields = {"response": text}
    if thinking:
        said["thinking"] = thinking
    if calls:
        said["tool_calls"] = _wire_calls(calls)
    return said


def _wire_calls(calls: Iterable[ToolCall]) -> list[object]:
    """Newer clients send the id back with the result; older ones do not look at it."""
    return [
        {
            "id": call.id,
            "function": {
                "index": index,
                "name": call.name,
                "arguments": object_from(call.arguments)[0],
            },
        }
        for index, call in enumerate(calls)
    ]


def _closing(
    finish: FinishReason, usage: Usage | None, head: AnswerHead, first_s: float | None
) -> _Fields:
    """Return the last line's figures, as far as they are known; durations in nanoseconds."""
    closing: _Fields = {"done": True, "done_reason": _DONE_REASONS.get(finish, finish)}
    if usage is not None:
        closing |= {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
    if head.elapsed_s is not None:
        total_s = head.elapsed_s()
        closing["total_duration"] = _nanoseconds(total_s)
        if first_s is not None:  # what came before the first piece was the prompt
            closing["prompt_eval_duration"] = _nanoseconds(first_s)
        closing["eval_duration"] = _nanoseconds(total_s - (first_s or 0.0))
    return closing


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
