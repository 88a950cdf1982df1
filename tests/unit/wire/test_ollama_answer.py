"""Answers in Ollama's dialect: what upstreams say, and what callers are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

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
from ymera.core.chat import ChatRequest, ToolCall
from ymera.core.errors import (
    NoRoute,
    ProviderError,
    ProviderErrorKind,
    ProviderErrorScope,
    UnknownModel,
)
from ymera.core.usage import Usage
from ymera.wire.codec import AnswerHead
from ymera.wire.ollama import CALLER, GENERATE_CALLER, UPSTREAM, StreamDecoder, decode_answer

NOW = datetime(2026, 11, 22, tzinfo=UTC)
AT = "2026-11-22T14:00:00.123456789Z"
DONE = {"message": {"role": "assistant", "content": ""}, "done": True, "created_at": AT}
ADD = {"function": {"name": "add", "arguments": {"a": 2}}}
USAGE = Usage(input_tokens=9, output_tokens=3)
CALL = ToolCall(id="c1", name="add", arguments='{"a":\n2}')


def line(**fields: object) -> bytes:
    return msgspec.json.encode({"model": "m", "created_at": AT, **fields})


def said(content: str = "", **more: object) -> bytes:
    return line(message={"role": "assistant", "content": content, **more}, done=False)


def fed(*lines: bytes) -> list[ChatEvent]:
    decoder = StreamDecoder()
    return [event for one in lines for event in decoder.feed(one)]


def head(**more: object) -> AnswerHead:
    request = ChatRequest(model="m", messages=())
    made = int(datetime(2026, 11, 22, 14, tzinfo=UTC).timestamp())
    return AnswerHead(id="req_1", created=made, model="host/m", request=request, **more)  # type: ignore[arg-type]


def lines(*pieces: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(one) for one in b"".join(pieces).splitlines()]


# --- from upstreams ----------------------------------------------------------------------------


@pytest.mark.proves("wire.ollama")
def test_a_stream_becomes_events() -> None:
    events = fed(
        said(thinking="Hm"),
        said("Hel"),
        said("lo"),
        line(**{**DONE, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 3}),
    )
    assert events == [
        ReasoningDelta("Hm"),
        TextDelta("Hel"),
        TextDelta("lo"),
        Finish(FinishReason.STOP),
        UsageReport(USAGE),
    ]


@pytest.mark.proves("wire.ollama")
def test_a_whole_answer_is_read_like_a_stream() -> None:
    message = {"role": "assistant", "content": "Hello", "thinking": "Hm"}
    fields = {"done": True, "done_reason": "length", "prompt_eval_count": 9, "eval_count": 3}
    assert decode_answer(line(message=message, **fields)) == [
        ReasoningDelta("Hm"),
        TextDelta("Hello"),
        Finish(FinishReason.LENGTH),
        UsageReport(USAGE),
    ]


@pytest.mark.proves("wire.ollama-tool-ids")
def test_calls_come_whole_and_get_ids_that_no_other_turn_has() -> None:
    first = fed(said(tool_calls=[ADD, ADD]), said(tool_calls=[ADD]), line(**DONE))
    calls = [event for event in first if isinstance(event, ToolCallDelta)]
    assert [call.index for call in calls] == [0, 1, 2]
    assert [(call.name, call.arguments) for call in calls] == [("add", '{"a":2}')] * 3
    assert first[-1] == Finish(FinishReason.TOOL_CALLS)

    later = msgspec.json.encode(
        {**DONE, "created_at": "2026-11-22T14:00:01Z", "message": {"tool_calls": [ADD]}}
    )
    again = [event for event in fed(later) if isinstance(event, ToolCallDelta)]
    ids = {call.id for call in (*calls, *again)}
    assert len(ids) == 4
    assert None not in ids
    assert fed(later) == fed(later)

    (named, _) = fed(line(message={"tool_calls": [{"id": "call_x", **ADD}]}, done=True))
    assert isinstance(named, ToolCallDelta)
    assert named.id == "call_x"


@pytest.mark.proves("wire.ollama", "wire.usage-once")
@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_eval_count": 9, "eval_count": 3}, USAGE),
        ({"prompt_eval_count": 9}, Usage(input_tokens=9, output_tokens=0)),
        ({"eval_count": 3}, None),
        ({}, None),
        ({"prompt_eval_count": -1, "eval_count": 3}, None),
        ({"prompt_eval_count": 9, "eval_count": -3}, None),
    ],
)
def test_counts_that_are_not_known_are_not_zero(
    counts: dict[str, int], usage: Usage | None
) -> None:
    builder = AnswerBuilder()
    for event in decode_answer(line(**{**DONE, **counts})):
        builder.add(event)
    assert builder.build().usage == usage


@pytest.mark.proves("wire.ollama", "wire.broken-stream")
def test_a_stream_is_whole_only_once_it_is_done() -> None:
    decoder = StreamDecoder()

    def states(sent: bytes) -> tuple[bool, bool]:
        decoder.feed(sent)
        return decoder.finished, decoder.done

    assert states(said("Hel")) == (False, False)
    assert states(line(**DONE)) == (True, True)
    with pytest.raises(ProviderError, match="not done"):
        decode_answer(said("Hel"))


@pytest.mark.proves("wire.ollama", "wire.broken-stream")
def test_an_error_line_is_a_failure_without_the_key() -> None:
    decoder = StreamDecoder(secrets=("key-of-mine",))
    decoder.feed(said("Hel"))
    with pytest.raises(ProviderError, match="runner died") as caught:
        decoder.feed(b'{"error":"runner died, key-of-mine"}')
    assert "key-of-mine" not in caught.value.message
    assert caught.value.kind is ProviderErrorKind.TRANSIENT


@pytest.mark.proves("wire.ollama")
@pytest.mark.parametrize(
    "sent",
    [b"", b"{", b"[]", b"<html>", b'{"done":"yes"}', b"{}", b'{"message":7}',
     b'{"message":{"tool_calls":[{"function":{"name":"a","arguments":[1]}}]},"done":true}'],
)  # fmt: skip
def test_what_is_no_line_of_this_dialect_is_a_bad_answer(sent: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        StreamDecoder().feed(sent)
    assert caught.value.kind is ProviderErrorKind.BAD_ANSWER


@pytest.mark.proves("wire.ollama-errors")
@pytest.mark.parametrize(
    ("status", "sentence", "kind", "scope"),
    [
        (404, "model 'm' not found", ProviderErrorKind.MODEL_GONE, ProviderErrorScope.MODEL),
        (400, '"m" does not support tools', ProviderErrorKind.CAPABILITY,
         ProviderErrorScope.REQUEST),
        (400, "the prompt is longer than the context length currently available to the model",
         ProviderErrorKind.TOO_LARGE, ProviderErrorScope.REQUEST),
        (401, "unauthorized", ProviderErrorKind.AUTH, ProviderErrorScope.KEY),
        (403, "this model requires a subscription, upgrade for access",
         ProviderErrorKind.CAPABILITY, ProviderErrorScope.MODEL),
        (429, "you have reached your hourly usage limit", ProviderErrorKind.QUOTA_MINUTE,
         ProviderErrorScope.MODEL),
        (500, "model runner has unexpectedly stopped", ProviderErrorKind.TRANSIENT,
         ProviderErrorScope.MODEL),
        (503, "server busy, please try again. maximum pending requests exceeded",
         ProviderErrorKind.TRANSIENT, ProviderErrorScope.MODEL),
    ],
)  # fmt: skip
def test_a_failed_call_means_something(
    status: int, sentence: str, kind: ProviderErrorKind, scope: ProviderErrorScope
) -> None:
    body = msgspec.json.encode({"error": sentence})
    error = UPSTREAM.decode_error(status, {}, body, now=NOW)
    assert (error.kind, error.scope, error.status) == (kind, scope, status)
    assert sentence in error.message


# --- to callers --------------------------------------------------------------------------------


@pytest.mark.proves("wire.ollama")
def test_a_streamed_answer_is_lines_and_the_last_has_the_figures() -> None:
    seconds = iter([0.5, 2.0])
    encoder = CALLER.stream_encoder(head(elapsed_s=lambda: next(seconds)))
    events: list[ChatEvent] = [
        RequestAdapted(("lost",)),
        LimitsSeen(()),
        ReasoningDelta("Hm"),
        TextDelta("Hello"),
        ToolCallDelta(index=0, id="c1", name="add", arguments='{"a":'),
        ToolCallDelta(index=1, id="c2", name="sub", arguments=""),
        ToolCallDelta(index=0, arguments="\n2}"),
        Finish(FinishReason.TOOL_CALLS),
        UsageReport(USAGE),
    ]
    thought, text, calls, last = lines(*map(encoder.encode, events), encoder.end())
    opening = {"model": "host/m", "created_at": "2026-11-22T14:00:00Z"}
    assert thought == {
        **opening,
        "message": {"role": "assistant", "content": "", "thinking": "Hm"},
        "done": False,
    }
    assert text == {
        **opening,
        "message": {"role": "assistant", "content": "Hello"},
        "done": False,
    }
    assert calls["message"]["tool_calls"] == [
        {"id": "c1", "function": {"index": 0, "name": "add", "arguments": {"a": 2}}},
        {"id": "c2", "function": {"index": 1, "name": "sub", "arguments": {}}},
    ]
    assert last == {
        **opening,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 9,
        "eval_count": 3,
        "total_duration": 2_000_000_000,
        "prompt_eval_duration": 500_000_000,
        "eval_duration": 1_500_000_000,
    }


@pytest.mark.proves("wire.ollama")
def test_a_whole_answer_is_one_object() -> None:
    answer = ChatAnswer(
        text="Hello",
        reasoning="Hm",
        finish_reason=FinishReason.LENGTH,
        tool_calls=(CALL,),
        usage=USAGE,
    )
    (whole,) = lines(CALLER.encode_answer(answer, head(elapsed_s=lambda: 0.25)))
    assert whole["message"] == {
        "role": "assistant",
        "content": "Hello",
        "thinking": "Hm",
        "tool_calls": [
            {"id": "c1", "function": {"index": 0, "name": "add", "arguments": {"a": 2}}}
        ],
    }
    assert (whole["done"], whole["done_reason"]) == (True, "length")
    assert (whole["prompt_eval_count"], whole["eval_count"]) == (9, 3)
    assert (whole["total_duration"], whole["eval_duration"]) == (250_000_000, 250_000_000)


@pytest.mark.proves("wire.ollama")
def test_figures_that_are_not_known_are_left_out() -> None:
    answer = ChatAnswer(text="Hello", finish_reason=FinishReason.STOP)
    (whole,) = lines(CALLER.encode_answer(answer, head()))
    assert whole.keys() == {"model", "created_at", "message", "done", "done_reason"}


@pytest.mark.proves("wire.ollama")
def test_a_prompt_is_answered_in_its_own_words() -> None:
    encoder = GENERATE_CALLER.stream_encoder(head())
    events: list[ChatEvent] = [
        ReasoningDelta("Hm"),
        TextDelta("Hello"),
        Finish(FinishReason.STOP),
    ]
    thought, text, last = lines(*map(encoder.encode, events), encoder.end())
    assert (thought["response"], thought["thinking"], thought["done"]) == ("", "Hm", False)
    assert (text["response"], text["done"]) == ("Hello", False)
    assert (last["response"], last["done"], last["done_reason"]) == ("", True, "stop")
    assert "message" not in text

    answer = ChatAnswer(
        text="Hello", reasoning="Hm", finish_reason=FinishReason.STOP, tool_calls=(CALL,)
    )
    (whole,) = lines(GENERATE_CALLER.encode_answer(answer, head()))
    assert (whole["response"], whole["thinking"], whole["done"]) == ("Hello", "Hm", True)
    assert whole["tool_calls"][0]["function"]["name"] == "add"


@pytest.mark.proves("wire.ollama", "wire.broken-stream")
@pytest.mark.parametrize("dialect", [CALLER, GENERATE_CALLER])
def test_a_broken_stream_never_looks_done(dialect: Any) -> None:
    cut = dialect.stream_encoder(head())
    (text, end) = lines(cut.encode(TextDelta("Hel")), cut.end())
    assert text["done"] is False
    assert end.keys() == {"error"}

    failed = dialect.stream_encoder(head())
    error = ProviderError("The host died.", kind=ProviderErrorKind.TRANSIENT, hint="Wait.")
    (text, end) = lines(failed.encode(TextDelta("Hel")), failed.error(error))
    assert end == {"error": "The host died. Wait."}


@pytest.mark.proves("wire.ollama-errors")
@pytest.mark.parametrize(
    "error",
    [UnknownModel("No model is called 'x'.", hint="Try 'y'."), NoRoute("None.", hint="Wait.")],
)
def test_errors_are_one_sentence_and_what_to_do(error: UnknownModel | NoRoute) -> None:
    assert msgspec.json.decode(CALLER.encode_error(error)) == {
        "error": f"{error.message} {error.hint}"
    }
