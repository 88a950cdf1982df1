"""Answers to our callers, whole or streamed."""

from __future__ import annotations

import re

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
from ymera.core.chat import ToolCall
from ymera.core.errors import ProviderError, ProviderErrorKind, YmeraError
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.codec import AnswerHead
from ymera.wire.gemini.errors import encode_error
from ymera.wire.signatures import marked
from ymera.wire.sse import sse_event
from ymera.wire.tool_arguments import arguments_as_object

__all__ = ["StreamEncoder", "encode_answer"]

_encode = msgspec.json.encode
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")

_REASONS = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
}


def encode_answer(answer: ChatAnswer, head: AnswerHead) -> bytes:
    """Return the body of a whole answer."""
    parts: list[dict[str, object]] = []
    parts += _thought(answer.reasoning_for(Dialect.GEMINI), head.model)
    if answer.text:
        parts.append({"text": answer.text})
    parts += [_call(call, head.model) for call in answer.tool_calls]
    candidate = _candidate(parts or [{"text": ""}], answer.finish_reason)
    body: dict[str, object] = {"candidates": [candidate]}
    if answer.usage is not None:
        body["usageMetadata"] = _wire_usage(answer.usage)
    return _encode(body | _about(head))


def _about(head: AnswerHead) -> dict[str, object]:
    return {"modelVersion": head.model, "responseId": head.id.removeprefix("req_")}


def _candidate(
    parts: list[dict[str, object]], finish: FinishReason | None = None
) -> dict[str, object]:
    content = {"role": "model", "parts": parts}
    if finish is None:
        return {"content": content, "index": 0}
    return {"content": content, "finishReason": _REASONS[finish], "index": 0}


def _thought(shown: ReasoningDelta, model_id: str) -> list[dict[str, object]]:
    """Return reasoning as parts; its signature only where it has the form of this dialect's."""
    signed: dict[str, object] = {}
    if shown.redacted:
        return []
    if shown.signature and _BASE64.fullmatch(shown.signature):
        signed = {"thoughtSignature": _marked(shown.signature, model_id)}
    if shown.text:
        return [{"text": shown.text, "thought": True, **signed}]
    return [{"text": "", **signed}] if signed else []


def _marked(signature: str, model_id: str) -> str:
    return marked(signature, model_id, Dialect.GEMINI)


def _call(call: ToolCall, model_id: str) -> dict[str, object]:
    arguments, _ = arguments_as_object(call.arguments)
    part: dict[str, object] = {
        "functionCall": {"id": call.id, "name": call.name, "args": arguments}
    }
    if call.signature:
        part["thoughtSignature"] = _marked(call.signature, model_id)
    return part


def _wire_usage(usage: Usage) -> dict[str, object]:
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cachedContentTokenCount": usage.cached_tokens,
        "totalTokenCount": usage.total_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input_tokens}],
    }


class StreamEncoder:
    """Turns chat events into the bytes of a streamed answer; see `ymera.wire.codec`.

    This dialect has no last word: an answer is complete when its last piece names the reason why it
    stopped. So that piece is written by `end`, with the usage; a broken stream never carries it.
    Tool calls come whole, when their last piece is known to have come.

    Args:
        head: what the answer says of itself.
    """

    def __init__(self, head: AnswerHead) -> None:
        self._about = _encode(_about(head))[1:]
        self._model_id = head.model
        self._usage: Usage | None = None
        self._finish: FinishReason | None = None
        self._calls: dict[int, list[ToolCallDelta]] = {}

    def encode(self, event: ChatEvent) -> bytes:
        """Return the server-sent event for one chat event; empty for what `end` writes."""
        match event:
            case TextDelta():
                return self._piece([{"text": event.text}]) if event.text else b""
            case ReasoningDelta():
                parts = _thought(event.for_callers_of(Dialect.GEMINI), self._model_id)
                return self._piece(parts) if parts else b""
            case ToolCallDelta():
                self._calls.setdefault(event.index, []).append(event)
                return b""
            case UsageReport():
                self._usage = event.usage
                return b""
            case Finish():
                self._finish = event.reason
                calls = [self._whole(index) for index in sorted(self._calls)]
                return self._piece(calls) if calls else b""
            case RequestAdapted() | LimitsSeen():
                return b""

    def end(self) -> bytes:
        """Return the last piece: why it stopped, and the usage where it is known.

        An answer that never finished is ended by an error instead.
        """
        if self._finish is None:
            return self.error(
                ProviderError(
                    "The answer ended before it was complete.", kind=ProviderErrorKind.TRANSIENT
                )
            )
        return self._piece([{"text": ""}], self._finish)

    def error(self, error: YmeraError) -> bytes:
        """Return the event that tells the caller, mid-stream, what went wrong."""
        return sse_event(encode_error(error))

    def _whole(self, index: int) -> dict[str, object]:
        pieces = self._calls[index]
        return _call(
            ToolCall(
                id=next((piece.id for piece in pieces if piece.id), f"call_{index}"),
                name=next((piece.name for piece in pieces if piece.name), ""),
                arguments="".join(piece.arguments for piece in pieces),
                signature=next((piece.signature for piece in pieces if piece.signature), None),
            ),
            self._model_id,
        )

    def _piece(self, parts: list[dict[str, object]], finish: FinishReason | None = None) -> bytes:
        body: dict[str, object] = {"candidates": [_candidate(parts, finish)]}
        if self._usage is not None:
            body["usageMetadata"] = _wire_usage(self._usage)
        return sse_event(b"%b,%b" % (_encode(body)[:-1], self._about))
