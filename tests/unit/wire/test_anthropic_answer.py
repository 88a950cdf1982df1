"""What upstreams of the Messages dialect answer, as we read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ymera.core.answer import (
    AnswerBuilder,
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
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.anthropic import StreamDecoder, decode_answer, decode_error

pytestmark = pytest.mark.proves("wire.anthropic-answer")

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
USAGE = {"input_tokens": 9, "output_tokens": 3}
HELLO = [{"type": "text", "text": "Hello"}]


def answer(*content: object, stop: str | None = "end_turn", usage: object = None) -> bytes:
    return json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": list(content),
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": usage or USAGE,
        }
    ).encode()


def added_up(events: list[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


def read(*events: dict[str, Any], decoder: StreamDecoder | None = None) -> list[ChatEvent]:
    decoder = decoder or StreamDecoder()
    return [found for event in events for found in decoder.feed(json.dumps(event).encode())]


def start(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"content": [], "usage": usage}}


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **piece: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": piece}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None, **usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


PING = {"type": "ping"}
STOP = {"type": "message_stop"}


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("pause_turn", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("something_new", FinishReason.STOP),
        (None, FinishReason.STOP),
    ],
)
def test_why_it_stopped(word: str | None, reason: FinishReason) -> None:
    assert added_up(decode_answer(answer(*HELLO, stop=word))).finish_reason is reason
    events = read(start(**USAGE), begin(0, type="text", text="Hi"), end(word), STOP)
    assert added_up(events).finish_reason is reason


def test_a_whole_answer_gives_its_blocks_finish_and_usage_last() -> None:
    events = decode_answer(
        answer(
            {"type": "thinking", "thinking": "hm", "signature": "S"},
            {"type": "redacted_thinking", "data": "D"},
            *HELLO,
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        )
    )
    assert events == [
        ReasoningDelta("hm", "S", dialect=Dialect.ANTHROPIC),
        ReasoningDelta("", "D", redacted=True, dialect=Dialect.ANTHROPIC),
        TextDelta("Hello"),
        ToolCallDelta(index=0, id="toolu_1", name="add", arguments='{"a": 1}'),
        ToolCallDelta(index=1, id="toolu_2", name="now", arguments="{}"),
        Finish(FinishReason.TOOL_CALLS),
        UsageReport(Usage(input_tokens=9, output_tokens=3)),
    ]


def test_a_stream_gives_every_piece_as_it_comes() -> None:
    decoder = StreamDecoder()
    assert read(start(input_tokens=9, output_tokens=1), PING, decoder=decoder) == []
    assert read(begin(0, type="thinking", thinking="", signature=""), decoder=decoder) == []
    assert read(delta(0, type="thinking_delta", thinking="hm"), decoder=decoder) == [
        ReasoningDelta("hm")
    ]
    assert read(delta(0, type="signature_delta", signature="S"), stop(0), decoder=decoder) == [
        ReasoningDelta("", "S", dialect=Dialect.ANTHROPIC)
    ]
    assert read(begin(1, type="redacted_thinking", data="D"), stop(1), decoder=decoder) == [
        ReasoningDelta("", "D", redacted=True, dialect=Dialect.ANTHROPIC)
    ]
    assert read(
        begin(2, type="text", text=""),
        delta(2, type="text_delta", text="Hel"),
        delta(2, type="citations_delta", citation={}),
        delta(2, type="text_delta", text="lo"),
        decoder=decoder,
    ) == [TextDelta("Hel"), TextDelta("lo")]
    assert read(
        stop(2),
        begin(3, type="tool_use", id="toolu_1", name="add", input={}),
        delta(3, type="input_json_delta", partial_json=""),
        delta(3, type="input_json_delta", partial_json='{"a"'),
        delta(3, type="input_json_delta", partial_json=":1}"),
        stop(3),
        decoder=decoder,
    ) == [
        ToolCallDelta(index=0, id="toolu_1", name="add"),
        ToolCallDelta(index=0, arguments='{"a"'),
        ToolCallDelta(index=0, arguments=":1}"),
    ]
    assert read(end("tool_use", output_tokens=3), decoder=decoder) == []
    assert decoder.finished is False
    assert read(STOP, decoder=decoder) == [
        Finish(FinishReason.TOOL_CALLS),
        UsageReport(Usage(input_tokens=9, output_tokens=3)),
    ]
    assert (decoder.finished, decoder.done) == (True, True)
    assert read(STOP, decoder=decoder) == []


@pytest.mark.proves("wire.anthropic-signatures")
def test_several_signed_blocks_of_a_whole_answer_are_shown_and_not_signed() -> None:
    blocks = [{"type": "thinking", "thinking": text, "signature": text} for text in ("a", "b")]
    made = added_up(decode_answer(answer(*blocks, *HELLO)))
    assert (made.reasoning, made.reasoning_signature) == ("ab", None)


@pytest.mark.parametrize(("given", "text"), [({}, "{}"), ({"a": 1}, '{"a": 1}')])
def test_a_call_without_pieces_has_the_input_it_began_with(given: object, text: str) -> None:
    events = read(begin(0, type="tool_use", id="t", name="f", input=given), stop(0), STOP)
    assert added_up(events).tool_calls == (ToolCall(id="t", name="f", arguments=text),)
    (plain,) = added_up(
        decode_answer(answer({"type": "tool_use", "id": "t", "name": "f", "input": given}))
    ).tool_calls
    assert plain.arguments == text


CACHED = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 70,
    "output_tokens": 8,
    "output_tokens_details": {"thinking_tokens": 5},
}
ALL = Usage(input_tokens=100, output_tokens=8, cached_tokens=70, reasoning_tokens=5)


@pytest.mark.proves("wire.anthropic-usage")
@pytest.mark.parametrize(
    ("first", "last"),
    [
        (CACHED | {"output_tokens": 1}, {"output_tokens": 8, "output_tokens_details":
                                          {"thinking_tokens": 5}}),
        ({"input_tokens": 0, "output_tokens": 0}, CACHED),
        ({"input_tokens": 3}, CACHED | {"input_tokens": 10}),
        ({}, CACHED),
    ],
    ids=["input first", "all last", "corrected", "nothing first"],
)  # fmt: skip
def test_cached_tokens_are_part_of_the_input_wherever_they_are_told(
    first: dict[str, Any], last: dict[str, Any]
) -> None:
    assert added_up(decode_answer(answer(*HELLO, usage=CACHED))).usage == ALL
    events = read(start(**first), begin(0, type="text", text="Hi"), end("end_turn", **last), STOP)
    assert added_up(events).usage == ALL


@pytest.mark.proves("wire.anthropic-unknown-usage")
@pytest.mark.parametrize(
    "usage",
    [{"input_tokens": None, "output_tokens": None}, {"input_tokens": 9}, {"output_tokens": "3"},
     {"input_tokens": -1, "output_tokens": 3}, [1]],
)  # fmt: skip
def test_usage_that_was_not_told_stays_unknown(usage: Any) -> None:
    assert added_up(decode_answer(answer(*HELLO, usage=usage))).usage is None


@pytest.mark.proves("wire.anthropic-unknown-usage")
def test_the_first_events_count_is_no_total() -> None:
    events = read(start(input_tokens=9, output_tokens=1), begin(0, type="text", text="Hi"), STOP)
    assert added_up(events).usage is None


def test_what_a_host_says_the_call_cost_is_believed() -> None:
    assert added_up(decode_answer(answer(*HELLO, usage={**USAGE, "cost": 0.25}))).cost_usd == (
        Decimal("0.25")
    )
    assert added_up(decode_answer(answer(*HELLO, usage={"cost": "0.25"}))).cost_usd == (
        Decimal("0.25")
    )
    assert added_up(decode_answer(answer(*HELLO))).cost_usd is None


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"choices":[]}', b"model says hi", b'{"content":7}', b"\xff",
     b'{"content":[{"type":"tool_use","input":"\xff"}]}'],
)  # fmt: skip
def test_what_is_no_message_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        decode_answer(body)
    assert caught.value.kind is Kind.BAD_ANSWER


@pytest.mark.parametrize("data", [b"", b"[DONE]", b"{}", b'{"type":7}', b'{"type":"error"}'])
def test_what_is_no_event_is_a_bad_answer(data: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        StreamDecoder().feed(data)
    assert caught.value.kind is Kind.BAD_ANSWER


def test_kinds_of_events_that_come_later_are_passed_over() -> None:
    assert read({"type": "content_block_hint", "index": 0}, begin(0, type="new_block")) == []


@pytest.mark.proves("wire.anthropic-errors")
@pytest.mark.parametrize(
    ("word", "message", "kind"),
    [
        ("overloaded_error", "Overloaded", Kind.UPSTREAM_BUSY),
        ("rate_limit_error", "Too fast", Kind.QUOTA_MINUTE),
        ("authentication_error", "invalid x-api-key", Kind.AUTH),
        ("billing_error", "Your credit balance is too low", Kind.QUOTA_MONTH),
        ("not_found_error", "model: claude-0", Kind.MODEL_GONE),
        ("request_too_large", "Request exceeds the maximum size", Kind.TOO_LARGE),
        ("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", Kind.TOO_LARGE),
        ("invalid_request_error", "temperature: not permitted", Kind.CAPABILITY),
        ("api_error", "Internal server error", Kind.TRANSIENT),
        ("timeout_error", "Timed out", Kind.TRANSIENT),
        ("new_error", "What now", Kind.TRANSIENT),
    ],
)
def test_an_error_inside_a_stream_is_sorted_by_its_type(
    word: str, message: str, kind: Kind
) -> None:
    error = {"type": word, "message": f"{message} sk-secret-key"}
    event = json.dumps({"type": "error", "error": error}).encode()
    decoder = StreamDecoder(secrets=("sk-secret-key",))
    with pytest.raises(ProviderError) as inside:
        decoder.feed(event)
    with pytest.raises(ProviderError) as instead:
        decode_answer(event, secrets=("sk-secret-key",))
    for caught in (inside, instead):
        assert caught.value.kind is kind
        assert "sk-secret-key" not in caught.value.message
        assert message in caught.value.message
    assert not decoder.finished


@pytest.mark.proves("wire.anthropic-errors")
@pytest.mark.parametrize(
    ("status", "word", "message", "kind", "scope"),
    [
        (401, "authentication_error", "invalid x-api-key", Kind.AUTH, Scope.KEY),
        (400, "invalid_request_error",
         "Your credit balance is too low to access the Anthropic API.",
         Kind.QUOTA_MONTH, Scope.KEY),
        (402, "billing_error", "Pay first.", Kind.QUOTA_MONTH, Scope.KEY),
        (403, "permission_error", "Your key may not do this.", Kind.AUTH, Scope.KEY),
        (404, "not_found_error", "model: claude-0", Kind.MODEL_GONE, Scope.MODEL),
        (413, "request_too_large", "Too large.", Kind.TOO_LARGE, Scope.REQUEST),
        (400, "invalid_request_error",
         "input length and `max_tokens` exceed context limit: 9 + 9 > 8",
         Kind.TOO_LARGE, Scope.REQUEST),
        (400, "invalid_request_error", "`temperature` is not supported.",
         Kind.CAPABILITY, Scope.REQUEST),
        (429, "rate_limit_error", "Number of request tokens has exceeded your per-minute limit",
         Kind.QUOTA_MINUTE, Scope.MODEL),
        (500, "api_error", "Internal server error", Kind.TRANSIENT, Scope.MODEL),
        (529, "overloaded_error", "Overloaded", Kind.UPSTREAM_BUSY, Scope.MODEL),
    ],
)  # fmt: skip
def test_a_failed_call_is_sorted_by_status_and_words(
    status: int, word: str, message: str, kind: Kind, scope: Scope
) -> None:
    body = {"type": "error", "error": {"type": word, "message": message}, "request_id": "req_1"}
    found = decode_error(status, {"retry-after": "7"}, json.dumps(body).encode(), now=NOW)
    assert (found.kind, found.scope, found.status) == (kind, scope, status)
    assert found.retry_after_s == 7
    assert found.message == f"The upstream answered {status}: {message}"
