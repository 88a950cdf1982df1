from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.answer import (
    AnswerBuilder,
    ChatAnswer,
    ChatEvent,
    FinishReason,
)
from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    ToolCall,
    ToolSpec,
)
from ymera.core.errors import ProviderError, RequestError
from ymera.core.usage import Usage
from ymera.testing.scripted import events_of
from ymera.wire.openai_chat import (
    StreamDecoder,
    StreamEncoder,
    decode_answer,
    decode_error,
    decode_request,
    encode_answer,
    encode_request,
)
from ymera.wire.sse import SSEParser

NOW = datetime(2026, 11, 22, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
words = texts.filter(bool)
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(
    lambda name: name not in {"auto", "none", "required"}
)
objects = st.dictionaries(words, st.none() | st.integers() | texts, max_size=3).map(
    lambda value: msgspec.Raw(msgspec.json.encode(value))
)
calls = st.builds(ToolCall, id=words, name=names, arguments=texts)
usages = st.builds(
    Usage,
    input_tokens=st.integers(0, 10**9),
    output_tokens=st.integers(0, 10**9),
    cached_tokens=st.integers(0, 10**6),
    reasoning_tokens=st.integers(0, 10**6),
)
contents = st.lists(
    st.builds(TextPart, words) | st.builds(ImagePart, url=words, detail=st.none() | st.just("low")),
    max_size=3,
).map(tuple)
messages = st.builds(
    Message,
    role=st.sampled_from([Role.SYSTEM, Role.USER]),
    content=contents,
    name=st.none() | names,
) | st.builds(
    Message,
    role=st.just(Role.ASSISTANT),
    content=contents,
    tool_calls=st.lists(calls, max_size=2).map(tuple),
)
requests = st.builds(
    ChatRequest,
    model=words,
    messages=st.lists(messages, min_size=1, max_size=4).map(tuple),
    tools=st.lists(
        st.builds(
            ToolSpec,
            name=names,
            description=st.none() | texts,
            parameters=st.none() | objects,
            strict=st.none() | st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
    tool_choice=st.none() | st.sampled_from(["auto", "none", "required"]),
    response_format=st.none()
    | st.builds(ResponseFormat)
    | st.builds(ResponseFormat, schema=objects, name=names, strict=st.none() | st.booleans()),
    sampling=st.builds(
        Sampling,
        temperature=st.none() | st.floats(0, 2),
        top_p=st.none() | st.floats(0, 1),
        max_tokens=st.none() | st.integers(1, 10**6),
        stop=st.lists(texts, max_size=4).map(tuple),
        seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    ),
    extra=st.dictionaries(names.map(lambda name: f"x-{name}"), objects, max_size=2),
)
answers = st.builds(
    ChatAnswer,
    text=texts,
    finish_reason=st.sampled_from([FinishReason.LENGTH, FinishReason.CONTENT_FILTER]),
    reasoning=texts,
    tool_calls=st.lists(calls, max_size=2).map(tuple),
    usage=st.none() | usages,
)


def added_up(events: list[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


@pytest.mark.proves("wire.openai-round-trip")
@given(requests)
def test_a_request_keeps_its_meaning_through_encode_and_decode(request: ChatRequest) -> None:
    decoded = decode_request(encode_request(request, request.model).body)
    assert msgspec.structs.replace(decoded, verbatim=None) == request


@pytest.mark.proves("wire.openai-round-trip", "wire.usage-once")
@given(answers)
def test_streamed_and_plain_form_of_an_answer_add_up_to_the_same(answer: ChatAnswer) -> None:
    plain = encode_answer(answer, id="i", created=1, model="m")
    encoder = StreamEncoder("i", 1, "m", include_usage=True)
    sent = b"".join(map(encoder.encode, events_of(answer, streamed=True))) + encoder.end()
    decoder = StreamDecoder()

    streamed = [event for data in SSEParser().feed(sent) for event in decoder.feed(data)]

    assert added_up(decode_answer(plain)) == answer
    assert added_up(streamed) == answer
    assert decoder.done


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
near_misses = st.fixed_dictionaries(
    {},
    optional={
        name: json_values | st.lists(st.dictionaries(st.sampled_from(["role", "content", "index",
            "delta", "message", "finish_reason", "error"]), json_values, max_size=3), max_size=2)
        for name in ("model", "messages", "choices", "usage", "error", "x_groq", "tools", "stop")
    },
).map(msgspec.json.encode)  # fmt: skip
any_bytes = st.binary(max_size=60) | near_misses | json_values.map(msgspec.json.encode)


@pytest.mark.proves("wire.any-bytes")
@given(any_bytes)
def test_no_bytes_make_a_decoder_raise_anything_but_our_errors(sent: bytes) -> None:
    with contextlib.suppress(RequestError):
        decode_request(sent)
    with contextlib.suppress(ProviderError):
        decode_answer(sent)
    with contextlib.suppress(ProviderError):
        StreamDecoder().feed(sent)


@pytest.mark.proves("wire.any-bytes")
@given(st.integers(100, 599), st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms",
    "content-type"]), texts), any_bytes)  # fmt: skip
def test_every_failed_answer_is_one_short_line(
    status: int, headers: dict[str, str], sent: bytes
) -> None:
    error = decode_error(status, headers, sent, now=NOW)

    assert len(error.message) < 300
    assert error.message.isprintable()
    assert error.retry_after_s is None or error.retry_after_s >= 0
