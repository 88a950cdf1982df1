from __future__ import annotations

import contextlib
import re
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
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.testing.scripted import events_of
from ymera.wire.anthropic import (
    StreamDecoder,
    StreamEncoder,
    decode_answer,
    decode_error,
    decode_request,
    encode_answer,
    encode_request,
)
from ymera.wire.codec import AnswerHead
from ymera.wire.sse import SSEParser
from ymera.wire.tool_arguments import arguments_as_object, arguments_as_text
from ymera.wire.tool_ids import ToolIds

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HEAD = AnswerHead(
    id="req_1", created=1, model="m", request=ChatRequest(model="m", messages=(), stream=True)
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
words = texts.filter(lambda text: bool(text.strip()))
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(
    lambda name: name not in {"auto", "none", "required"}
)
ids = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
objects = st.dictionaries(texts, values, max_size=3).map(
    lambda value: msgspec.json.encode(value).decode()
)
schemas = st.dictionaries(names, st.just({"type": "string"}), max_size=2).map(
    lambda fields: msgspec.Raw(msgspec.json.encode({"type": "object", "properties": fields}))
)
calls = st.builds(ToolCall, id=ids, name=names, arguments=objects | words)
signed = st.builds(
    ReasoningPart, text=texts, signature=words, dialect=st.just(Dialect.ANTHROPIC)
) | st.builds(
    ReasoningPart, signature=words, dialect=st.just(Dialect.ANTHROPIC), redacted=st.just(True)
)
images = st.builds(
    ImagePart,
    url=st.sampled_from(["https://example.org/a.png", "data:image/png;base64,iVBORw0KGgo="]),
)
shown = st.lists(st.builds(TextPart, words) | images, min_size=1, max_size=3).map(tuple)
turns = st.tuples(
    st.builds(Message, role=st.just(Role.USER), content=shown),
    st.builds(
        Message,
        role=st.just(Role.ASSISTANT),
        content=st.lists(signed | st.builds(TextPart, words), min_size=1, max_size=3).map(tuple),
        tool_calls=st.lists(calls, max_size=2).map(tuple),
    ),
    st.builds(
        Message,
        role=st.just(Role.TOOL),
        tool_call_id=ids,
        content=st.just(()) | shown,
        is_error=st.booleans(),
    ),
)
system = st.builds(
    Message,
    role=st.just(Role.SYSTEM),
    content=st.lists(st.builds(TextPart, words), min_size=1, max_size=2).map(tuple),
)
conversations = st.tuples(
    st.lists(system, max_size=1), st.lists(turns, min_size=1, max_size=2)
).map(lambda drawn: (*drawn[0], *(message for turn in drawn[1] for message in turn)))
thinking = st.builds(Sampling, reasoning_tokens=st.integers(1024, 10**5))
drawing = st.builds(
    Sampling, top_k=st.none() | st.integers(1, 500), temperature=st.none() | st.floats(0, 1)
)
requests = st.builds(
    ChatRequest,
    model=words,
    messages=conversations,
    tools=st.lists(
        st.builds(
            ToolSpec,
            name=names,
            description=st.none() | texts,
            parameters=schemas,
            strict=st.none() | st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
    tool_choice=st.none() | st.sampled_from(["auto", "none"]),
    response_format=st.none() | st.builds(ResponseFormat, schema=schemas),
    sampling=st.builds(
        msgspec.structs.replace,
        thinking | drawing,
        stop=st.lists(words, max_size=4).map(tuple),
        max_tokens=st.integers(2**17, 2**20),
    ),
    stream=st.booleans(),
)
usages = st.integers(0, 10**9).flatmap(
    lambda prompt: st.builds(
        Usage,
        input_tokens=st.just(prompt),
        output_tokens=st.integers(0, 10**9),
        cached_tokens=st.integers(0, prompt),
        reasoning_tokens=st.integers(0, 10**6),
    )
)
reasonings = st.builds(ReasoningPart, text=texts, signature=st.none() | words) | st.builds(
    ReasoningPart, signature=words, redacted=st.just(True)
)


@st.composite
def made_answers(draw: st.DrawFn) -> ChatAnswer:
    """Return an answer with one block of reasoning at most, signed or not, or hidden."""
    reasoning = draw(reasonings)
    called = st.lists(st.builds(ToolCall, id=ids, name=names, arguments=objects), max_size=2)
    return ChatAnswer(
        text=draw(texts),
        finish_reason=draw(st.sampled_from([FinishReason.LENGTH, FinishReason.CONTENT_FILTER])),
        reasoning=reasoning.text,
        reasoning_signature=reasoning.signature,
        reasoning_dialect=Dialect.ANTHROPIC if reasoning.signature else None,
        reasoning_redacted=reasoning.redacted,
        tool_calls=tuple(draw(called)),
        usage=draw(st.none() | usages),
    )


answers = made_answers()


def added_up(events: list[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


def streamed(answer: ChatAnswer) -> bytes:
    encoder = StreamEncoder(HEAD)
    return b"".join(map(encoder.encode, events_of(answer, streamed=True))) + encoder.end()


@pytest.mark.proves("wire.anthropic-round-trip")
@given(requests)
def test_a_request_keeps_its_meaning_through_encode_and_decode(request: ChatRequest) -> None:
    encoded = encode_request(request, request.model)
    decoded = decode_request(encoded.body)
    expected = msgspec.structs.replace(request, include_usage=request.stream)
    assert msgspec.structs.replace(decoded, verbatim=None) == expected
    wrapped = "Arguments of a tool call were no JSON object and were wrapped in one."
    assert set(encoded.losses) <= {wrapped}


@pytest.mark.proves("wire.anthropic-verbatim")
@given(requests, st.dictionaries(names.map(lambda name: f"x-{name}"), schemas, max_size=2))
def test_what_a_caller_wrote_is_sent_as_it_was_written(
    request: ChatRequest, unknown: dict[str, msgspec.Raw]
) -> None:
    fields = msgspec.json.decode(encode_request(request, "m").body, type=dict[str, msgspec.Raw])
    body = msgspec.json.encode(fields | unknown)
    encoded = encode_request(decode_request(body), "other")
    assert msgspec.json.decode(encoded.body) == msgspec.json.decode(body) | {"model": "other"}
    assert encoded.losses == ()


@pytest.mark.proves("wire.anthropic-round-trip", "wire.usage-once")
@given(answers)
def test_streamed_and_plain_form_of_an_answer_add_up_to_the_same(answer: ChatAnswer) -> None:
    decoder = StreamDecoder()
    events = [event for data in SSEParser().feed(streamed(answer)) for event in decoder.feed(data)]
    assert added_up(decode_answer(encode_answer(answer, HEAD))) == answer
    assert added_up(events) == answer
    assert decoder.done


@pytest.mark.proves("wire.any-chunking")
@given(answers, st.lists(st.integers(0, 4000), max_size=6))
def test_however_a_stream_is_cut_the_same_events_come_out(
    answer: ChatAnswer, cuts: list[int]
) -> None:
    sent = streamed(answer)
    edges = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    parser, decoder = SSEParser(), StreamDecoder()
    events = [
        event
        for start, end in pairwise(edges)
        for data in parser.feed(sent[start:end])
        for event in decoder.feed(data)
    ]
    assert added_up(events) == answer


@pytest.mark.proves("wire.broken-stream")
@given(answers, st.data())
def test_a_stream_that_is_cut_short_never_looks_complete(
    answer: ChatAnswer, data: st.DataObject
) -> None:
    pieces = SSEParser().feed(streamed(answer))
    kept = data.draw(st.integers(0, len(pieces) - 1))
    decoder = StreamDecoder()
    for piece in pieces[:kept]:
        decoder.feed(piece)
    assert not decoder.finished
    assert not decoder.done


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
parts = st.dictionaries(
    st.sampled_from(
        ["type", "text", "role", "content", "input", "id", "name", "source", "usage", "signature"]
    ),
    st.sampled_from(["text", "user", "assistant", "tool_use", "tool_result", "image", "thinking"])
    | json_values,
    max_size=4,
)
fields = ["model", "messages", "system", "tools", "thinking", "output_config", "type", "message"]
fields += ["content", "content_block", "delta", "usage", "error", "index", "stop_reason"]
kinds = ["message_start", "content_block_start", "content_block_delta", "content_block_stop"]
kinds += ["message_delta", "message_stop", "error", "ping"]
near_misses = st.dictionaries(
    st.sampled_from(fields),
    st.sampled_from(kinds) | json_values | parts | st.lists(parts, max_size=3),
).map(msgspec.json.encode)
any_bytes = st.binary(max_size=60) | near_misses | json_values.map(msgspec.json.encode)


@pytest.mark.proves("wire.any-bytes")
@given(st.lists(any_bytes, min_size=1, max_size=4))
def test_no_bytes_make_a_decoder_raise_anything_but_our_errors(sent: list[bytes]) -> None:
    decoder = StreamDecoder()
    for piece in sent:
        with contextlib.suppress(RequestError):
            encode_request(decode_request(piece), "m")
        with contextlib.suppress(ProviderError):
            decode_answer(piece)
        with contextlib.suppress(ProviderError):
            decoder.feed(piece)


@pytest.mark.proves("wire.any-bytes")
@given(st.lists(parts | json_values, max_size=3), st.lists(parts, max_size=3))
def test_no_turns_make_the_decoder_raise_anything_but_our_errors(
    system: list[object], turns: list[dict[str, object]]
) -> None:
    content = [{"role": "user", "content": turns}, {"role": "assistant", "content": turns}]
    for body in (
        {"model": "m", "messages": content, "system": system},
        {"model": "m", "messages": content[:1]},
        {"model": "m", "messages": content[1:]},
    ):
        with contextlib.suppress(RequestError):
            encode_request(decode_request(msgspec.json.encode(body)), "m")


@pytest.mark.proves("wire.any-bytes")
@given(st.integers(100, 599), st.dictionaries(st.just("retry-after"), texts), any_bytes)
def test_every_failed_answer_is_one_short_line(
    status: int, headers: dict[str, str], sent: bytes
) -> None:
    error = decode_error(status, headers, sent, now=NOW)
    assert len(error.message) < 300
    assert error.message.isprintable()


@pytest.mark.proves("wire.tool-arguments")
@given(texts | objects)
def test_arguments_come_back_as_the_text_they_were(text: str) -> None:
    raw, fits = arguments_as_object(text)
    assert isinstance(msgspec.json.decode(raw), dict)
    back = arguments_as_text(raw)
    if fits and text.strip():
        assert msgspec.json.decode(back) == msgspec.json.decode(text)
    elif text.strip():
        assert back == text
    else:
        assert back == "{}"


@pytest.mark.proves("wire.tool-ids")
@given(st.lists(texts, max_size=6))
def test_ids_stay_apart_and_the_same_stay_the_same(old: list[str]) -> None:
    accepted = re.compile(r"[a-zA-Z0-9]{9}")
    ids, again = ToolIds(accepted, prefix="", length=9), ToolIds(accepted, prefix="", length=9)
    new = [ids(each) for each in old]
    assert all(accepted.fullmatch(each) for each in new)
    assert len(set(new)) == len(set(old))
    assert [again(each) for each in reversed(old)] == new[::-1]
    assert ids.rewritten == len({each for each in old if not accepted.fullmatch(each)})
