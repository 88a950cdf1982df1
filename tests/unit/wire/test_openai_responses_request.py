"""What callers ask in the Responses dialect, and what is said to those who ask for too much."""

from __future__ import annotations

from typing import Any

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
    verbatim_for,
)
from ymera.core.errors import InvalidRequest, Unsupported
from ymera.core.model import Dialect
from ymera.wire.openai_responses import decode_request


def asked(wanted: object = "hi", **more: object) -> ChatRequest:
    return decode_request(msgspec.json.encode({"model": "auto", "input": wanted, **more}))


def said(*items: dict[str, Any]) -> tuple[Message, ...]:
    return asked(list(items)).messages


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


def call(id: str, name: str = "add", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def result(id: str, output: object = "2") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": output}


@pytest.mark.proves("wire.responses-request")
def test_a_text_is_one_user_turn_after_the_instructions() -> None:
    request = asked("hi", instructions="Be brief.", stream=True)
    assert request.messages == (
        Message(role=Role.SYSTEM, content=(TextPart("Be brief."),)),
        Message(role=Role.USER, content=(TextPart("hi"),)),
    )
    assert request.stream


@pytest.mark.proves("wire.responses-request")
def test_items_of_one_turn_of_the_model_become_one_message() -> None:
    messages = said(
        {"type": "message", "role": "developer", "content": "Rules."},
        user("Add."),
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I add."}],
        },
        call("c1", arguments='{"a":1}'),
        call("c2"),
        result("c1"),
        result("c2", [{"type": "input_text", "text": "3"}]),
    )
    assert messages == (
        Message(role=Role.SYSTEM, content=(TextPart("Rules."),)),
        Message(role=Role.USER, content=(TextPart("Add."),)),
        Message(
            role=Role.ASSISTANT,
            content=(ReasoningPart(text="Hm."), TextPart("I add.")),
            tool_calls=(
                ToolCall(id="c1", name="add", arguments='{"a":1}'),
                ToolCall(id="c2", name="add", arguments="{}"),
            ),
        ),
        Message(role=Role.TOOL, content=(TextPart("2"),), tool_call_id="c1", name="add"),
        Message(role=Role.TOOL, content=(TextPart("3"),), tool_call_id="c2", name="add"),
    )


@pytest.mark.proves("wire.responses-request")
def test_results_follow_their_call_even_when_somebody_spoke_in_between() -> None:
    messages = said(user("go"), call("c1"), user("wait"), result("c1"), user("on"))
    assert [message.role for message in messages] == [
        Role.USER,
        Role.ASSISTANT,
        Role.TOOL,
        Role.USER,
        Role.USER,
    ]


@pytest.mark.proves("wire.responses-request")
def test_sealed_reasoning_is_kept_for_the_vendor_that_can_open_it() -> None:
    (message,) = said(
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "opaque"}
    )
    assert message.content == (
        ReasoningPart(text="", signature="opaque", dialect=Dialect.OPENAI_RESPONSES, redacted=True),
    )


@pytest.mark.proves("wire.responses-request")
def test_images_and_refusals_of_the_past_are_read() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    messages = said(
        {"role": "user", "content": [image]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        call("c1"),
        result("c1", [image]),
    )
    seen = ImagePart(url="data:image/png;base64,AA==", detail="low")
    assert messages[0].content == (seen,)
    assert messages[1].text == "No."
    assert messages[2].content == (seen,)


@pytest.mark.proves("wire.responses-request")
def test_settings_are_read() -> None:
    schema = {"type": "object"}
    request = asked(
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        reasoning={"effort": "high", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "r", "schema": schema, "strict": True}},
        parallel_tool_calls=False,
        metadata={"language": "python"},
    )
    assert request.sampling == Sampling(
        temperature=0.5, top_p=0.9, max_tokens=7, reasoning_effort="high"
    )
    assert request.response_format == ResponseFormat(
        schema=msgspec.Raw(msgspec.json.encode(schema)), name="r", strict=True
    )
    assert request.parallel_tools is False
    assert set(request.extra) == {"metadata"}
    assert asked(text={"format": {"type": "json_object"}}).response_format == ResponseFormat()
    assert asked(text={"format": {"type": "text"}}).response_format is None


@pytest.mark.proves("wire.responses-request")
def test_what_codex_and_others_send_beside_is_no_reason_to_fail() -> None:
    request = asked(
        store=True,
        truncation="auto",
        include=["reasoning.encrypted_content"],
        prompt_cache_key="k",
        service_tier="priority",
        text={"verbosity": "low"},
        safety_identifier="s",
        client_metadata={"a": "b"},
        stream_options={"include_obfuscation": False},
        background=False,
        previous_response_id=None,
    )
    assert request.extra == {}
    verbatim = verbatim_for(request, Dialect.OPENAI_RESPONSES)
    assert verbatim is not None
    assert bytes(verbatim["prompt_cache_key"]) == b'"k"'


@pytest.mark.proves("wire.responses-tools")
def test_every_tool_becomes_a_function() -> None:
    parameters = {"type": "object", "properties": {}}
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    request = asked(
        tools=[
            {"type": "function", "name": "add", "parameters": parameters, "strict": False},
            {"type": "custom", "name": "apply_patch", "description": "Edits.", "format": grammar},
            {"type": "local_shell"},
            {
                "type": "namespace",
                "name": "mcp__docs__",
                "tools": [{"type": "function", "name": "read"}],
            },
            {"type": "namespace", "name": "n" * 60, "tools": [{"type": "custom", "name": "long"}]},
        ]
    )
    add, patch, shell, read, long = request.tools
    assert (add.name, add.strict) == ("add", False)
    assert add.parameters == msgspec.Raw(msgspec.json.encode(parameters))
    assert patch.name == "apply_patch"
    assert patch.description is not None
    assert patch.description.startswith("Edits.")
    assert "start: x" in patch.description
    for one in (patch, shell):
        assert one.parameters is not None
    assert msgspec.json.decode(patch.parameters or b"")["required"] == ["input"]
    assert msgspec.json.decode(shell.parameters or b"")["required"] == ["command"]
    assert (shell.name, read.name) == ("local_shell", "mcp__docs__read")
    assert len(long.name) == 64


@pytest.mark.proves("wire.responses-tools")
def test_calls_of_the_past_carry_the_names_the_model_knows() -> None:
    messages = said(
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": 'a"b'},
        {"type": "function_call", "call_id": "c2", "name": "read", "namespace": "mcp__d__"}
        | {"arguments": "{}"},
        {
            "type": "local_shell_call",
            "id": "lsh_1",
            "call_id": "c3",
            "action": {"type": "exec", "command": ["ls"], "env": {}, "working_directory": "/x"},
        },
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        result("c2"),
        {"type": "local_shell_call_output", "id": "c3", "output": "a.py"},
    )
    assert messages[0].tool_calls == (
        ToolCall(id="c1", name="apply_patch", arguments='{"input":"a\\"b"}'),
        ToolCall(id="c2", name="mcp__d__read", arguments="{}"),
        ToolCall(id="c3", name="local_shell", arguments='{"command":["ls"],"workdir":"/x"}'),
    )
    assert [message.name for message in messages[1:]] == [
        "apply_patch",
        "mcp__d__read",
        "local_shell",
    ]


@pytest.mark.proves("wire.responses-tools")
def test_one_tool_or_some_can_be_chosen() -> None:
    tools = [{"type": "function", "name": "a"}, {"type": "custom", "name": "b"}]
    assert asked(tools=tools, tool_choice="required").tool_choice == "required"
    chosen = asked(tools=tools, tool_choice={"type": "custom", "name": "b"})
    assert chosen.tool_choice == "b"
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [tools[0]]}
    some = asked(tools=tools, tool_choice=allowed)
    assert [tool.name for tool in some.tools] == ["a"]
    assert some.tool_choice == "auto"


@pytest.mark.proves("wire.responses-refusals")
@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools[0].type"),
        (
            {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]},
            "tools[0].tools[0].type",
        ),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [user("a"), {"type": "web_search_call", "id": "w"}]}, "input[1].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].image_url",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(more: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        asked(**more)
    assert caught.value.param == param
    assert caught.value.hint


@pytest.mark.proves("wire.responses-refusals")
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "hi"}, "model"),
        ({"model": "auto"}, "input"),
        ({"model": "auto", "input": []}, "input"),
        ({"model": "auto", "input": 7}, "input"),
        ({"model": "auto", "input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"model": "auto", "input": [{"content": "x"}]}, "input[0].role"),
        ({"model": "auto", "input": [{"role": "user", "content": 7}]}, "input[0].content"),
        (
            {"model": "auto", "input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0].content[0].text",
        ),
        ({"model": "auto", "input": [{**call("c"), "name": None}]}, "input[0].name"),
        ({"model": "auto", "input": [{**call("c"), "call_id": None}]}, "input[0].call_id"),
        ({"model": "auto", "input": [{**call("c"), "arguments": {}}]}, "input[0].arguments"),
        (
            {"model": "auto", "input": [{"type": "reasoning", "summary": "x"}]},
            "input[0].summary",
        ),
        (
            {"model": "auto", "input": [{"type": "local_shell_call", "call_id": "c"}]},
            "input[0].action",
        ),
        ({"model": "auto", "input": "hi", "temperature": 3}, "temperature"),
        ({"model": "auto", "input": "hi", "max_output_tokens": 0}, "max_output_tokens"),
        ({"model": "auto", "input": "hi", "tool_choice": "never"}, "tool_choice"),
        (
            {"model": "auto", "input": "hi", "tool_choice": {"type": "function", "name": "f"}},
            "tool_choice",
        ),
        ({"model": "auto", "input": "hi", "tools": [{"type": "function"}]}, "tools[0].name"),
        (
            {"model": "auto", "input": "hi"}
            | {"tools": [{"type": "function", "name": "f", "parameters": []}]},
            "tools[0].parameters",
        ),
        (
            {"model": "auto", "input": "hi", "text": {"format": {"type": "json_schema"}}},
            "text.format.schema",
        ),
        ({"model": "auto", "input": "hi", "text": {"format": {"type": "x"}}}, "text.format.type"),
    ],
)
def test_a_wrong_field_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(msgspec.json.encode(body))
    assert caught.value.param == param


@pytest.mark.proves("wire.responses-refusals")
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":"\xff","input":"x"}'])
def test_what_is_no_request_at_all_is_told(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(body)
    assert caught.value.hint


@pytest.mark.proves("wire.responses-unknown")
def test_fields_without_effect_are_told_and_those_nobody_misses_are_not() -> None:
    body = {
        "model": "m",
        "input": "hi",
        "store": False,
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "made_up": {"a": 1},
    }
    request = decode_request(msgspec.json.encode(body))
    assert request.losses == ("Without effect here: made_up, service_tier.",)
