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
from ymera.core.errors import ProviderError, ProviderErrorKind, ProviderErrorScope
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.gemini import StreamDecoder, decode_answer

USAGE = {
    "promptTokenCount": 9,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 2,
    "cachedContentTokenCount": 4,
    "toolUsePromptTokenCount": 1,
    "totalTokenCount": 15,
}
COUNTED = Usage(input_tokens=10, output_tokens=5, cached_tokens=4, reasoning_tokens=2)


def body(*parts: object, finish: str | None = "STOP", **rest: object) -> bytes:
    candidate: dict[str, object] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return json.dumps({"candidates": [candidate], **rest}).encode()


def stream(*data: bytes) -> list[ChatEvent]:
    decoder = StreamDecoder()
    return [event for one in data for event in decoder.feed(one)]


def built(events: list[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


def failure(data: bytes) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        decode_answer(data)
    return caught.value


@pytest.mark.proves("wire.gemini-answer", "wire.usage-once")
def test_thoughts_count_as_output_and_prompts_of_tools_as_input() -> None:
    events = decode_answer(
        body({"text": "hm", "thought": True}, {"text": "Hello"}, usageMetadata=USAGE)
    )
    assert events == [
        ReasoningDelta("hm"),
        TextDelta("Hello"),
        Finish(FinishReason.STOP),
        UsageReport(COUNTED),
    ]


@pytest.mark.proves("wire.gemini-answer")
def test_the_usage_of_a_streams_last_piece_wins() -> None:
    events = stream(
        body({"text": "Hel"}, finish=None, usageMetadata={"promptTokenCount": 9}),
        body({"text": "lo"}, finish=None, usageMetadata={"promptTokenCount": 9}),
        body({"text": ""}, usageMetadata=USAGE),
    )
    assert events == [
        TextDelta("Hel"),
        UsageReport(Usage(input_tokens=9)),
        TextDelta("lo"),
        Finish(FinishReason.STOP),
        UsageReport(COUNTED),
    ]


@pytest.mark.proves("wire.gemini-answer")
def test_an_array_of_chunks_is_an_answer_too() -> None:
    chunks = [json.loads(body({"text": piece}, finish=None)) for piece in ("Hel", "lo")]
    chunks.append(json.loads(body(usageMetadata=USAGE)))

    answer = built(decode_answer(json.dumps(chunks).encode()))

    assert answer == ChatAnswer(text="Hello", finish_reason=FinishReason.STOP, usage=COUNTED)
    assert failure(json.dumps(chunks[:2]).encode()).kind is ProviderErrorKind.BAD_ANSWER


@pytest.mark.proves("wire.gemini-answer")
def test_calls_come_whole_and_get_ids_where_the_vendor_gives_none() -> None:
    data = body(
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f", "args": {}, "id": "theirs"}},
        {"functionCall": {"name": "g"}},
        responseId="r-1",
    )

    answer = built(decode_answer(data))

    assert answer.tool_calls == (
        ToolCall(id="call_r1_0", name="f", arguments='{"a": 1}', signature="c2ln"),
        ToolCall(id="theirs", name="f", arguments="{}"),
        ToolCall(id="call_r1_2", name="g", arguments="{}"),
    )
    assert answer.finish_reason is FinishReason.TOOL_CALLS


def test_calls_in_several_pieces_are_numbered_on_and_a_repeated_one_counts_once() -> None:
    first = body({"functionCall": {"name": "f", "id": "a"}}, finish=None)
    events = stream(first, first, body({"functionCall": {"name": "f"}}))

    assert events == [
        ToolCallDelta(index=0, id="a", name="f", arguments="{}"),
        ToolCallDelta(index=1, id="call_1", name="f", arguments="{}"),
        Finish(FinishReason.TOOL_CALLS),
    ]


@pytest.mark.proves("wire.gemini-signatures")
def test_a_signature_of_words_is_kept_beside_them() -> None:
    events = stream(
        body({"text": "Hello"}, finish=None), body({"text": "", "thoughtSignature": "c2ln"})
    )
    assert built(events).reasoning_signature == "c2ln"
    assert built(events).reasoning_dialect is Dialect.GEMINI
    assert built(events).text == "Hello"


@pytest.mark.proves("wire.gemini-answer")
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("A_WORD_OF_TOMORROW", FinishReason.STOP),
    ],
)
def test_why_it_stopped(word: str, reason: FinishReason) -> None:
    assert built(decode_answer(body({"text": "a"}, finish=word))).finish_reason is reason


@pytest.mark.proves("wire.gemini-answer")
@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("MALFORMED_FUNCTION_CALL", ProviderErrorKind.BAD_ANSWER),
        ("UNEXPECTED_TOOL_CALL", ProviderErrorKind.BAD_ANSWER),
        ("MALFORMED_RESPONSE", ProviderErrorKind.BAD_ANSWER),
        ("OTHER", ProviderErrorKind.BAD_ANSWER),
        ("MISSING_THOUGHT_SIGNATURE", ProviderErrorKind.CAPABILITY),
        ("PUP_LIMITED_DISABLED", ProviderErrorKind.AUTH),
        ("SAFETY", ProviderErrorKind.MODERATION),
        ("PROHIBITED_CONTENT", ProviderErrorKind.MODERATION),
    ],
)
def test_an_answer_that_failed_is_no_answer(word: str, kind: ProviderErrorKind) -> None:
    assert failure(body(finish=word)).kind is kind


@pytest.mark.proves("wire.gemini-errors")
def test_a_blocked_prompt_is_not_handed_to_another_model() -> None:
    error = failure(b'{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}')
    assert error.kind is ProviderErrorKind.MODERATION
    assert "PROHIBITED_CONTENT" in error.message


@pytest.mark.proves("wire.gemini-answer")
def test_a_stream_without_a_reason_to_stop_is_not_finished() -> None:
    decoder = StreamDecoder()
    pieces = [body({"text": "Hello"}, finish=None, usageMetadata=USAGE), body(finish="STOP")]
    finished = []
    for piece in pieces:
        decoder.feed(piece)
        finished.append(decoder.finished)
    assert finished == [False, True]
    assert not decoder.done


def test_a_whole_object_without_a_reason_is_whole() -> None:
    answer = built(decode_answer(body({"text": "Hello"}, finish=None, usageMetadata=USAGE)))
    assert answer == ChatAnswer(text="Hello", finish_reason=FinishReason.STOP, usage=COUNTED)


def test_only_the_first_candidate_is_read() -> None:
    second = {"index": 1, "content": {"parts": [{"text": "no"}]}, "finishReason": "MAX_TOKENS"}
    first = {"index": 0, "content": {"parts": [{"text": "yes"}]}, "finishReason": "STOP"}
    assert built(stream(json.dumps({"candidates": [second, first]}).encode())).text == "yes"


@pytest.mark.proves("wire.gemini-errors")
def test_an_error_in_the_middle_of_a_stream_is_told() -> None:
    decoder = StreamDecoder(secrets=("AIza-secret",))
    decoder.feed(body({"text": "Hel"}, finish=None))
    error = {"message": "The model is overloaded, AIza-secret", "status": "UNAVAILABLE"}

    with pytest.raises(ProviderError) as caught:
        decoder.feed(json.dumps({"error": error}).encode())

    assert caught.value.kind is ProviderErrorKind.UPSTREAM_BUSY
    assert caught.value.scope is ProviderErrorScope.MODEL
    assert "AIza" not in caught.value.message


@pytest.mark.parametrize(
    "data", [b"", b"[", b"{}", b"[]", b"null", b'{"candidates":[{"content":5}]}']
)
def test_what_is_no_answer_is_a_bad_answer(data: bytes) -> None:
    assert failure(data).kind is ProviderErrorKind.BAD_ANSWER


@pytest.mark.parametrize("usage", [None, {}, {"promptTokenCount": -1}, {"promptTokenCount": "9"}])
def test_usage_that_makes_no_sense_is_unknown(usage: object) -> None:
    assert built(decode_answer(body({"text": "a"}, usageMetadata=usage))).usage is None
