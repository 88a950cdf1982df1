from __future__ import annotations

import json

import msgspec
import pytest

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    ReasoningPart,
    ResponseFormat,
    Role,
    TextPart,
    ToolCall,
)
from ymera.core.errors import InvalidRequest, RequestError, Unsupported
from ymera.core.model import Dialect
from ymera.wire.gemini import decode_request, decode_request_for

HI = {"role": "user", "parts": [{"text": "hi"}]}


def decoded(contents: object = None, **fields: object) -> ChatRequest:
    body = {"contents": [HI] if contents is None else contents, **fields}
    return decode_request_for(json.dumps(body).encode(), "models/some-model", stream=False)


def refused(contents: object = None, **fields: object) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decoded(contents, **fields)
    assert caught.value.hint
    return caught.value


def of_model(*parts: object) -> Message:
    request = decoded([HI, {"role": "model", "parts": list(parts)}])
    return request.messages[-1]


def test_the_path_says_which_model_and_whether_it_is_streamed() -> None:
    request = decode_request_for(json.dumps({"contents": [HI]}).encode(), "models/m", stream=True)

    assert request.model == "m"
    assert request.stream
    assert request.messages == (Message(role=Role.USER, content=(TextPart("hi"),)),)


def test_a_body_alone_has_to_name_the_model() -> None:
    body = {"contents": [HI], "model": "models/m"}
    assert decode_request(json.dumps(body).encode()).model == "m"
    with pytest.raises(InvalidRequest) as caught:
        decode_request(json.dumps({"contents": [HI]}).encode())
    assert caught.value.param == "model"


def test_system_instruction_text_and_images_are_read() -> None:
    parts = [
        {"text": "look"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://pictures.test/a.jpg"}},
    ]
    request = decoded(
        [{"parts": parts}], systemInstruction={"parts": [{"text": "be "}, {"text": "kind"}]}
    )

    assert request.messages == (
        Message(role=Role.SYSTEM, content=(TextPart("be "), TextPart("kind"))),
        Message(
            role=Role.USER,
            content=(
                TextPart("look"),
                ImagePart(url="data:image/png;base64,AAAA"),
                ImagePart(url="https://pictures.test/a.jpg"),
            ),
        ),
    )


@pytest.mark.proves("wire.gemini-request")
def test_fields_are_read_in_either_spelling_but_the_callers_own_names_stay() -> None:
    body = {
        "system_instruction": {"parts": [{"text": "s"}]},
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "AA"}}]}],
        "tools": [
            {
                "function_declarations": [
                    {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a_b": {}}}}
                ]
            }
        ],
        "generation_config": {"max_output_tokens": 7},
    }
    request = decode_request_for(json.dumps(body).encode(), "m", stream=False)

    assert request.messages[0].text == "s"
    assert request.messages[1].content == (ImagePart(url="data:image/png;base64,AA"),)
    assert request.sampling.max_tokens == 7
    assert request.tools[0].parameters is not None
    assert b"a_b" in bytes(request.tools[0].parameters)


@pytest.mark.proves("wire.gemini-request")
def test_results_without_ids_find_their_calls_by_name_and_order() -> None:
    request = decoded(
        [
            HI,
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "add", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "look"}},
                    {"functionCall": {"name": "add", "args": {"a": 2}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "look", "response": {"seen": True}}},
                    {"functionResponse": {"name": "add", "response": {"result": 2}}},
                    {"functionResponse": {"name": "add", "response": {"error": "too big"}}},
                    {"text": "go on"},
                ],
            },
        ]
    )
    called, looked, first, second, said = request.messages[1:]

    assert called.tool_calls == (
        ToolCall(id="call_0", name="add", arguments='{"a": 1}', signature="c2ln"),
        ToolCall(id="call_1", name="look", arguments="{}"),
        ToolCall(id="call_2", name="add", arguments='{"a": 2}'),
    )
    assert [each.tool_call_id for each in (looked, first, second)] == ["call_1", "call_0", "call_2"]
    assert [each.text for each in (looked, first, second)] == ['{"seen": true}', "2", "too big"]
    assert [each.is_error for each in (looked, first, second)] == [False, False, True]
    assert said == Message(role=Role.USER, content=(TextPart("go on"),))


def test_a_result_that_answers_no_call_is_named() -> None:
    error = refused([{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}])
    assert error.param == "contents[0].parts[0].functionResponse"


@pytest.mark.proves("wire.gemini-signatures")
def test_signed_reasoning_comes_in_as_what_only_this_dialect_can_read() -> None:
    said = of_model(
        {"text": "hmm", "thought": True},
        {"text": "Hello"},
        {"text": "", "thoughtSignature": "c2ln"},
    )

    assert said.content == (
        ReasoningPart(text="hmm"),
        TextPart("Hello"),
        ReasoningPart(signature="c2ln", dialect=Dialect.GEMINI),
    )


def test_generation_config_becomes_sampling_and_format() -> None:
    request = decoded(
        generationConfig={
            "maxOutputTokens": 100,
            "temperature": 0.2,
            "topP": 0.9,
            "topK": 40,
            "stopSequences": ["END"],
            "seed": 7,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingBudget": 512},
        }
    )

    assert request.sampling == type(request.sampling)(
        temperature=0.2,
        top_p=0.9,
        top_k=40,
        max_tokens=100,
        stop=("END",),
        seed=7,
        reasoning_tokens=512,
    )
    assert request.response_format == ResponseFormat(schema=msgspec.Raw(b'{"type": "object"}'))


@pytest.mark.parametrize(
    ("thinking", "effort", "tokens"),
    [
        ({"thinkingLevel": "HIGH"}, "high", None),
        ({"thinkingLevel": "low"}, "low", None),
        ({"thinkingBudget": 0}, "none", None),
        ({"thinkingBudget": -1}, None, None),
        ({"includeThoughts": True}, None, None),
    ],
)
def test_how_much_to_think_is_read(
    thinking: dict[str, object], effort: str | None, tokens: int | None
) -> None:
    sampling = decoded(generationConfig={"thinkingConfig": thinking}).sampling
    assert (sampling.reasoning_effort, sampling.reasoning_tokens) == (effort, tokens)


def test_the_vendors_own_schemas_become_json_schema() -> None:
    own = {
        "type": "OBJECT",
        "propertyOrdering": ["type"],
        "properties": {
            "type": {"type": "STRING", "nullable": True, "enum": ["a"]},
            "list": {"type": "ARRAY", "minItems": "1", "items": {"type": "INTEGER"}},
        },
    }
    request = decoded(
        generationConfig={"responseMimeType": "application/json", "responseSchema": own},
        tools=[{"functionDeclarations": [{"name": "f", "parameters": own}]}],
    )
    schema = {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["a", None]},
            "list": {"type": "array", "minItems": 1, "items": {"type": "integer"}},
        },
    }

    assert request.response_format is not None
    assert request.response_format.schema is not None
    assert msgspec.json.decode(request.response_format.schema) == schema
    assert request.tools[0].parameters is not None
    assert msgspec.json.decode(request.tools[0].parameters) == schema


@pytest.mark.parametrize(
    ("calling", "choice", "names"),
    [
        ({}, None, ["f", "g", "h"]),
        ({"mode": "AUTO"}, "auto", ["f", "g", "h"]),
        ({"mode": "any"}, "required", ["f", "g", "h"]),
        ({"mode": "NONE"}, "none", ["f", "g", "h"]),
        ({"mode": "ANY", "allowedFunctionNames": ["g"]}, "g", ["f", "g", "h"]),
        ({"mode": "ANY", "allowedFunctionNames": ["g", "h"]}, "required", ["g", "h"]),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["h"]}, "auto", ["h"]),
    ],
)
def test_tool_config_chooses_among_the_tools(
    calling: dict[str, object], choice: str | None, names: list[str]
) -> None:
    request = decoded(
        tools=[{"functionDeclarations": [{"name": name} for name in "fgh"]}],
        toolConfig={"functionCallingConfig": calling},
    )

    assert request.tool_choice == choice
    assert [tool.name for tool in request.tools] == names


@pytest.mark.proves("wire.gemini-request", "wire.owner-decides")
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
        (
            {"generationConfig": {"responseModalities": ["AUDIO"]}},
            "generationConfig.responseModalities",
        ),
        (
            {"generationConfig": {"responseMimeType": "text/x.enum"}},
            "generationConfig.responseMimeType",
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "A"}}]}]},
            "contents[0].parts[0].inlineData.mimeType",
        ),
        (
            {"contents": [{"parts": [{"fileData": {"fileUri": "gs://bucket/a.png"}}]}]},
            "contents[0].parts[0].fileData.fileUri",
        ),
        ({"contents": [{"parts": [{"executableCode": {}}]}]}, "contents[0].parts[0]"),
        (
            {"systemInstruction": {"parts": [{"inlineData": {"data": "A"}}]}},
            "systemInstruction.parts[0]",
        ),
    ],
)
def test_what_cannot_be_served_is_named(fields: dict[str, object], param: str) -> None:
    error = refused(**fields)
    assert isinstance(error, Unsupported)
    assert error.param == param


@pytest.mark.proves("wire.gemini-request")
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text"),
        ({"generationConfig": {"temperature": 3}}, "generationConfig.temperature"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        (
            {"tools": [{"functionDeclarations": [{"description": "d"}]}]},
            "tools[0].functionDeclarations[0].name",
        ),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": []}]}]},
            "tools[0].functionDeclarations[0].parameters",
        ),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            {"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["f"]}}},
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], param: str) -> None:
    error = refused(**fields)
    assert isinstance(error, InvalidRequest)
    assert error.param == param


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'{"contents":[{"parts":[{]}]}'])
def test_a_body_that_cannot_be_read_says_what_to_send(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request_for(body, "m", stream=False)
    assert "contents" in (caught.value.hint or "")


def test_fields_of_a_later_version_are_kept() -> None:
    request = decoded(safetySettings=[{"threshold": "OFF"}])
    assert request.extra == {"safetySettings": msgspec.Raw(b'[{"threshold": "OFF"}]')}
