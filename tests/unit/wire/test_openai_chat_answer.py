from __future__ import annotations

import json

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
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.usage import Usage
from ymera.wire.openai_chat import StreamDecoder, decode_answer

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
COUNTED = Usage(input_tokens=9, output_tokens=3, cached_tokens=4, reasoning_tokens=1)


def plain(finish_reason: str | None = "stop", **message: object) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice], "usage": USAGE}).encode()


def chunk(finish_reason: str | None = None, extra: object = None, **delta: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice], **(extra or {})}).encode()  # type: ignore[dict-item]


def stream(*data: bytes) -> list[ChatEvent]:
    decoder = StreamDecoder()
    return [event for one in data for event in decoder.feed(one)]


def built(events: list[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


def test_a_whole_answer_is_text_finish_and_usage() -> None:
    assert decode_answer(plain(role="assistant", content="Hello", refusal=None)) == [
        TextDelta("Hello"),
        Finish(FinishReason.STOP),
        UsageReport(COUNTED),
    ]


def test_a_whole_answer_without_finish_reason_still_finishes() -> None:
    assert decode_answer(plain(None, content="Hello")) == [
        TextDelta("Hello"),
        Finish(FinishReason.STOP),
        UsageReport(COUNTED),
    ]


def test_tool_calls_of_a_whole_answer_are_numbered() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": {"y": 2}}},
    ]

    answer = built(decode_answer(plain("stop", content=None, tool_calls=calls)))

    assert answer == ChatAnswer(
        text="",
        finish_reason=FinishReason.TOOL_CALLS,
        tool_calls=(
            ToolCall(id="a", name="f", arguments='{"x":1}'),
            ToolCall(id="b", name="g", arguments='{"y": 2}'),
        ),
        usage=COUNTED,
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [("42", "42"), (42, "42"), (1.5, "1.5"), (None, ""), ("", ""), ("[{", "[{")],
)
def test_content_of_any_type_is_text(content: object, text: str) -> None:
    assert built(decode_answer(plain(content=content))).text == text


def test_the_exact_digits_of_a_bare_number_are_kept() -> None:
    body = b'{"choices":[{"message":{"content":1.10}}]}'

    assert built(decode_answer(body)).text == "1.10"


def test_content_in_parts_is_split_into_reasoning_and_text() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "thinking", "thinking": "..."},
        {"type": "text", "text": "yes"},
    ]

    assert decode_answer(plain(content=parts))[:2] == [ReasoningDelta("hm..."), TextDelta("yes")]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_read_under_either_name(field: str) -> None:
    assert stream(chunk(**{field: "hm"})) == [ReasoningDelta("hm")]


def test_reasoning_given_under_both_names_counts_once() -> None:
    assert stream(chunk(reasoning="hm", reasoning_content="hm")) == [ReasoningDelta("hm")]


def test_a_refusal_is_the_text() -> None:
    assert decode_answer(plain(content=None, refusal="No."))[0] == TextDelta("No.")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("eos", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
    ],
)
def test_finish_reasons_of_all_vendors_are_understood(word: str, reason: FinishReason) -> None:
    assert stream(chunk(word)) == [Finish(reason)]


def test_a_stream_with_a_closing_usage_chunk_is_read_to_its_end() -> None:
    decoder = StreamDecoder()
    data = [
        chunk(role="assistant", content=""),
        chunk(content="Hel"),
        chunk(content="lo"),
        chunk("stop"),
        json.dumps({"choices": [], "usage": USAGE}).encode(),
        b"[DONE]",
    ]

    events = [event for one in data for event in decoder.feed(one)]

    assert events == [
        TextDelta("Hel"),
        TextDelta("lo"),
        Finish(FinishReason.STOP),
        UsageReport(COUNTED),
    ]
    assert decoder.finished
    assert decoder.done


@pytest.mark.parametrize("place", [{"usage": USAGE}, {"x_groq": {"usage": USAGE}}])
def test_usage_on_the_last_content_chunk_is_found(place: object) -> None:
    assert stream(chunk("stop", place, content="x")) == [
        TextDelta("x"),
        Finish(FinishReason.STOP),
        UsageReport(COUNTED),
    ]


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 9},
        {"prompt_tokens": "many"},
        {"prompt_tokens": -1, "completion_tokens": 3},
        [],
    ],
)
def test_usage_that_makes_no_sense_is_unknown_and_not_zero(usage: object) -> None:
    assert stream(chunk("stop", {"usage": usage})) == [Finish(FinishReason.STOP)]


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 9, "total_tokens": 12}, Usage(input_tokens=9, output_tokens=3)),
        (
            {"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 5},
            Usage(input_tokens=9, output_tokens=3, cached_tokens=5),
        ),
    ],
)
def test_usage_is_read_in_vendors_variants(usage: object, counted: Usage) -> None:
    assert stream(chunk(None, {"usage": usage})) == [UsageReport(counted)]


@pytest.mark.parametrize("indexed", [True, False])
def test_tool_call_fragments_are_merged(indexed: bool) -> None:
    def call(index: int, **fields: object) -> dict[str, object]:
        return {**({"index": index} if indexed else {}), **fields}

    events = stream(
        chunk(tool_calls=[call(0, id="a", function={"name": "f", "arguments": ""})]),
        chunk(tool_calls=[call(0, function={"arguments": '{"x"'})]),
        chunk(tool_calls=[call(0, id="", function={"arguments": ":1}"})]),
        chunk(tool_calls=[call(1, id="b", function={"name": "g", "arguments": "{}"})]),
        chunk("tool_calls"),
    )

    assert events[0] == ToolCallDelta(index=0, id="a", name="f")
    assert built(events).tool_calls == (
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="g", arguments="{}"),
    )


def test_the_name_of_a_call_comes_once_even_if_it_is_repeated() -> None:
    fragment = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}

    assert stream(chunk(tool_calls=[fragment]), chunk(tool_calls=[fragment]))[1] == ToolCallDelta(
        index=0, arguments="{"
    )


def test_done_without_a_finish_reason_finishes() -> None:
    assert stream(chunk(content="x"), b"[DONE]")[-1] == Finish(FinishReason.STOP)


def test_a_second_finish_reason_is_not_a_second_finish() -> None:
    assert stream(chunk("length"), chunk("stop"), b"[DONE]") == [Finish(FinishReason.LENGTH)]


def test_a_second_choice_is_ignored() -> None:
    body = b'{"choices":[{"index":1,"delta":{"content":"other"}},{"index":0,"delta":null}]}'

    assert stream(body) == []


@pytest.mark.proves("providers.errors")
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"error":{"message":"upstream died","code":502}}', ProviderErrorKind.TRANSIENT),
        (b'{"error":{"message":"slow down","code":429}}', ProviderErrorKind.QUOTA_MINUTE),
        (b'{"error":"boom"}', ProviderErrorKind.TRANSIENT),
        (b'{"choices":[],"x_groq":{"error":"over capacity"}}', ProviderErrorKind.TRANSIENT),
        (
            b'{"choices":[{"error":{"message":"x","code":503},"finish_reason":"error"}]}',
            ProviderErrorKind.TRANSIENT,
        ),
        (b'{"choices":[{"delta":{},"finish_reason":"error"}]}', ProviderErrorKind.TRANSIENT),
        (b'{"choices":[{"delta":{"content":[{"text":3}]}}]}', ProviderErrorKind.BAD_ANSWER),
        (b'{"choices":3}', ProviderErrorKind.BAD_ANSWER),
        (b"<html>", ProviderErrorKind.BAD_ANSWER),
        (b"[" * 200_000, ProviderErrorKind.BAD_ANSWER),
    ],
)
def test_a_failure_in_the_stream_is_a_provider_error(data: bytes, kind: ProviderErrorKind) -> None:
    with pytest.raises(ProviderError) as caught:
        stream(data)

    assert caught.value.kind is kind


@pytest.mark.parametrize("body", [b"{}", b'{"choices":[]}', b'{"object":"list","data":[]}'])
def test_a_whole_answer_without_a_choice_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        decode_answer(body)

    assert caught.value.kind is ProviderErrorKind.BAD_ANSWER


def test_an_error_with_status_200_is_an_error() -> None:
    with pytest.raises(ProviderError, match="no credit for sk-") as caught:
        decode_answer(
            b'{"error":{"message":"no credit for sk-secret-12345","code":402}}',
            secrets=("secret-12345",),
        )

    assert caught.value.kind is ProviderErrorKind.QUOTA_MONTH
    assert "secret" not in caught.value.message
