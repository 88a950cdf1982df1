"""Whole answers, and what whole and streamed ones share: the response object and its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ToolCall
from ymera.core.errors import (
    GuardBlocked,
    ProviderError,
    ProviderErrorKind,
    RateLimited,
    TooLong,
    YmeraError,
)
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.codec import AnswerHead
from ymera.wire.openai_responses.tools import (
    Kind,
    Offered,
    freeform_input,
    offered_tools,
    shell_action,
)

__all__ = [
    "COMPLETED",
    "FAILED",
    "INCOMPLETE",
    "IN_PROGRESS",
    "ResponseBody",
    "call_item",
    "encode_answer",
    "item_id",
    "message_item",
    "reasoning_item",
    "status_of",
]

IN_PROGRESS, COMPLETED, INCOMPLETE, FAILED = "in_progress", "completed", "incomplete", "failed"

_encode = msgspec.json.encode
_REASONS = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
}
_ECHOED: Mapping[str, bytes] = {
    "instructions": b"null",
    "max_output_tokens": b"null",
    "max_tool_calls": b"null",
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "prompt_cache_key": b"null",
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": b"null",
    "temperature": b"1.0",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_p": b"1.0",
    "user": b"null",
}
"""Fields of a request that its answer repeats, and what stands there when it had none."""

_ALWAYS = (
    b'"background":false,"previous_response_id":null,"service_tier":"default","store":false,'
    b'"top_logprobs":0,"truncation":"disabled"'
)
"""Nothing is stored, truncated or done in the background, whatever was asked."""


class ResponseBody:
    """Writes the response object at each stage of one answer.

    Args:
        head: what the answer says of itself.
    """

    def __init__(self, head: AnswerHead) -> None:
        start = {"id": item_id(head, "resp"), "object": "response", "created_at": head.created}
        self._start = _encode(start)[:-1]
        verbatim = head.request.verbatim
        ours = verbatim is not None and verbatim.dialect is Dialect.OPENAI_RESPONSES
        given = verbatim.fields if verbatim is not None and ours else {}
        echoes = (
            b'"%b":%b' % (name.encode(), _or_default(given.get(name), default))
            for name, default in _ECHOED.items()
        )
        self._rest = b",".join((b'"model":%b' % _encode(head.model), *echoes, _ALWAYS))

    def write(
        self,
        status: str,
        output: Sequence[bytes] = (),
        *,
        usage: Usage | None = None,
        reason: str | None = None,
        error: YmeraError | None = None,
    ) -> bytes:
        """Return the object.

        Args:
            status: in_progress, completed, incomplete or failed.
            output: the items, encoded.
            usage: None while or where it is not known.
            reason: why it is incomplete.
            error: why it failed.
        """
        about = {
            "status": status,
            "error": None if error is None else _error(error),
            "incomplete_details": None if reason is None else {"reason": reason},
        }
        spent = _encode(None if usage is None else _wire_usage(usage))
        parts = (self._start, _encode(about)[1:-1], b",".join(output), self._rest, spent)
        return b'%b,%b,"output":[%b],%b,"usage":%b}' % parts


def encode_answer(answer: ChatAnswer, head: AnswerHead) -> bytes:
    """Return the body of a whole answer: reasoning, then text, then calls."""
    status, reason = status_of(answer.finish_reason)
    offered = offered_tools(head.request) if answer.tool_calls else {}
    written = bool(answer.text) or not (answer.tool_calls or answer.reasoning)
    count = bool(answer.reasoning) + written + len(answer.tool_calls)
    output: list[bytes] = []

    def item_status() -> str:
        return status if len(output) == count - 1 else COMPLETED  # only the last one was cut

    if answer.reasoning:
        id = item_id(head, "rs", len(output))
        output.append(_encode(reasoning_item(id, answer.reasoning, item_status())))
    if written:
        id = item_id(head, "msg", len(output))
        output.append(_encode(message_item(id, answer.text, item_status())))
    for call in answer.tool_calls:
        item = call_item(call, offered.get(call.name), head, len(output), item_status())
        output.append(_encode(item))
    return ResponseBody(head).write(status, output, usage=answer.usage, reason=reason)


def status_of(finish: FinishReason) -> tuple[str, str | None]:
    """Return the status of an answer that ended so, and why it is incomplete if it is."""
    reason = _REASONS.get(finish)
    return (COMPLETED, None) if reason is None else (INCOMPLETE, reason)


def item_id(head: AnswerHead, prefix: str, index: int | None = None) -> str:
    """Return the id of the answer, or of its item at a place."""
    id = head.id.replace("req_", f"{prefix}_", 1)
    return id if index is None else f"{id}{index:02d}"


def reasoning_item(id: str, text: str | None, status: str) -> dict[str, object]:
    """Return the item of visible reasoning; `text` None leaves its summary empty."""
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {
        "id": id,
        "type": "reasoning",
        "summary": summary,
        "encrypted_content": None,
        "status": status,
    }


def message_item(id: str, text: str | None, status: str) -> dict[str, object]:
    """Return the item of a text; `text` None leaves its content empty."""
    part: dict[str, object] = {"type": "output_text", "text": text}
    part |= {"annotations": [], "logprobs": []}
    return {
        "id": id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [] if text is None else [part],
    }


def call_item(
    call: ToolCall, offered: Offered | None, head: AnswerHead, index: int, status: str
) -> dict[str, object]:
    """Return the item of a call, in the shape the caller offered the tool in.

    Args:
        call: the call; while it is not whole, its arguments are empty.
        offered: how the caller knows the tool; None for a plain function.
        head: of the answer.
        index: place of the item in the answer.
        status: of the item.
    """
    known = offered or Offered(Kind.FUNCTION, call.name)
    if known.kind is Kind.SHELL and (action := shell_action(call)) is not None:
        return {
            "id": item_id(head, "lsh", index),
            "type": Kind.SHELL.value,
            "status": status,
            "call_id": call.id,
            "action": action,
        }
    item: dict[str, object] = {"status": status, "call_id": call.id, "name": known.name}
    if known.namespace is not None:
        item["namespace"] = known.namespace
    if known.kind is Kind.CUSTOM:
        text = freeform_input(call.arguments)
        start = {"id": item_id(head, "ctc", index), "type": Kind.CUSTOM.value}
        return {**start, **item, "input": text}
    start = {"id": item_id(head, "fc", index), "type": Kind.FUNCTION.value}
    return {**start, **item, "arguments": call.arguments}


def _or_default(raw: msgspec.Raw | None, default: bytes) -> bytes:
    held = b"" if raw is None else bytes(raw)
    return default if held in {b"", b"null"} else held.replace(b"\r", b" ").replace(b"\n", b" ")


def _wire_usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


_QUOTAS = frozenset(
    {
        ProviderErrorKind.QUOTA_MINUTE,
        ProviderErrorKind.QUOTA_DAY,
        ProviderErrorKind.QUOTA_MONTH,
    }
)


def _error(error: YmeraError) -> dict[str, object]:
    """Return what a failed response says of its failure, in the words this dialect has for it."""
    kind = error.kind if isinstance(error, ProviderError) else None
    if isinstance(error, TooLong) or kind is ProviderErrorKind.TOO_LARGE:
        code = TooLong.code
    elif isinstance(error, RateLimited) or kind in _QUOTAS:
        code = RateLimited.code
    elif isinstance(error, GuardBlocked) or kind is ProviderErrorKind.MODERATION:
        code = "invalid_prompt"
    else:
        code = "server_error"
    hint = f" {error.hint}" if error.hint else ""
    return {"code": code, "message": f"{error.message}{hint}"}
