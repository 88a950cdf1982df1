from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.answer import AnswerBuilder, ChatAnswer, ChatEvent, FinishReason
from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    ReasoningPart,
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
from ymera.wire.codec import AnswerHead
from ymera.wire.lines import LineParser
from ymera.wire.ollama import (
    CALLER,
    UPSTREAM,
    StreamDecoder,
    decode_answer,
    decode_generate,
    decode_request,
    encode_request,
)
from ymera.wire.ollama.load import load_request

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HEAD_REQUEST = ChatRequest(model="m", messages=())
HEAD = AnswerHead(id="req_1", created=1_760_000_000, model="m", request=HEAD_REQUEST)
DEFAULT_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{}}')
OUR_OWN = {"truncate", "shift"}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
words = texts.filter(bool)
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(
    lambda name: name not in {"auto", "none", "required"}
)
values = st.none() | st.integers(-(10**15), 10**15) | st.booleans() | texts
objects = st.dictionaries(texts.filter(lambda key: key != "_raw"), values, max_size=3)
raw_objects = objects.map(lambda value: msgspec.Raw(msgspec.json.encode(value)))
arguments = objects.map(lambda value: msgspec.json.encode(value).decode())
images = st.sampled_from(
    ["data:image/png;base64,iVBORw0KGgoAAAA=", "data:image/jpeg;base64,/9j/4AAQSkZJRg=="]
).map(lambda url: ImagePart(url=url))
usages = st.builds(Usage, input_tokens=st.integers(0, 10**9), output_tokens=st.integers(0, 10**9))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns as Ollama has them: thinking, then images, then one text; each call answered."""
    turns: list[Message] = []
    for number in range(draw(st.integers(1, 4))):
        thinking = draw(st.lists(st.builds(ReasoningPart, text=words), max_size=1))
        pictures = draw(st.lists(images, max_size=2))
        text = draw(st.lists(st.builds(TextPart, words), max_size=1))
        calls = [
            ToolCall(id=f"id_{number}_{at}", name=draw(names), arguments=draw(arguments))
            for at in range(draw(st.integers(0, 2)))
        ]
        turns.append(Message(role=Role.USER, content=(*pictures, *text)))
        turns.append(
            Message(role=Role.ASSISTANT, content=(*thinking, *text), tool_calls=tuple(calls))
        )
        turns += [
            Message(
                role=Role.TOOL,
                content=(TextPart(draw(words)),),
                tool_call_id=call.id,
                name=call.name,
            )
            for call in draw(st.permutations(calls))
        ]
    return tuple(turns)


requests = st.builds(
    ChatRequest,
    model=words.map(lambda name: f"gpt-oss:{name}"),
    messages=conversations(),
    tools=st.lists(
        st.builds(ToolSpec, name=names, description=st.none() | texts, parameters=raw_objects),
        max_size=2,
    ).map(tuple),
    response_format=st.none()
    | st.builds(ResponseFormat)
    | st.builds(ResponseFormat, schema=raw_objects),
    sampling=st.builds(
        Sampling,
        temperature=st.none() | st.floats(0, 2),
        top_p=st.none() | st.floats(0, 1),
        top_k=st.none() | st.integers(1, 1000),
        max_tokens=st.none() | st.integers(1, 10**6),
        stop=st.lists(texts, max_size=4).map(tuple),
        seed=st.none() | st.integers(-(2**63), 2**63 - 1),
        reasoning_effort=st.sampled_from([None, "none", "low", "medium", "high"]),
    ),
    extra=st.dictionaries(names.map(lambda name: f"x-{name}"), raw_objects, max_size=2),
    stream=st.booleans(),
    include_usage=st.just(True),
)
answers = st.builds(
    ChatAnswer,
    text=texts,
    finish_reason=st.sampled_from([FinishReason.LENGTH, FinishReason.CONTENT_FILTER]),
    reasoning=texts,
    tool_calls=st.lists(st.builds(ToolCall, id=words, name=names, arguments=arguments), max_size=2)
    .map(tuple),
    usage=st.none() | usages,
)  # fmt: skip


def added_up(events: list[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


@pytest.mark.proves("wire.ollama-round-trip")
@given(requests)
def test_a_request_keeps_its_meaning_through_encode_and_decode(request: ChatRequest) -> None:
    encoded = encode_request(request, request.model)
    decoded = decode_request(encoded.body)
    extra = {name: raw for name, raw in decoded.extra.items() if name not in OUR_OWN}

    assert encoded.losses == ()
    assert msgspec.structs.replace(decoded, verbatim=None, extra=extra) == request


@pytest.mark.proves("wire.ollama-round-trip", "wire.usage-once")
@given(answers, st.lists(st.integers(0, 200), max_size=4))
def test_streamed_and_plain_form_of_an_answer_add_up_to_the_same(
    answer: ChatAnswer, cuts: list[int]
) -> None:
    encoder = CALLER.stream_encoder(HEAD)
    sent = b"".join(map(encoder.encode, events_of(answer, streamed=True))) + encoder.end()
    decoder = UPSTREAM.stream_decoder(())
    parser = LineParser()
    places = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    chunks = [sent[start:end] for start, end in pairwise(places)]

    streamed = [
        event for chunk in chunks for line in parser.feed(chunk) for event in decoder.feed(line)
    ]

    assert added_up(decode_answer(CALLER.encode_answer(answer, HEAD))) == answer
    assert added_up(streamed) == answer
    assert decoder.done


@pytest.mark.proves("wire.ollama-round-trip")
@given(texts)
def test_arguments_that_are_no_object_come_back_as_they_were_written(written: str) -> None:
    call = ToolCall(id="c", name="add", arguments=written)
    answer = ChatAnswer(text="", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(call,))
    (back,) = added_up(decode_answer(CALLER.encode_answer(answer, HEAD))).tool_calls

    assert back.arguments == (written if written.strip() else "{}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
turns = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "images", "thinking", "tool_calls", "tool_name"]),
        json_values | st.sampled_from(["user", "assistant", "tool"]),
        max_size=4,
    ),
    max_size=2,
)
FIELDS = (
    *("model", "messages", "prompt", "images", "options", "format", "think", "tools"),
    *("message", "done", "error", "eval_count", "prompt_eval_count"),
)
near_misses = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, json_values | turns)).map(
    msgspec.json.encode
)
any_bytes = st.binary(max_size=60) | near_misses | json_values.map(msgspec.json.encode)


@pytest.mark.proves("wire.any-bytes")
@given(any_bytes)
def test_no_bytes_make_a_decoder_raise_anything_but_our_errors(sent: bytes) -> None:
    for decode in (decode_request, decode_generate):
        with contextlib.suppress(RequestError):
            decode(sent)
    load_request(sent)
    with contextlib.suppress(ProviderError):
        decode_answer(sent)
    with contextlib.suppress(ProviderError):
        StreamDecoder().feed(sent)


@pytest.mark.proves("wire.any-bytes")
@given(st.integers(100, 599), any_bytes)
def test_every_failed_answer_is_one_short_line(status: int, sent: bytes) -> None:
    error = UPSTREAM.decode_error(status, {}, sent, now=NOW)

    assert len(error.message) < 300
    assert error.message.isprintable()
