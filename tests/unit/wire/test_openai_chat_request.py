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
    Sampling,
    TextPart,
    ToolCall,
    ToolSpec,
)
from ymera.core.errors import InvalidRequest, Unsupported
from ymera.wire.openai_chat import decode_request, encode_request

USER = {"role": "user", "content": "hi"}


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": [USER], **fields}).encode()


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


EVERYTHING: dict[str, object] = {
    "model": "auto",
    "messages": [
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "image_url", "image_url": "https://example.com/i.png"},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a":1}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "add", "description": "d", "parameters": {"type": "object"}},
        }
    ],
    "tool_choice": {"type": "function", "function": {"name": "add"}},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "r", "strict": True, "schema": {"type": "object"}},
    },
    "max_completion_tokens": 100,
    "temperature": 0.2,
    "top_p": 1,
    "stop": "END",
    "seed": 7,
    "stream": True,
    "stream_options": {"include_usage": True},
    "n": 1,
    "logit_bias": {"1": 2},
}


@pytest.mark.proves("wire.openai-round-trip")
def test_every_field_of_a_request_is_understood() -> None:
    decoded = decode_request(json.dumps(EVERYTHING).encode())
    assert msgspec.structs.replace(decoded, verbatim=None) == ChatRequest(
        model="auto",
        messages=(
            Message(role=Role.SYSTEM, content=(TextPart("be brief"),)),
            Message(
                role=Role.USER,
                name="ann",
                content=(
                    TextPart("what is this?"),
                    ImagePart(url="data:image/png;base64,AA"),
                    ImagePart(url="https://example.com/i.png"),
                ),
            ),
            Message(
                role=Role.ASSISTANT,
                tool_calls=(ToolCall(id="call_1", name="add", arguments='{"a":1}'),),
            ),
            Message(role=Role.TOOL, content=(TextPart("2"),), tool_call_id="call_1"),
        ),
        tools=(ToolSpec(name="add", description="d", parameters=raw({"type": "object"})),),
        tool_choice="add",
        response_format=ResponseFormat(schema=raw({"type": "object"}), name="r", strict=True),
        sampling=Sampling(temperature=0.2, top_p=1.0, max_tokens=100, stop=("END",), seed=7),
        stream=True,
        include_usage=True,
        extra={"logit_bias": raw({"1": 2})},
    )


@pytest.mark.proves("wire.openai-round-trip")
def test_an_encoded_request_is_what_an_upstream_expects() -> None:
    request = ChatRequest(
        model="auto",
        messages=(
            Message(role=Role.USER, content=(TextPart("a"), ImagePart(url="u", detail="low"))),
            Message(role=Role.USER, content=(TextPart("alone"),), name="ann"),
            Message(role=Role.ASSISTANT),
            Message(role=Role.ASSISTANT, tool_calls=(ToolCall(id="c", name="f", arguments="{}"),)),
            Message(role=Role.TOOL, tool_call_id="c", content=(TextPart("2"),)),
        ),
        tools=(ToolSpec(name="f", strict=True),),
        tool_choice="f",
        response_format=ResponseFormat(),
        sampling=Sampling(max_tokens=5, stop=("x", "y")),
        stream=True,
    )

    assert json.loads(encode_request(request, "vendor/m-1").body) == {
        "model": "vendor/m-1",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
                ],
            },
            {"role": "user", "content": "alone", "name": "ann"},
            {"role": "assistant", "content": ""},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "content": "2", "tool_call_id": "c"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_object"},
        "max_tokens": 5,
        "stop": ["x", "y"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.proves("wire.verbatim")
def test_what_a_caller_wrote_reaches_an_upstream_of_the_same_dialect_as_it_stands() -> None:
    sent = b'{"model":"m","messages":[{"role":"user","content":"hi","cache_control":{"a":1}}]}'
    asked = json.loads(encode_request(decode_request(sent), "u").body)
    assert asked["messages"] == [{"role": "user", "content": "hi", "cache_control": {"a": 1}}]


@pytest.mark.proves("wire.verbatim")
def test_a_changed_request_is_written_anew() -> None:
    request = decode_request(b'{"model":"m","messages":[{"role":"user","content":"my secret"}]}')
    redacted = (Message(role=Role.USER, content=(TextPart("***"),)),)
    changed = msgspec.structs.replace(request, messages=redacted)
    assert json.loads(encode_request(changed, "u").body)["messages"] == [
        {"role": "user", "content": "***"}
    ]


@pytest.mark.proves("wire.verbatim")
def test_reasoning_of_earlier_answers_is_left_out_and_the_loss_is_said() -> None:
    spoken = (ReasoningPart(text="hm"), TextPart("yes"))
    request = ChatRequest(model="m", messages=(Message(role=Role.ASSISTANT, content=spoken),))
    encoded = encode_request(request, "u")
    assert json.loads(encoded.body)["messages"] == [{"role": "assistant", "content": "yes"}]
    assert encoded.losses == ("Reasoning of 1 earlier answers was left out.",)


@pytest.mark.proves("wire.unknown-fields")
def test_fields_nobody_knows_reach_the_upstream_as_they_were_written() -> None:
    request = decode_request(b'{"model":"m","messages":[{"role":"user"}],"top_k":4.0e1}')

    assert b'"top_k":4.0e1' in encode_request(request, "u").body


@pytest.mark.proves("wire.owner-decides")
@pytest.mark.parametrize(
    "field", ["models", "route", "plugins", "provider", "service_tier", "api_base", "api_key"]
)
def test_a_caller_cannot_make_the_upstream_use_another_model_or_buy_extras(field: str) -> None:
    request = decode_request(body(**{field: ["other"]}))

    assert field not in json.loads(encode_request(request, "u").body)


def test_an_extra_field_never_replaces_one_of_ours() -> None:
    request = msgspec.structs.replace(decode_request(body()), extra={"model": raw("other")})

    assert json.loads(encode_request(request, "u").body)["model"] == "u"


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_a_tool_choice_by_word_is_kept(choice: str) -> None:
    request = decode_request(body(tool_choice=choice))

    assert json.loads(encode_request(request, "u").body)["tool_choice"] == choice


def test_a_text_response_format_is_the_same_as_none() -> None:
    assert decode_request(body(response_format={"type": "text"})).response_format is None


def test_a_json_object_response_format_has_no_schema() -> None:
    request = decode_request(body(response_format={"type": "json_object"}))

    assert request.response_format == ResponseFormat()


def test_a_schema_is_sent_with_its_name() -> None:
    request = decode_request(
        body(response_format={"type": "json_schema", "json_schema": {"name": "r", "schema": {}}})
    )

    assert json.loads(encode_request(request, "u").body)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "r", "schema": {}},
    }


@pytest.mark.proves("wire.invalid-request")
@pytest.mark.parametrize(
    ("sent", "param"),
    [
        (b'{"messages":[{"role":"user"}]}', "model"),
        (b'{"model":"m"}', "messages"),
        (body(messages=[]), "messages"),
        (body(messages="hi"), "messages"),
        (body(model=3), "model"),
        (body(messages=[USER, {"content": "x"}]), "messages[1].role"),
        (body(messages=[{"role": "robot"}]), "messages[0].role"),
        (body(messages=[{"role": "tool", "content": "2"}]), "messages[0].tool_call_id"),
        (body(messages=[{"role": "user", "content": 3}]), "messages[0].content"),
        (body(messages=[{"role": "user", "content": [{"type": "text"}]}]), "content[0].text"),
        (
            body(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
            "messages[0].content[0].image_url",
        ),
        (body(temperature=3), "temperature"),
        (body(max_tokens=0), "max_tokens"),
        (body(stop=["a"] * 5), "stop"),
        (body(tool_choice="maybe"), "tool_choice"),
        (body(tool_choice={"function": {"name": "f"}}), "tool_choice"),
        (body(tools=[{"type": "function"}]), "tools[0].function"),
        (
            body(tools=[{"function": {"name": "f", "parameters": []}}]),
            "tools[0].function.parameters",
        ),
        (body(response_format={"type": "xml"}), "response_format.type"),
        (body(response_format={"type": "json_schema"}), "response_format.json_schema.schema"),
        (
            body(response_format={"type": "json_schema", "json_schema": {"schema": None}}),
            "response_format.json_schema.schema",
        ),
        (body(stream_options=[]), "stream_options"),
    ],
)
def test_a_wrong_field_is_named(sent: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(sent)

    assert caught.value.param is not None
    assert caught.value.param.endswith(param)
    assert caught.value.param in caught.value.message
    assert caught.value.hint


@pytest.mark.proves("wire.invalid-request")
@pytest.mark.parametrize(
    "sent",
    [b"", b"{", b"hello", b'{"model":"\xff"}', b"[" * 200_000, b"[1]", b"null", b"\x00\xfe"],
)
def test_a_body_that_is_no_json_object_is_refused_in_one_sentence(sent: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(sent)

    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        (body(n=2), "n"),
        (body(functions=[{"name": "f"}]), "functions"),
        (body(audio={"voice": "x"}), "audio"),
        (body(tools=[{"type": "web_search"}]), "tools[0].type"),
        (
            body(messages=[{"role": "user", "content": [{"type": "input_audio"}]}]),
            "messages[0].content[0].type",
        ),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_is_named(sent: bytes, param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        decode_request(sent)

    assert caught.value.param == param


def test_half_a_surrogate_pair_is_an_error_of_the_request() -> None:
    message = Message(role=Role.USER, content=(TextPart("\ud800"),))

    with pytest.raises(InvalidRequest):
        encode_request(ChatRequest(model="m", messages=(message,)), "u")
