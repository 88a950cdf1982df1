from __future__ import annotations

import json
from typing import cast

import msgspec
import pytest

from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    RequestAdapted,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.chat import ChatRequest, Message, Role, ToolCall
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.codec import AnswerHead
from ymera.wire.gemini import (
    ListedModel,
    StreamEncoder,
    decode_models,
    encode_answer,
    encode_model,
    encode_models,
)
from ymera.wire.sse import SSEParser

Json = dict[str, object]

REQUEST = ChatRequest(model="m", messages=(Message(role=Role.USER),))
HEAD = AnswerHead(id="req_1a", created=1760000000, model="google/m", request=REQUEST)
USAGE = Usage(input_tokens=9, output_tokens=5, cached_tokens=4, reasoning_tokens=2)
WIRE_USAGE = {
    "promptTokenCount": 9,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 2,
    "cachedContentTokenCount": 4,
    "totalTokenCount": 14,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
}


def chunks(*events: ChatEvent) -> list[Json]:
    encoder = StreamEncoder(HEAD)
    sent = b"".join(map(encoder.encode, events)) + encoder.end()
    return [cast("Json", msgspec.json.decode(data)) for data in SSEParser().feed(sent)]


def parts(chunk: Json) -> object:
    [candidate] = cast("list[dict[str, Json]]", chunk["candidates"])
    return candidate["content"]["parts"]


def finish(chunk: Json) -> object:
    [candidate] = cast("list[Json]", chunk["candidates"])
    return candidate.get("finishReason")


@pytest.mark.proves("wire.gemini-answer")
def test_a_whole_answer_holds_reasoning_text_calls_and_usage() -> None:
    answer = ChatAnswer(
        text="Hello",
        finish_reason=FinishReason.TOOL_CALLS,
        reasoning="hm",
        reasoning_signature="c2ln",
        tool_calls=(ToolCall(id="a", name="f", arguments='{"x":1}', signature="c2ln"),),
        usage=USAGE,
    )
    assert json.loads(encode_answer(answer, HEAD)) == {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
                        {"text": "Hello"},
                        {
                            "functionCall": {"id": "a", "name": "f", "args": {"x": 1}},
                            "thoughtSignature": "c2ln",
                        },
                    ],
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": WIRE_USAGE,
        "modelVersion": "google/m",
        "responseId": "1a",
    }


def test_unknown_usage_is_not_said_to_be_nothing() -> None:
    answer = ChatAnswer(text="a", finish_reason=FinishReason.LENGTH)
    body = json.loads(encode_answer(answer, HEAD))
    assert "usageMetadata" not in body
    assert body["candidates"][0]["finishReason"] == "MAX_TOKENS"


@pytest.mark.proves("wire.gemini-answer")
def test_the_last_piece_alone_says_why_it_stopped_and_what_was_used() -> None:
    sent = chunks(
        RequestAdapted(("x was left out.",)),
        ReasoningDelta("hm"),
        TextDelta("Hel"),
        TextDelta("lo"),
        Finish(FinishReason.STOP),
        UsageReport(USAGE),
    )

    assert [parts(chunk) for chunk in sent] == [
        [{"text": "hm", "thought": True}],
        [{"text": "Hel"}],
        [{"text": "lo"}],
        [{"text": ""}],
    ]
    assert [finish(chunk) for chunk in sent] == [None, None, None, "STOP"]
    assert sent[-1]["usageMetadata"] == WIRE_USAGE
    assert {chunk["responseId"] for chunk in sent} == {"1a"}


@pytest.mark.proves("wire.gemini-answer")
def test_a_call_in_pieces_is_sent_whole() -> None:
    sent = chunks(
        ToolCallDelta(index=0, id="a", name="f", arguments='{"x"', signature="c2ln"),
        ToolCallDelta(index=1, id="b", name="g"),
        ToolCallDelta(index=0, arguments=":1}"),
        Finish(FinishReason.TOOL_CALLS),
    )
    assert parts(sent[0]) == [
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "b", "name": "g", "args": {}}},
    ]
    assert finish(sent[1]) == "STOP"


@pytest.mark.proves("wire.broken-stream")
def test_a_broken_stream_never_says_why_it_stopped() -> None:
    sent = chunks(TextDelta("Hel"))
    assert [chunk.get("error") is not None for chunk in sent] == [False, True]

    encoder = StreamEncoder(HEAD)
    encoder.encode(TextDelta("Hello"))
    encoder.encode(Finish(FinishReason.STOP))
    broken = encoder.error(ProviderError("It broke.", kind=ProviderErrorKind.TRANSIENT))
    assert b"finishReason" not in broken
    assert b'"error"' in broken


@pytest.mark.proves("wire.signature-owner")
def test_another_vendors_signature_is_not_sent_as_this_dialects() -> None:
    sent = chunks(
        ReasoningDelta("hm", "c2ln", dialect=Dialect.ANTHROPIC), Finish(FinishReason.STOP)
    )
    assert parts(sent[0]) == [{"text": "hm", "thought": True}]

    answer = ChatAnswer(
        text="Hello",
        finish_reason=FinishReason.STOP,
        reasoning="hm",
        reasoning_signature="c2ln",
        reasoning_dialect=Dialect.ANTHROPIC,
    )
    assert b"c2ln" not in encode_answer(answer, HEAD)


def test_reasoning_that_nobody_can_read_is_not_sent() -> None:
    sent = chunks(
        ReasoningDelta("", "b2s=", redacted=True),
        ReasoningDelta("", "not base64!"),
        ReasoningDelta("", "c2ln"),
        Finish(FinishReason.STOP),
    )
    assert [parts(chunk) for chunk in sent] == [
        [{"text": "", "thoughtSignature": "c2ln"}],
        [{"text": ""}],
    ]


def test_the_model_list_comes_back_as_it_was() -> None:
    models = (
        ListedModel(id="m", name="M", input_tokens=10, output_tokens=2),
        ListedModel(id="e", name="E", methods=("embedContent",)),
    )
    assert decode_models(encode_models(models)) == (models, None)
    assert json.loads(encode_model(models[0]))["name"] == "models/m"


def test_a_page_of_the_model_list_names_the_next() -> None:
    body = b'{"models":[{"name":"models/m"}],"nextPageToken":"t"}'
    assert decode_models(body) == ((ListedModel(id="m", name="m", methods=()),), "t")
    with pytest.raises(ProviderError):
        decode_models(b'{"models":5}')
