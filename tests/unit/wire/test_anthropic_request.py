"""What callers of the Messages dialect write, as we read it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    ReasoningPart,
    Role,
    Sampling,
    TextPart,
    ToolCall,
)
from ymera.core.errors import InvalidRequest, RequestError, Unsupported
from ymera.core.model import Dialect
from ymera.wire.anthropic import decode_request

pytestmark = pytest.mark.proves("wire.anthropic-request")

TOOL = {"name": "add", "description": "d", "input_schema": {"type": "object"}}


def decode(messages: object = "hi", **more: Any) -> ChatRequest:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return decode_request(json.dumps({"model": "m", "messages": messages, **more}).encode())


def user(*blocks: object) -> list[object]:
    return [{"role": "user", "content": list(blocks)}]


def assistant(*blocks: object) -> list[object]:
    return [{"role": "assistant", "content": list(blocks)}]


def test_system_stands_first_as_text_or_blocks() -> None:
    assert decode(system="Be brief.").messages[0] == Message(
        role=Role.SYSTEM, content=(TextPart("Be brief."),)
    )
    blocks = [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]
    blocks.append({"type": "text", "text": "b"})
    assert decode(system=blocks).messages[0].content == (TextPart("a"), TextPart("b"))
    assert [each.role for each in decode(system="").messages] == [Role.USER]
    assert [each.role for each in decode(system=None).messages] == [Role.USER]


def test_a_system_turn_within_the_conversation_stays_where_it_is() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]
    assert [each.role for each in decode(turns).messages] == [Role.USER, Role.SYSTEM]


def test_images_are_read_in_place_or_by_address() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    address = {"type": "url", "url": "https://example.org/a.png"}
    (turn,) = decode(
        user({"type": "image", "source": source}, {"type": "image", "source": address})
    ).messages
    assert turn.content == (
        ImagePart(url="data:image/png;base64,AAAA"),
        ImagePart(url="https://example.org/a.png"),
    )


def test_calls_and_their_results_become_messages_of_their_own() -> None:
    turns = [
        *assistant(
            {"type": "text", "text": "I add."},
            {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ),
        *user(
            {"type": "text", "text": "go on"},
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "2"},
            {
                "type": "tool_result",
                "tool_use_id": "toolu_2",
                "is_error": True,
                "content": [{"type": "text", "text": "no clock"}],
            },
            {"type": "tool_result", "tool_use_id": "toolu_3"},
        ),
    ]
    said, first, second, third, rest = decode(turns).messages
    assert said.tool_calls == (
        ToolCall(id="toolu_1", name="add", arguments='{"a": 1}'),
        ToolCall(id="toolu_2", name="now", arguments="{}"),
    )
    assert said.text == "I add."
    assert (first.role, first.tool_call_id, first.text) == (Role.TOOL, "toolu_1", "2")
    assert (second.is_error, second.text) == (True, "no clock")
    assert third.content == ()
    assert (rest.role, rest.text) == (Role.USER, "go on")


def test_reasoning_keeps_its_signature_and_whose_it_is() -> None:
    (turn,) = decode(
        assistant(
            {"type": "thinking", "thinking": "hm", "signature": "S"},
            {"type": "redacted_thinking", "data": "D"},
            {"type": "thinking", "thinking": "another's", "signature": ""},
        )
    ).messages
    assert turn.content == (
        ReasoningPart(text="hm", signature="S", dialect=Dialect.ANTHROPIC),
        ReasoningPart(signature="D", dialect=Dialect.ANTHROPIC, redacted=True),
        ReasoningPart(text="another's"),
    )


@pytest.mark.parametrize(
    ("fields", "sampling"),
    [
        ({"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 4},
         Sampling(max_tokens=5, temperature=0.5, top_p=0.9, top_k=4)),
        ({"stop_sequences": ["a", "b"]}, Sampling(stop=("a", "b"))),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Sampling(reasoning_tokens=2048)),
        ({"thinking": {"type": "disabled"}}, Sampling(reasoning_effort="none")),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
         Sampling(reasoning_effort="high")),
        ({}, Sampling()),
    ],
)  # fmt: skip
def test_sampling_and_thinking(fields: dict[str, Any], sampling: Sampling) -> None:
    assert decode(**fields).sampling == sampling


@pytest.mark.parametrize(
    ("choice", "name", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "tool", "name": "add", "disable_parallel_tool_use": False}, "add", True),
        ({"type": "none"}, "none", None),
        (None, None, None),
    ],
)
def test_tool_choice(choice: object, name: str | None, parallel: bool | None) -> None:
    request = decode(tools=[TOOL], tool_choice=choice)
    assert (request.tool_choice, request.parallel_tools) == (name, parallel)


@pytest.mark.parametrize("older", [False, True])
def test_structured_output_stands_in_either_of_two_places(older: bool) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    found = decode(output_format=wanted) if older else decode(output_config={"format": wanted})
    assert found.response_format is not None
    assert found.response_format.schema is not None
    assert msgspec.json.decode(found.response_format.schema) == {"type": "object"}


def test_unknown_fields_are_kept_and_a_stream_tells_its_usage() -> None:
    request = decode(metadata={"user_id": "u"}, future=1, stream=True)
    assert {name: bytes(raw) for name, raw in request.extra.items()} == {"future": b"1"}
    assert request.stream
    assert request.include_usage
    assert request.verbatim is not None
    assert request.verbatim.dialect is Dialect.ANTHROPIC


def test_metadata_is_an_agents_but_for_the_user_the_vendor_may_know() -> None:
    request = decode(metadata={"user_id": "u", "language": "python"})
    assert {name: bytes(raw) for name, raw in request.extra.items()} == {
        "metadata": b'{"language":"python"}'
    }


DOCUMENT = {"type": "document", "source": {"type": "content", "content": [{"a": 1}]}}
RESULT = {"type": "tool_result", "tool_use_id": "t"}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": user(DOCUMENT)}, "messages[0].content[0].type"),
        ({"messages": user({"type": "search_result", "content": {}})},
         "messages[0].content[0].type"),
        ({"messages": assistant({"type": "server_tool_use", "id": "s", "name": "n"})},
         "messages[0].content[0].type"),
        ({"messages": user({**RESULT, "content": [DOCUMENT]})},
         "messages[0].content[0].content[0].type"),
        ({"messages": user({"type": "image", "source": {"type": "file", "file_id": "f"}})},
         "messages[0].content[0].source.type"),
        ({"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "browser_toolset_20260801"}]}, "tools[0].type"),
        ({"mcp_servers": [{"url": "https://example.org"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
    ],
)  # fmt: skip
def test_what_not_every_model_can_be_sent_is_refused_by_name(
    more: dict[str, Any], param: str
) -> None:
    with pytest.raises(Unsupported) as caught:
        decode(**more)
    assert caught.value.param == param
    assert param in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": user({"type": "text"})}, "messages[0].content[0].text"),
        ({"messages": user({"type": "text", "text": 7})}, "messages[0].content[0].text"),
        ({"messages": user({"type": "image"})}, "messages[0].content[0].source"),
        ({"messages": user({"type": "image", "source": {"type": "base64", "data": "A"}})},
         "messages[0].content[0].source.media_type"),
        ({"messages": user({"type": "image", "source": {"type": "url", "url": 1}})},
         "messages[0].content[0].source.url"),
        ({"messages": user({"type": "tool_use", "id": "a", "name": "b"})},
         "messages[0].content[0].type"),
        ({"messages": assistant(RESULT)}, "messages[0].content[0].type"),
        ({"messages": assistant({"type": "tool_use", "id": "a", "name": "b", "input": "c"})},
         "messages[0].content[0].input"),
        ({"messages": assistant({"type": "tool_use", "name": "b"})}, "messages[0].content[0].id"),
        ({"messages": assistant({"type": "redacted_thinking"})}, "messages[0].content[0].data"),
        ({"messages": user({"type": "tool_result"})}, "messages[0].content[0].tool_use_id"),
        ({"messages": user({**RESULT, "content": 7})}, "messages[0].content[0].content"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "a", "input_schema": []}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "tool", "name": "b"}, "tools": [TOOL]}, "tool_choice.name"),
        ({"tool_choice": {"type": "all"}}, "tool_choice.type"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_format": {"type": "json_schema"}}, "output_format.schema"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(more: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(**more)
    assert caught.value.param == param
    assert caught.value.hint


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model":"\xff","messages":[]}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        decode_request(body)


def test_claude_codes_header_in_disguise_is_no_part_of_the_conversation() -> None:
    header = {"type": "text", "text": "x-anthropic-billing-header: cch=1;"}
    request = decode(system=[header, {"type": "text", "text": "s"}])
    assert request.messages[0].content == (TextPart("s"),)
    assert request.verbatim is not None
    assert b"cch=1" in bytes(request.verbatim.fields["system"])
    assert [each.role for each in decode(system=[header]).messages] == [Role.USER]
