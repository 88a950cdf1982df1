from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime

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
from ymera.wire.codec import AnswerHead
from ymera.wire.gemini import (
    StreamDecoder,
    StreamEncoder,
    decode_answer,
    decode_error,
    decode_models,
    decode_request_for,
    encode_answer,
    encode_request,
)
from ymera.wire.sse import SSEParser

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HEAD = AnswerHead(
    id="req_1",
    created=1,
    model="m",
    request=ChatRequest(model="m", messages=(Message(role=Role.USER),)),
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[a-z_]{1,9}_x", fullmatch=True)
objects = st.dictionaries(words, st.none() | st.integers(-9, 9) | texts, max_size=3).map(
    lambda value: msgspec.Raw(msgspec.json.encode(value))
)
signed = st.binary(min_size=1, max_size=9).map(lambda raw: base64.b64encode(raw).decode())
signatures = st.none() | signed
arguments = (
    objects.map(lambda raw: bytes(raw).decode())
    | st.sampled_from(['{"cut', "[1]", "null", '"text"'])
    | words.map(lambda text: f"x{text}")
)
calls = st.builds(ToolCall, id=words, name=names, arguments=arguments, signature=signatures)
call_lists = st.lists(calls, max_size=2, unique_by=lambda call: call.id).map(tuple)
usages = st.builds(
    lambda usage, thoughts: msgspec.structs.replace(
        usage,
        output_tokens=usage.output_tokens + thoughts,
        reasoning_tokens=thoughts,
    ),
    st.builds(
        Usage,
        input_tokens=st.integers(0, 10**9),
        output_tokens=st.integers(0, 10**9),
        cached_tokens=st.integers(0, 10**6),
    ),
    st.integers(0, 10**6),
)


def labelled(answer: ChatAnswer) -> ChatAnswer:
    """Return the answer with its signature, if any, known to be this dialect's."""
    if answer.reasoning_signature is None:
        return answer
    return msgspec.structs.replace(answer, reasoning_dialect=Dialect.GEMINI)


answers = st.builds(
    ChatAnswer,
    text=texts,
    finish_reason=st.just(FinishReason.LENGTH),
    reasoning=texts,
    reasoning_signature=signatures,
    tool_calls=call_lists,
    usage=st.none() | usages,
).map(labelled)

images = st.builds(
    ImagePart, url=st.sampled_from(["data:image/png;base64,AAAA", "https://pictures.test/a.webp"])
)
thoughts = st.builds(
    ReasoningPart,
    text=texts,
    signature=signed,
    dialect=st.just(Dialect.GEMINI),
)


def turn(
    content: tuple[TextPart | ImagePart, ...],
    thought: ReasoningPart,
    said: str,
    call: ToolCall,
    result: str,
) -> list[Message]:
    """Return what the user says, the model calls and a tool answers."""
    return [
        Message(role=Role.USER, content=content),
        Message(
            role=Role.ASSISTANT,
            content=(thought, *((TextPart(said),) if said else ())),
            tool_calls=(msgspec.structs.replace(call, signature=call.signature or "c2ln"),),
        ),
        Message(
            role=Role.TOOL,
            content=(TextPart(result),) if result else (),
            tool_call_id=call.id,
            name=call.name,
        ),
    ]


turns = st.builds(
    turn,
    st.lists(st.builds(TextPart, words) | images, min_size=1, max_size=3).map(tuple),
    thoughts,
    texts,
    calls,
    texts | arguments,
)
conversations = st.builds(
    lambda system, spoken: (
        *([Message(role=Role.SYSTEM, content=(TextPart(system),))] if system else []),
        *(message for each in spoken for message in each),
    ),
    texts,
    st.lists(turns, min_size=1, max_size=3),
)
requests = st.builds(
    ChatRequest,
    model=names,
    messages=conversations,
    tools=st.lists(
        st.builds(
            ToolSpec, name=names, description=st.none() | texts, parameters=st.none() | objects
        ),
        max_size=2,
    ).map(tuple),
    tool_choice=st.none() | st.sampled_from(["auto", "none", "required"]),
    response_format=st.none()
    | st.builds(ResponseFormat)
    | st.builds(ResponseFormat, schema=objects),
    sampling=st.builds(
        Sampling,
        temperature=st.none() | st.floats(0, 2),
        top_p=st.none() | st.floats(0, 1),
        top_k=st.none() | st.integers(1, 10**6),
        max_tokens=st.none() | st.integers(1, 10**6),
        stop=st.lists(texts, max_size=4).map(tuple),
        seed=st.none() | st.integers(-(2**31), 2**31 - 1),
        reasoning_effort=st.none() | st.sampled_from(["low", "medium", "high"]),
    ),
    include_usage=st.just(True),
)


def added_up(events: list[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


@pytest.mark.proves("wire.gemini-upstream", "wire.gemini-request")
@given(requests)
def test_a_request_keeps_its_meaning_through_encode_and_decode(request: ChatRequest) -> None:
    made = encode_request(request, "gemini-3.8-flash")

    decoded = decode_request_for(made.body, request.model, stream=False)

    broken = any("Broken arguments" in loss for loss in made.losses)
    assert made.losses == () or (broken and len(made.losses) == 1)
    assert msgspec.structs.replace(decoded, verbatim=None) == request


@pytest.mark.proves("wire.gemini-answer", "wire.usage-once")
@given(answers)
def test_streamed_and_plain_form_of_an_answer_add_up_to_the_same(answer: ChatAnswer) -> None:
    encoder = StreamEncoder(HEAD)
    sent = b"".join(map(encoder.encode, events_of(answer, streamed=True))) + encoder.end()
    decoder = StreamDecoder()

    streamed = [event for data in SSEParser().feed(sent) for event in decoder.feed(data)]

    assert added_up(decode_answer(encode_answer(answer, HEAD))) == answer
    assert added_up(streamed) == answer
    assert decoder.finished


@pytest.mark.proves("wire.any-chunking")
@given(answers, st.lists(st.integers(1, 60), max_size=12))
def test_however_a_stream_is_cut_the_same_events_come_out(
    answer: ChatAnswer, cuts: list[int]
) -> None:
    encoder = StreamEncoder(HEAD)
    sent = b"".join(map(encoder.encode, events_of(answer, streamed=True))) + encoder.end()
    sent = sent.replace(b"\n\n", b"\r\n\r\n")  # as the vendor ends its lines
    whole, pieces, parser = StreamDecoder(), StreamDecoder(), SSEParser()

    expected = [event for data in SSEParser().feed(sent) for event in whole.feed(data)]
    got: list[ChatEvent] = []
    for cut in [*cuts, len(sent)]:
        piece, sent = sent[:cut], sent[cut:]
        got += [event for data in parser.feed(piece) for event in pieces.feed(data)]

    assert got == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
NAMES = ["role", "parts", "text", "content", "index", "finishReason", "functionCall", "inlineData",
    "functionResponse", "name", "args", "response", "functionDeclarations", "parameters", "data",
    "fileData", "fileUri", "mimeType", "thought", "thoughtSignature", "blockReason"]  # fmt: skip
inner_objects = st.recursive(
    json_values,
    lambda inner: (
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=4) | st.lists(inner, max_size=2)
    ),
    max_leaves=10,
)
TOP = ("contents", "systemInstruction", "system_instruction", "tools", "toolConfig", "models",
    "generationConfig", "candidates", "promptFeedback", "usageMetadata", "error")  # fmt: skip
near_misses = st.fixed_dictionaries({}, optional=dict.fromkeys(TOP, inner_objects)).map(
    msgspec.json.encode
)
any_bytes = st.binary(max_size=60) | near_misses | json_values.map(msgspec.json.encode)


@pytest.mark.proves("wire.any-bytes")
@given(any_bytes)
def test_no_bytes_make_a_decoder_raise_anything_but_our_errors(sent: bytes) -> None:
    with contextlib.suppress(RequestError):
        decode_request_for(sent, "m", stream=True)
    for decode in (decode_answer, StreamDecoder().feed, decode_models):
        with contextlib.suppress(ProviderError):
            decode(sent)


@pytest.mark.proves("wire.any-bytes")
@given(st.integers(300, 599), any_bytes)
def test_every_failed_answer_is_one_short_line(status: int, sent: bytes) -> None:
    error = decode_error(status, {}, sent, now=NOW)

    assert len(error.message) < 300
    assert error.message.isprintable()


@pytest.mark.proves("wire.gemini-upstream")
@given(requests)
def test_the_callers_own_body_is_passed_on_as_it_came(request: ChatRequest) -> None:
    body = encode_request(request, "gemini-2.5-flash").body
    again = encode_request(decode_request_for(body, "m", stream=False), "gemini-2.5-flash")

    assert msgspec.json.decode(again.body) == msgspec.json.decode(body)
    assert again.losses == ()
