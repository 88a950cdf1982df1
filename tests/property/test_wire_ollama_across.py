"""As `test_wire_across`, between Ollama's dialect and the others.

Here images stand before the text and come as data, and nobody counts what a prompt cache held.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from tests.property.test_wire_across import added_up, answers, read_by, read_stream, requests
from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest, ImagePart, Role, Sampling
from ymera.core.usage import Usage
from ymera.testing.scripted import events_of
from ymera.wire import anthropic, gemini, ollama, openai_chat
from ymera.wire.codec import AnswerHead, CallerDialect, UpstreamDialect

OTHERS = [openai_chat, anthropic, gemini]
UPSTREAM_OF: dict[str, UpstreamDialect] = {
    each.CALLER.dialect: each.UPSTREAM for each in (openai_chat, anthropic, gemini, ollama)
}
PAIRS = [
    pair
    for other in OTHERS
    for name in (other.CALLER.dialect,)
    for pair in (
        pytest.param(other.CALLER, ollama.UPSTREAM, ollama.CALLER, id=f"{name}-ollama"),
        pytest.param(ollama.CALLER, other.UPSTREAM, other.CALLER, id=f"ollama-{name}"),
    )
]
HEAD = AnswerHead(
    id="req_1",
    created=1,
    model="m",
    request=ChatRequest(model="m", messages=(), include_usage=True),
)


def with_images_as_data(request: ChatRequest) -> ChatRequest:
    """Return the request with every image as one that Ollama takes."""
    here = ImagePart(url="data:image/png;base64,iVBORw0KGgo=")
    messages = tuple(
        msgspec.structs.replace(
            message,
            content=tuple(
                here if isinstance(part, ImagePart) else part for part in message.content
            ),
        )
        for message in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)


asked_with_data = requests.map(with_images_as_data)


def written_by(caller: CallerDialect, request: ChatRequest) -> ChatRequest:
    """Return `request` as a caller of this dialect would send it and we read it."""
    encoded = UPSTREAM_OF[caller.dialect].encode_request(request, request.model, frozenset())
    return read_by(caller, encoded.body, request.model, stream=request.stream)


def shown(request: ChatRequest) -> list[list[object]]:
    """Return of each turn what every dialect can say; turns of one side in a row are one."""
    turns: list[list[object]] = []
    before: Role | None = None
    for message in request.messages:
        images = tuple(part.url for part in message.content if isinstance(part, ImagePart))
        if before is message.role is not Role.TOOL:
            _, text, earlier, calls, id = turns.pop()
            turn = [message.role, f"{text}{message.text}", (earlier, images), calls, id]
            turns.append([*turn[:3], (calls, message.tool_calls), id])
        else:
            turns.append(
                [message.role, message.text, images, message.tool_calls, message.tool_call_id]
            )
        before = message.role
    return turns


@pytest.mark.proves("wire.across")
@pytest.mark.parametrize(("caller", "upstream", "reader"), PAIRS)
@given(request=asked_with_data)
def test_what_is_asked_from_or_of_ollama_keeps_its_meaning(
    caller: CallerDialect, upstream: UpstreamDialect, reader: CallerDialect, request: ChatRequest
) -> None:
    asked = written_by(caller, request)
    encoded = upstream.encode_request(asked, "up", frozenset())
    read = read_by(reader, encoded.body, "up", stream=asked.stream)
    told = " ".join(encoded.losses)

    assert (read.model, read.stream) == ("up", asked.stream)
    assert shown(read) == shown(asked)
    assert read.tools == asked.tools
    assert read.response_format == asked.response_format
    assert (read.tool_choice or "auto") == (asked.tool_choice or "auto") or "tool_choice" in told
    changed = {
        name
        for name in Sampling.__struct_fields__
        if getattr(read.sampling, name) != getattr(asked.sampling, name)
    }
    assert all(name in told for name in changed), (changed, encoded.losses)


@pytest.mark.proves("wire.across")
@pytest.mark.parametrize(("caller", "upstream", "reader"), PAIRS)
@given(said=answers)
def test_what_is_answered_by_or_to_ollama_is_what_the_caller_reads(
    caller: CallerDialect, upstream: UpstreamDialect, reader: CallerDialect, said: ChatAnswer
) -> None:
    uncached = msgspec.structs.replace(said.usage or Usage(), cached_tokens=0)
    answer = msgspec.structs.replace(said, usage=uncached)
    plain = upstream.decode_answer(reader.encode_answer(answer, HEAD), ())
    vendor = reader.stream_encoder(HEAD)
    sent = b"".join(map(vendor.encode, events_of(answer, streamed=True))) + vendor.end()
    streamed = read_stream(upstream, sent)
    assert added_up(plain) == added_up(streamed) == answer

    theirs = UPSTREAM_OF[caller.dialect]
    whole = caller.encode_answer(added_up(plain), HEAD)
    encoder = caller.stream_encoder(HEAD)
    relayed = b"".join(map(encoder.encode, streamed)) + encoder.end()
    assert added_up(theirs.decode_answer(whole, ())) == answer
    assert added_up(read_stream(theirs, relayed)) == answer
