"""Answers to our callers, whole or streamed, and the model list."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ymera.core.answer import (
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
from ymera.core.errors import ProviderError, ProviderErrorKind, YmeraError
from ymera.core.usage import Usage
from ymera.wire.codec import AnswerHead
from ymera.wire.openai_chat.errors import encode_error
from ymera.wire.sse import sse_event

__all__ = [
    "StreamEncoder",
    "answer_for",
    "encode_answer",
    "encode_model",
    "encode_models",
    "stream_encoder_for",
]

_encode = msgspec.json.encode


def encode_answer(answer: ChatAnswer, *, id: str, created: int, model: str) -> bytes:
    """Return the body of a whole answer.

    Args:
        answer: what the model said.
        id: of this answer, by habit `chatcmpl-...`.
        created: Unix time in seconds.
        model: name of the model that answered.
    """
    message: dict[str, object] = {
        "role": "assistant",
        "content": None if answer.tool_calls and not answer.text else answer.text,
        "refusal": None,
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.tool_calls
        ]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    return _encode(
        {
            "id": id,
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [choice],
            "usage": None if answer.usage is None else _wire_usage(answer.usage),
        }
    )


def answer_for(answer: ChatAnswer, head: AnswerHead) -> bytes:
    """Return the body of a whole answer to a request of ours."""
    return encode_answer(answer, id=_id(head), created=head.created, model=head.model)


def stream_encoder_for(head: AnswerHead) -> StreamEncoder:
    """Return what writes a streamed answer to a request of ours."""
    usage = head.request.include_usage
    return StreamEncoder(_id(head), head.created, head.model, include_usage=usage)


def _id(head: AnswerHead) -> str:
    return head.id.replace("req_", "chatcmpl-", 1)


def encode_models(ids: Iterable[str], created: int) -> bytes:
    """Return the model list; `created` is Unix time in seconds."""
    rows = [_wire_model(one, created) for one in ids]
    return _encode({"object": "list", "data": rows})


def encode_model(id: str, created: int) -> bytes:
    """Return one entry of the model list, as `GET {base}/models/{id}` answers."""
    return _encode(_wire_model(id, created))


def _wire_model(id: str, created: int) -> dict[str, object]:
    return {"id": id, "object": "model", "created": created, "owned_by": "ymera"}


def _wire_usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


class StreamEncoder:
    """Turns chat events into the bytes of a streamed answer.

    Call `encode` for each event, then `end` once; or `error` when the answer breaks off, and then
    nothing more: a broken stream carries neither a finish reason nor `[DONE]`.

    Args:
        id: of this answer, the same in every chunk.
        created: Unix time in seconds.
        model: name of the model that answers.
        include_usage: whether the caller asked for a closing usage chunk.
    """

    def __init__(self, id: str, created: int, model: str, *, include_usage: bool) -> None:
        head = {
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._head = _encode(head)[:-1] + b',"choices":'
        self._include_usage = include_usage
        self._usage: Usage | None = None
        self._begun = False
        self._finished = False
        self._calls: set[int] = set()

    def encode(self, event: ChatEvent) -> bytes:
        """Return the server-sent event for one chat event; empty for usage, which `end` writes."""
        match event:
            case TextDelta():
                return self._delta({"content": event.text})
            case ReasoningDelta():
                return self._delta({"reasoning_content": event.text})
            case ToolCallDelta():
                return self._delta({"tool_calls": [self._call(event)]})
            case UsageReport():
                self._usage = event.usage
                return b""
            case Finish():
                self._finished = True
                return self._delta({}, event.reason)
            case RequestAdapted() | LimitsSeen():
                return b""

    def end(self) -> bytes:
        """Return the usage chunk, if asked for and known, and `[DONE]`.

        An answer that never finished is ended by an error instead.
        """
        if not self._finished:
            return self.error(
                ProviderError(
                    "The answer ended before it was complete.", kind=ProviderErrorKind.TRANSIENT
                )
            )
        closing = b""
        if self._include_usage and self._usage is not None:
            usage = _encode(_wire_usage(self._usage))
            closing = sse_event(b'%b[],"usage":%b}' % (self._head, usage))
        return closing + sse_event(b"[DONE]")

    def error(self, error: YmeraError) -> bytes:
        """Return the event that tells the caller, mid-stream, what went wrong."""
        return sse_event(encode_error(error))

    def _delta(self, delta: dict[str, object], finish: FinishReason | None = None) -> bytes:
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", **delta}
        reason = b"null" if finish is None else b'"%b"' % finish.value.encode()
        return sse_event(
            b'%b[{"index":0,"delta":%b,"finish_reason":%b}]}' % (self._head, _encode(delta), reason)
        )

    def _call(self, event: ToolCallDelta) -> dict[str, object]:
        if event.index in self._calls:
            return {"index": event.index, "function": {"arguments": event.arguments}}
        self._calls.add(event.index)
        return {
            "index": event.index,
            "id": event.id or f"call_{event.index}",
            "type": "function",
            "function": {"name": event.name or "", "arguments": event.arguments},
        }
