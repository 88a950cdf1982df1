"""What callers of the Messages dialect are answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

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
from ymera.core.chat import ChatRequest, Message, Role, TextPart, ToolCall, ToolSpec
from ymera.core.errors import (
    BudgetExceeded,
    Forbidden,
    GuardBlocked,
    InvalidRequest,
    NoRoute,
    ProviderError,
    RateLimited,
    TooLong,
    Unauthenticated,
    UnknownModel,
    YmeraError,
)
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.anthropic import (
    ListedModel,
    StreamEncoder,
    decode_request,
    encode_answer,
    encode_error,
    encode_models,
)
from ymera.wire.codec import AnswerHead
from ymera.wire.sse import SSEParser

pytestmark = pytest.mark.proves("wire.anthropic-events")

REQUEST = ChatRequest(
    model="auto",
    messages=(Message(role=Role.USER, content=(TextPart("x" * 360),)),),
    tools=(ToolSpec(name="f", description="y" * 36, parameters=msgspec.Raw(b'{"type":"object"}')),),
)
HEAD = AnswerHead(id="req_1", created=1, model="anthropic/m", request=REQUEST)
USAGE = Usage(input_tokens=100, output_tokens=8, cached_tokens=70, reasoning_tokens=5)
WIRE_USAGE = {
    "input_tokens": 30,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 70,
    "output_tokens": 8,
    "output_tokens_details": {"thinking_tokens": 5},
}


def plain(**fields: Any) -> dict[str, Any]:
    given = {"text": "", "finish_reason": FinishReason.STOP, **fields}
    decoded: dict[str, Any] = json.loads(encode_answer(ChatAnswer(**given), HEAD))
    return decoded


def streamed(*events: ChatEvent) -> list[dict[str, Any]]:
    encoder = StreamEncoder(HEAD)
    return parsed(b"".join(map(encoder.encode, events)) + encoder.end())


def parsed(sent: bytes) -> list[dict[str, Any]]:
    """Return the events; each names itself twice, in the event's line and in its data."""
    found = [json.loads(data) for data in SSEParser().feed(sent)]
    named = [line[7:] for line in sent.decode().splitlines() if line.startswith("event: ")]
    assert named == [event["type"] for event in found]
    return found


@pytest.mark.proves("wire.anthropic-usage")
def test_a_whole_answer() -> None:
    body = plain(text="Hello", usage=USAGE)
    assert body == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "anthropic/m",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": WIRE_USAGE,
    }


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "end_turn"),
        (FinishReason.LENGTH, "max_tokens"),
        (FinishReason.TOOL_CALLS, "tool_use"),
        (FinishReason.CONTENT_FILTER, "refusal"),
    ],
)
def test_why_it_stopped(reason: FinishReason, word: str) -> None:
    assert plain(finish_reason=reason)["stop_reason"] == word
    *_, last, closing = streamed(TextDelta("a"), Finish(reason))
    assert last["delta"] == {"stop_reason": word, "stop_sequence": None}
    assert closing == {"type": "message_stop"}


@pytest.mark.parametrize(
    ("fields", "blocks"),
    [
        ({"reasoning": "hm"}, [{"type": "thinking", "thinking": "hm", "signature": ""}]),
        ({"reasoning": "hm", "reasoning_signature": "S"},
         [{"type": "thinking", "thinking": "hm", "signature": "S"}]),
        ({"reasoning_signature": "D", "reasoning_redacted": True},
         [{"type": "redacted_thinking", "data": "D"}]),
        ({"reasoning": "hm", "reasoning_signature": "D", "reasoning_redacted": True},
         [{"type": "thinking", "thinking": "hm", "signature": ""},
          {"type": "redacted_thinking", "data": "D"}]),
        ({"text": "", "tool_calls": (ToolCall(id="t 1", name="f", arguments="[1"),)},
         [{"type": "tool_use", "id": "toolu_4d0e7fce8bbb5ec4d4b1bb10", "name": "f",
           "input": {"_raw": "[1"}}]),
        ({}, []),
    ],
)  # fmt: skip
def test_blocks_of_a_whole_answer(fields: dict[str, Any], blocks: list[Any]) -> None:
    content = plain(**fields)["content"]
    for block, expected in zip(content, blocks, strict=True):
        if "id" in expected:
            assert block["id"].startswith("toolu_")
            assert len(block["id"]) == len(expected["id"])
            block["id"] = expected["id"]
    assert content == blocks


@pytest.mark.proves("wire.signature-owner")
def test_another_vendors_signature_is_not_shown_as_this_dialects() -> None:
    [block] = plain(reasoning="hm", reasoning_signature="c2ln", reasoning_dialect=Dialect.GEMINI)[
        "content"
    ]
    assert block == {"type": "thinking", "thinking": "hm", "signature": ""}

    events = streamed(
        ReasoningDelta("hm", "c2ln", dialect=Dialect.GEMINI),
        ReasoningDelta("", "c2ln", redacted=True, dialect=Dialect.GEMINI),
        TextDelta("so"),
        Finish(FinishReason.STOP),
    )
    assert "c2ln" not in str(events)
    assert "redacted_thinking" not in str(events)


@pytest.mark.proves("wire.anthropic-usage")
def test_a_stream_opens_and_closes_each_block_once() -> None:
    events = streamed(
        RequestAdapted(("something",)),
        LimitsSeen(()),
        ReasoningDelta("h"),
        ReasoningDelta("m"),
        TextDelta(""),
        TextDelta("so"),
        ReasoningDelta("", signature="D", redacted=True),
        ReasoningDelta("again"),
        ReasoningDelta("", signature="S"),
        ReasoningDelta("anew"),
        ToolCallDelta(index=0, id="a", name="f", arguments="{}"),
        ToolCallDelta(index=1, id="b", name="g"),
        ToolCallDelta(index=1, arguments="{"),
        ToolCallDelta(index=1, arguments="}"),
        UsageReport(USAGE),
        Finish(FinishReason.TOOL_CALLS),
    )
    began = [event["content_block"]["type"] for event in events if "content_block" in event]
    assert began == [
        "thinking", "text", "redacted_thinking", "thinking", "thinking", "tool_use", "tool_use"
    ]  # fmt: skip
    open_at: list[int] = []
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert open_at == []
                open_at.append(event["index"])
            case "content_block_delta":
                assert open_at == [event["index"]]
            case "content_block_stop":
                assert open_at.pop() == event["index"]
    assert [e["index"] for e in events if e["type"] == "content_block_stop"] == list(range(7))
    assert [event["type"] for event in events].count("ping") == 1
    assert events[-2]["usage"] == WIRE_USAGE


def test_the_first_event_estimates_the_input_unless_it_is_known() -> None:
    first = streamed(TextDelta("a"), Finish(FinishReason.STOP))[0]
    assert first["message"]["usage"]["input_tokens"] == 115  # 360 + 36 + 17 characters at 3.6
    assert (first["message"]["content"], first["message"]["stop_reason"]) == ([], None)
    known = streamed(UsageReport(USAGE), TextDelta("a"), Finish(FinishReason.STOP))[0]
    usage = known["message"]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (30, 70)
    assert usage["output_tokens"] == 0


@pytest.mark.proves("wire.anthropic-unknown-usage")
def test_unknown_usage_is_null() -> None:
    assert plain()["usage"] == {"input_tokens": None, "output_tokens": None}
    *_, last, _ = streamed(TextDelta("a"), Finish(FinishReason.STOP))
    assert last["usage"] == {"input_tokens": None, "output_tokens": None}


@pytest.mark.parametrize(
    ("thinking", "shown"),
    [
        ({"thinking": {"type": "adaptive"}}, True),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": None}, False),
        ({}, False),
    ],
)
def test_reasoning_is_shown_to_who_asked_for_thinking(
    thinking: dict[str, Any], shown: bool
) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **thinking}
    request = decode_request(json.dumps(body).encode())
    head = AnswerHead(id="req_1", created=1, model="m", request=request)
    answer = ChatAnswer(text="so", reasoning="hm", finish_reason=FinishReason.STOP)
    blocks = json.loads(encode_answer(answer, head))["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text"][not shown :]

    encoder = StreamEncoder(head)
    pieces = [encoder.encode(ReasoningDelta("h")) for _ in range(20)]
    sent = b"".join([*pieces, encoder.encode(TextDelta("so"))])
    kinds = [event["type"] for event in parsed(sent)]
    assert kinds[0] == "message_start"
    assert kinds.count("content_block_delta") == (21 if shown else 1)
    # Who is shown nothing is sent a sign of life now and then.
    assert kinds.count("ping") == (1 if shown else 3)


def test_an_answer_without_content_is_still_one() -> None:
    kinds = [event["type"] for event in streamed(Finish(FinishReason.STOP))]
    assert kinds == ["message_start", "message_delta", "message_stop"]


@pytest.mark.proves("wire.broken-stream")
def test_a_stream_that_never_finished_ends_in_an_error() -> None:
    events = streamed(TextDelta("a"))
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "api_error"
    assert not {"message_delta", "message_stop"} & {event["type"] for event in events}


@pytest.mark.proves("wire.broken-stream")
@pytest.mark.parametrize(
    "between", [TextDelta("x"), ToolCallDelta(index=1, id="b", name="g")], ids=["text", "call"]
)
def test_pieces_of_a_call_that_is_over_break_the_stream(between: ChatEvent) -> None:
    encoder = StreamEncoder(HEAD)
    encoder.encode(ToolCallDelta(index=0, id="a", name="f", arguments="{"))
    encoder.encode(between)
    with pytest.raises(ProviderError):
        encoder.encode(ToolCallDelta(index=0, arguments="}"))


@pytest.mark.proves("wire.anthropic-errors")
@pytest.mark.parametrize(
    ("error", "word"),
    [
        (InvalidRequest("No.", param="max_tokens"), "invalid_request_error"),
        (UnknownModel("No."), "not_found_error"),
        (TooLong("No."), "request_too_large"),
        (Unauthenticated("No."), "authentication_error"),
        (Forbidden("No."), "permission_error"),
        (RateLimited("No.", retry_after_s=1, limit=1), "rate_limit_error"),
        (BudgetExceeded("No."), "billing_error"),
        (GuardBlocked("No.", guard="g"), "invalid_request_error"),
        (NoRoute("No."), "overloaded_error"),
        (ProviderError("No.", kind=Kind.UPSTREAM_BUSY), "overloaded_error"),
        (ProviderError("No.", kind=Kind.QUOTA_DAY), "rate_limit_error"),
        (ProviderError("No.", kind=Kind.AUTH), "api_error"),
        (YmeraError("No."), "api_error"),
    ],
)
def test_our_errors_in_this_dialects_words(error: YmeraError, word: str) -> None:
    error.hint, error.request_id = "Do so.", "req_1"
    assert json.loads(encode_error(error)) == {
        "type": "error",
        "error": {
            "type": word,
            "message": "No. Do so.",
            "details": {"error_code": error.code, "param": error.param},
        },
        "request_id": "req_1",
    }


MODELS = [ListedModel(id=f"m{n}", name=f"M {n}", context_window=n) for n in range(5)]
CREATED = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.proves("server.messages-models")
@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ({}, "m0 m1 m2 m3 m4", False),
        ({"limit": "2"}, "m0 m1", True),
        ({"limit": "2", "after_id": "m1"}, "m2 m3", True),
        ({"limit": "2", "after_id": "m2"}, "m3 m4", False),
        ({"limit": "2", "before_id": "m3"}, "m1 m2", True),
        ({"limit": "5", "before_id": "m1"}, "m0", False),
        ({"after_id": "m0", "before_id": "m3"}, "m1 m2", False),
        ({"limit": "1", "after_id": "m0", "before_id": "m3"}, "m1", True),
        ({"after_id": "m4"}, "", False),
    ],
)
def test_the_model_list_has_pages(query: dict[str, str], ids: str, more: bool) -> None:
    page = json.loads(encode_models(MODELS, CREATED, query))
    assert [entry["id"] for entry in page["data"]] == ids.split()
    assert page["has_more"] is more
    assert (page["first_id"], page["last_id"]) == (
        (ids.split(maxsplit=1)[0], ids.rsplit(maxsplit=1)[-1]) if ids else (None, None)
    )


@pytest.mark.proves("server.messages-models")
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "9" * 20}, "limit"),
        ({"limit": "¹"}, "limit"),
        ({"after_id": "x"}, "after_id"),
        ({"before_id": "x"}, "before_id"),
    ],
)
def test_a_page_that_makes_no_sense_is_named(query: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode_models(MODELS, CREATED, query)
    assert caught.value.param == param
