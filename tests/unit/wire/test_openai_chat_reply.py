from __future__ import annotations

import json

import pytest

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
from ymera.core.chat import ToolCall
from ymera.core.errors import (
    BudgetExceeded,
    Forbidden,
    InvalidRequest,
    NoRoute,
    ProviderError,
    ProviderErrorKind,
    RateLimited,
    Unauthenticated,
    YmeraError,
)
from ymera.core.usage import Usage
from ymera.wire.openai_chat import (
    StreamEncoder,
    encode_answer,
    encode_error,
    encode_model,
    encode_models,
)
from ymera.wire.sse import SSEParser

USAGE = Usage(input_tokens=9, output_tokens=3, cached_tokens=4, reasoning_tokens=1)
WIRE_USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def encoder(*, include_usage: bool = True) -> StreamEncoder:
    return StreamEncoder("chatcmpl-1", 5, "m", include_usage=include_usage)


def payloads(sent: bytes) -> list[object]:
    return ["[DONE]" if data == b"[DONE]" else json.loads(data) for data in SSEParser().feed(sent)]


def chunk(finish_reason: str | None = None, **delta: object) -> dict[str, object]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


def test_a_whole_answer_has_every_field_that_strict_clients_want() -> None:
    answer = ChatAnswer(text="Hi", finish_reason=FinishReason.STOP, reasoning="hm", usage=USAGE)

    assert json.loads(encode_answer(answer, id="chatcmpl-1", created=5, model="m")) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi",
                    "refusal": None,
                    "reasoning_content": "hm",
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": WIRE_USAGE,
    }


def test_an_answer_of_tool_calls_alone_has_null_content_and_unknown_usage_stays_unknown() -> None:
    answer = ChatAnswer(
        text="",
        finish_reason=FinishReason.TOOL_CALLS,
        tool_calls=(ToolCall(id="a", name="f", arguments="{}"),),
    )

    body = json.loads(encode_answer(answer, id="i", created=5, model="m"))

    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    }
    assert body["usage"] is None


@pytest.mark.proves("wire.openai-round-trip")
def test_a_stream_begins_with_the_role_and_ends_with_usage_and_done() -> None:
    stream = encoder()
    events: list[ChatEvent] = [
        ReasoningDelta("hm"),
        TextDelta("Hi"),
        UsageReport(USAGE),
        Finish(FinishReason.STOP),
    ]

    sent = b"".join(stream.encode(event) for event in events) + stream.end()

    assert payloads(sent) == [
        chunk(role="assistant", reasoning_content="hm"),
        chunk(content="Hi"),
        chunk("stop"),
        {**chunk(), "choices": [], "usage": WIRE_USAGE},
        "[DONE]",
    ]


@pytest.mark.parametrize(("include_usage", "known"), [(False, True), (True, False)])
def test_the_usage_chunk_is_left_out_when_not_wanted_or_not_known(
    include_usage: bool, known: bool
) -> None:
    stream = encoder(include_usage=include_usage)
    sent = stream.encode(UsageReport(USAGE)) if known else b""

    sent += stream.encode(Finish(FinishReason.LENGTH)) + stream.end()

    assert payloads(sent) == [chunk("length", role="assistant"), "[DONE]"]


def test_a_streamed_tool_call_is_named_in_its_first_piece_only() -> None:
    stream = encoder()
    events = [
        ToolCallDelta(index=0, id="a", name="f", arguments=""),
        ToolCallDelta(index=0, arguments="{}"),
        ToolCallDelta(index=1),
    ]

    sent = b"".join(stream.encode(event) for event in events)

    first = {
        "index": 0,
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": ""},
    }
    nameless = {
        "index": 1,
        "id": "call_1",
        "type": "function",
        "function": {"name": "", "arguments": ""},
    }
    assert payloads(sent) == [
        chunk(role="assistant", tool_calls=[first]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
        chunk(tool_calls=[nameless]),
    ]


@pytest.mark.proves("wire.broken-stream")
def test_a_broken_stream_ends_in_an_error_without_finish_reason_or_done() -> None:
    stream = encoder()
    error = ProviderError("It broke.", kind=ProviderErrorKind.TRANSIENT)

    sent = stream.encode(TextDelta("Hi")) + stream.error(error)

    assert payloads(sent) == [
        chunk(role="assistant", content="Hi"),
        {
            "error": {
                "message": "It broke.",
                "type": "upstream_error",
                "param": None,
                "code": "provider_error",
            }
        },
    ]


@pytest.mark.proves("wire.broken-stream")
def test_an_answer_that_never_finished_is_not_ended_as_if_it_had() -> None:
    stream = encoder()

    sent = stream.encode(TextDelta("Hi")) + stream.end()

    assert b"[DONE]" not in sent
    assert b'"error"' in sent


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("m", hint="h", param="p"), "invalid_request_error"),
        (Unauthenticated("m", hint="h", param="p"), "authentication_error"),
        (Forbidden("m", hint="h", param="p"), "permission_error"),
        (BudgetExceeded("m", hint="h", param="p"), "insufficient_quota"),
    ],
)
def test_an_error_says_message_hint_type_parameter_and_code(error: YmeraError, kind: str) -> None:
    assert json.loads(encode_error(error)) == {
        "error": {"message": "m. h", "type": kind, "param": "p", "code": error.code}
    }


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RateLimited("m", retry_after_s=1, limit=2), "rate_limit_error"),
        (NoRoute("m"), "server_error"),
    ],
)
def test_an_error_without_hint_is_its_message(error: YmeraError, kind: str) -> None:
    assert json.loads(encode_error(error)) == {
        "error": {"message": "m", "type": kind, "param": None, "code": error.code}
    }


def test_models_are_listed_as_clients_expect() -> None:
    row = {"id": "auto", "object": "model", "created": 5, "owned_by": "ymera"}

    assert json.loads(encode_models(["auto"], 5)) == {"object": "list", "data": [row]}
    assert json.loads(encode_model("auto", 5)) == row
