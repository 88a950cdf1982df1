"""What a request and an answer mean survives the way from one dialect to another.

Each pair: what one dialect's caller wrote is encoded for an upstream of the other and read back.
What is not the same then has to be a loss that was told.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.answer import AnswerBuilder, ChatAnswer, ChatEvent, FinishReason
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
from ymera.core.usage import Usage
from ymera.testing.scripted import events_of
from ymera.wire import anthropic, gemini, openai_chat
from ymera.wire.codec import AnswerHead, CallerDialect, Framing, UpstreamDialect
from ymera.wire.lines import LineParser
from ymera.wire.sse import SSEParser

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
words = texts.filter(lambda text: bool(text.strip()))
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(
    lambda name: name not in {"auto", "none", "required"}
)
values = st.none() | st.integers(-(2**53), 2**53) | texts
objects = st.dictionaries(words, values, max_size=3).map(
    lambda value: msgspec.json.encode(value).decode()
)
schemas = st.dictionaries(names, st.just({"type": "string"}), max_size=2).map(
    lambda fields: msgspec.Raw(msgspec.json.encode({"type": "object", "properties": fields}))
)
images = st.builds(
    ImagePart,
    url=st.sampled_from(["https://example.org/a.png", "data:image/png;base64,iVBORw0KGgo="]),
)
calls = st.builds(
    ToolCall,
    id=st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True),
    name=names,
    arguments=objects,
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns as any dialect can say them: user, assistant, and results after every call."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message(role=Role.SYSTEM, content=(TextPart(draw(words)),)))
    for _ in range(draw(st.integers(1, 3))):
        shown = draw(st.lists(st.builds(TextPart, words) | images, min_size=1, max_size=2))
        messages.append(Message(role=Role.USER, content=tuple(shown)))
        asked = draw(st.lists(calls, max_size=2, unique_by=lambda call: call.id))
        said = (TextPart(draw(words)),) if not asked or draw(st.booleans()) else ()
        messages.append(Message(role=Role.ASSISTANT, content=said, tool_calls=tuple(asked)))
        messages += [
            Message(role=Role.TOOL, content=(TextPart(draw(words)),), tool_call_id=call.id)
            for call in asked
        ]
        if asked:
            messages.append(Message(role=Role.ASSISTANT, content=(TextPart(draw(words)),)))
    messages.append(Message(role=Role.USER, content=(TextPart(draw(words)),)))
    return tuple(messages)


tools = st.lists(
    st.builds(ToolSpec, name=names, description=st.none() | words, parameters=schemas),
    max_size=2,
    unique_by=lambda tool: tool.name,
).map(tuple)
requests = st.builds(
    ChatRequest,
    model=names,
    messages=conversations(),
    tools=tools,
    tool_choice=st.none() | st.sampled_from(["auto", "required"]),
    response_format=st.none() | st.builds(ResponseFormat, schema=schemas),
    sampling=st.builds(
        Sampling,
        temperature=st.none() | st.floats(0, 1),
        max_tokens=st.integers(2048, 10**5),
        stop=st.lists(words, max_size=2).map(tuple),
        reasoning_effort=st.none() | st.sampled_from(["low", "medium", "high"]),
    ),
    stream=st.booleans(),
)
usages = st.integers(0, 10**6).flatmap(
    lambda prompt: st.builds(
        Usage,
        input_tokens=st.just(prompt),
        output_tokens=st.integers(0, 10**6),
        cached_tokens=st.integers(0, prompt),
    )
)
answers = st.builds(
    ChatAnswer,
    text=words,
    finish_reason=st.sampled_from(
        [FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER]
    ),
    usage=usages,
) | st.builds(
    ChatAnswer,
    text=texts,
    finish_reason=st.just(FinishReason.TOOL_CALLS),
    tool_calls=st.lists(calls, min_size=1, max_size=2, unique_by=lambda c: c.id).map(tuple),
    usage=usages,
)

PAIRS = [
    pytest.param(openai_chat.CALLER, anthropic.UPSTREAM, anthropic.CALLER, id="openai-anthropic"),
    pytest.param(anthropic.CALLER, openai_chat.UPSTREAM, openai_chat.CALLER, id="anthropic-openai"),
    pytest.param(openai_chat.CALLER, gemini.UPSTREAM, gemini.CALLER, id="openai-gemini"),
    pytest.param(gemini.CALLER, openai_chat.UPSTREAM, openai_chat.CALLER, id="gemini-openai"),
    pytest.param(anthropic.CALLER, gemini.UPSTREAM, gemini.CALLER, id="anthropic-gemini"),
    pytest.param(gemini.CALLER, anthropic.UPSTREAM, anthropic.CALLER, id="gemini-anthropic"),
]
"""The caller's dialect, the upstream's, and who reads there what the upstream is sent."""
UPSTREAM_OF = {openai_chat.CALLER.dialect: openai_chat.UPSTREAM}
UPSTREAM_OF |= {anthropic.CALLER.dialect: anthropic.UPSTREAM}
UPSTREAM_OF |= {gemini.CALLER.dialect: gemini.UPSTREAM}


def written_by(caller: CallerDialect, request: ChatRequest) -> ChatRequest:
    """Return `request` as a caller of this dialect would send it and we read it."""
    encoded = UPSTREAM_OF[caller.dialect].encode_request(request, request.model, frozenset())
    return read_by(caller, encoded.body, request.model, stream=request.stream)


def read_by(caller: CallerDialect, body: bytes, model: str, *, stream: bool) -> ChatRequest:
    """Return the request in a body; one dialect says model and streaming in the path."""
    if caller is gemini.CALLER:
        return gemini.decode_request_for(body, model, stream)
    return caller.decode_request(body)


def added_up(events: list[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


def read_stream(dialect: UpstreamDialect, sent: bytes) -> list[ChatEvent]:
    """Return the events of a streamed answer."""
    parser = SSEParser() if dialect.framing is Framing.SSE else LineParser()
    decoder = dialect.stream_decoder(())
    return [event for data in parser.feed(sent) for event in decoder.feed(data)]


@pytest.mark.proves("wire.across")
@pytest.mark.parametrize(("caller", "upstream", "reader"), PAIRS)
@given(request=requests)
def test_what_a_caller_asks_is_what_the_other_dialect_reads(
    caller: CallerDialect, upstream: UpstreamDialect, reader: CallerDialect, request: ChatRequest
) -> None:
    asked = written_by(caller, request)
    encoded = upstream.encode_request(asked, "up", frozenset())
    read = read_by(reader, encoded.body, "up", stream=asked.stream)

    assert read.model == "up"
    assert read.stream == asked.stream
    assert _merged(read.messages) == _merged(asked.messages)
    assert read.tools == asked.tools
    assert (read.tool_choice, read.response_format) == (asked.tool_choice, asked.response_format)
    changed = {
        name
        for name in Sampling.__struct_fields__
        if getattr(read.sampling, name) != getattr(asked.sampling, name)
    }
    told = " ".join(encoded.losses)
    assert all(name in told for name in changed), (changed, encoded.losses)


@pytest.mark.proves("wire.across")
@pytest.mark.parametrize(("caller", "upstream", "reader"), PAIRS)
@given(answer=answers)
def test_what_an_upstream_answers_is_what_the_caller_reads(
    caller: CallerDialect, upstream: UpstreamDialect, reader: CallerDialect, answer: ChatAnswer
) -> None:
    """Streamed and plain, and from one to the other: text, calls, finish and usage stay."""
    request = ChatRequest(model="m", messages=(), include_usage=True)
    head = AnswerHead(id="req_1", created=1, model="m", request=request)
    upstream_says = reader.encode_answer(answer, head)  # the reader plays the vendor
    plain = upstream.decode_answer(upstream_says, ())
    vendor = reader.stream_encoder(head)
    sent = b"".join(map(vendor.encode, events_of(answer, streamed=True))) + vendor.end()
    streamed = read_stream(upstream, sent)
    assert added_up(plain) == added_up(streamed) == answer

    theirs = UPSTREAM_OF[caller.dialect]
    whole = caller.encode_answer(added_up(plain), head)
    encoder = caller.stream_encoder(head)
    relayed = b"".join(map(encoder.encode, streamed)) + encoder.end()
    assert added_up(theirs.decode_answer(whole, ())) == answer
    assert added_up(read_stream(theirs, relayed)) == answer


def _merged(messages: tuple[Message, ...]) -> list[Message]:
    """Return the messages with those of one side in a row made one, as some dialects do.

    Names of tools stand with their calls; not every dialect repeats them with the results.
    """
    merged: list[Message] = []
    for message in map(_without_tools_name, messages):
        if not merged or merged[-1].role is not message.role or message.role is Role.TOOL:
            merged.append(message)
            continue
        before = merged.pop()
        merged.append(
            msgspec.structs.replace(
                before,
                content=before.content + message.content,
                tool_calls=before.tool_calls + message.tool_calls,
            )
        )
    return merged


def _without_tools_name(message: Message) -> Message:
    return msgspec.structs.replace(message, name=None) if message.role is Role.TOOL else message
