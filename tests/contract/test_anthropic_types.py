"""What we write in the Messages dialect fits the types of the official SDK, field by field."""

from __future__ import annotations

from typing import Any

import msgspec
import pydantic
import pytest
from anthropic.types import Message as SDKMessage
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given

from tests.property.test_wire_across import answers, requests
from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest
from ymera.testing.scripted import events_of
from ymera.wire import openai_chat
from ymera.wire.anthropic import StreamEncoder, encode_answer, encode_request
from ymera.wire.codec import AnswerHead
from ymera.wire.sse import SSEParser

HEAD = AnswerHead(id="req_1", created=1, model="m", request=ChatRequest(model="m", messages=()))
_params: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(MessageCreateParamsNonStreaming)
_event: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RawMessageStreamEvent)
_SDK_TAKES_NO = {"stream", "temperature", "top_p", "top_k"}


def require_valid(value: object) -> None:
    """Walk through what pydantic validates lazily, so that it does.

    Raises:
        pydantic.ValidationError: some part does not fit.
    """
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, str) or not hasattr(value, "__iter__"):
        return
    for inner in value:
        require_valid(inner)


def test_the_types_refuse_what_does_not_fit() -> None:
    turn = {"role": "user", "content": [{"type": "tool_result", "content": "2"}]}
    with pytest.raises(pydantic.ValidationError):
        require_valid(_params.validate_python({"model": "m", "max_tokens": 1, "messages": [turn]}))


@pytest.mark.proves("wire.anthropic-upstream")
@given(requests)
def test_requests_of_another_dialect_fit(request: ChatRequest) -> None:
    there = openai_chat.decode_request(openai_chat.encode_request(request, "m").body)
    body = msgspec.json.decode(encode_request(there, "m").body)
    assert isinstance(body, dict)
    require_valid(
        _params.validate_python({k: v for k, v in body.items() if k not in _SDK_TAKES_NO})
    )


@pytest.mark.proves("wire.anthropic-events")
@given(answers)
def test_answers_and_events_fit(answer: ChatAnswer) -> None:
    SDKMessage.model_validate_json(encode_answer(answer, HEAD), strict=True)
    encoder = StreamEncoder(HEAD)
    sent = b"".join(map(encoder.encode, events_of(answer, streamed=True))) + encoder.end()
    for data in SSEParser().feed(sent):
        if msgspec.json.decode(data)["type"] != "ping":
            _event.validate_json(data, strict=True)
