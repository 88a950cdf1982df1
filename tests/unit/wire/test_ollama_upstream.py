"""Requests in Ollama's dialect: what upstreams are sent."""

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
    ToolSpec,
)
from ymera.core.errors import InvalidRequest, Unsupported
from ymera.core.model import Dialect, Quirk
from ymera.wire import openai_chat
from ymera.wire.ollama import UPSTREAM, decode_generate, decode_request, encode_request

PNG = "iVBORw0KGgoAAAA="
USER: dict[str, object] = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}}


def body(*messages: dict[str, object], **fields: object) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": messages or (USER,), **fields})


def prompt(**fields: object) -> bytes:
    return msgspec.json.encode({"model": "m", "prompt": "hi", **fields})


def request(*messages: Message, **fields: object) -> ChatRequest:
    made = messages or (Message(role=Role.USER, content=(TextPart("hi"),)),)
    return msgspec.structs.replace(ChatRequest(model="m", messages=made), **fields)


def sent(
    request: ChatRequest, upstream_id: str = "m:1b", flags: frozenset[Quirk] = frozenset()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = encode_request(request, upstream_id, flags)
    return msgspec.json.decode(encoded.body), encoded.losses


@pytest.mark.proves("wire.ollama")
def test_upstreams_are_asked_by_lines() -> None:
    assert UPSTREAM.path("m:1b", True) == UPSTREAM.path("m:1b", False) == "/api/chat"
    assert UPSTREAM.framing == "application/x-ndjson"
    for stream in (True, False):
        assert sent(request(stream=stream))[0]["stream"] is stream


@pytest.mark.proves("wire.ollama")
def test_a_full_request_is_written() -> None:
    call = ToolCall(id="c1", name="add", arguments='{"a": 2}')
    fields, losses = sent(
        request(
            Message(role=Role.SYSTEM, content=(TextPart("Be brief."),)),
            Message(
                role=Role.USER,
                content=(ImagePart(url=f"data:image/png;base64,{PNG}"), TextPart("What is it?")),
            ),
            Message(role=Role.ASSISTANT, content=(ReasoningPart(text="Hm."),), tool_calls=(call,)),
            Message(role=Role.TOOL, content=(TextPart("5"),), tool_call_id="c1"),
            tools=(ToolSpec(name="add", description="Adds.", parameters=msgspec.Raw(b"{}")),),
            response_format=ResponseFormat(schema=msgspec.Raw(b'{"type":"object"}')),
            sampling=Sampling(
                temperature=0.5, top_p=0.9, top_k=4, max_tokens=7, stop=("END",), seed=1
            ),
        )
    )
    assert losses == ()
    assert fields == {
        "model": "m:1b",
        "stream": False,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is it?", "images": [PNG]},
            {
                "role": "assistant",
                "content": "",
                "thinking": "Hm.",
                "tool_calls": [{"id": "c1", "function": {"name": "add", "arguments": {"a": 2}}}],
            },
            {"role": "tool", "content": "5", "tool_name": "add", "tool_call_id": "c1"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "add", "description": "Adds.", "parameters": {}},
            }
        ],
        "format": {"type": "object"},
        "options": {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 4,
            "num_predict": 7,
            "stop": ["END"],
            "seed": 1,
        },
        "truncate": False,
        "shift": False,
    }


@pytest.mark.proves("wire.ollama")
def test_an_image_by_address_is_refused_by_name() -> None:
    picture = Message(
        role=Role.USER, content=(TextPart("What?"), ImagePart(url="https://example.org/a.png"))
    )
    with pytest.raises(Unsupported) as caught:
        encode_request(request(picture), "m")
    assert caught.value.param == "messages[0].content[1]"


@pytest.mark.proves("wire.ollama", "wire.ollama-losses")
@pytest.mark.parametrize(
    ("asked", "loss"),
    [
        (request(tool_choice="required"), "tool_choice required"),
        (request(parallel_tools=False, tools=(ToolSpec(name="a"),)), "one tool call at a time"),
        (request(tools=(ToolSpec(name="a", strict=True),)), "strict"),
        (request(sampling=Sampling(reasoning_effort="high")), "reasoning_effort high"),
        (request(sampling=Sampling(reasoning_tokens=100)), "reasoning_tokens"),
        (request(Message(role=Role.USER, name="ann", content=(TextPart("hi"),))), "name of 1"),
        (
            request(Message(role=Role.TOOL, tool_call_id="c", name="add", is_error=True)),
            "1 tool calls failed",
        ),
        (
            request(
                Message(
                    role=Role.ASSISTANT,
                    content=(ReasoningPart(text="x", signature="s", dialect=Dialect.ANTHROPIC),),
                )
            ),
            "Reasoning of 1",
        ),
        (
            request(
                Message(
                    role=Role.ASSISTANT,
                    tool_calls=(ToolCall(id="c", name="add", arguments="a=2"),),
                )
            ),
            "no JSON object",
        ),
        (
            request(
                Message(
                    role=Role.USER,
                    content=(TextPart("this:"), ImagePart(url=f"data:image/png;base64,{PNG}")),
                )
            ),
            "lost for 1 images",
        ),
    ],
)
def test_what_this_dialect_cannot_say_is_said_to_be_lost(asked: ChatRequest, loss: str) -> None:
    (sentence,) = sent(asked)[1]
    assert loss in sentence


@pytest.mark.proves("wire.ollama")
@pytest.mark.parametrize(
    ("effort", "level", "other"),
    [
        ("none", False, False),
        ("minimal", "low", False),
        ("medium", "medium", None),
        ("max", "high", None),
        ("whatever", None, None),
    ],
)
def test_only_models_that_take_a_level_are_given_one(
    effort: str, level: object, other: object
) -> None:
    asked = request(sampling=Sampling(reasoning_effort=effort))
    assert sent(asked, "gpt-oss:20b")[0].get("think") == level
    assert sent(asked, "qwen3:8b")[0].get("think") == other
    nothing = request(sampling=Sampling(reasoning_tokens=0))
    assert sent(nothing)[0]["think"] is False


@pytest.mark.proves("wire.ollama")
def test_without_a_word_for_the_choice_fewer_tools_are_offered() -> None:
    tools = (ToolSpec(name="add"), ToolSpec(name="sub"))

    def offered(choice: str | None) -> list[str]:
        fields, _ = sent(request(tools=tools, tool_choice=choice))
        return [tool["function"]["name"] for tool in fields.get("tools", [])]

    assert offered(None) == offered("auto") == offered("required") == ["add", "sub"]
    assert offered("none") == []
    assert offered("sub") == ["sub"]


@pytest.mark.proves("wire.ollama-verbatim")
def test_the_same_dialect_gets_the_callers_own_fields() -> None:
    written = body(
        {"role": "user", "content": "hi", "x": 1},
        keep_alive=-1,
        think=True,
        options={"num_ctx": 8192, "mirostat": 1, "temperature": 0},
        format="json",
    )
    fields, losses = sent(decode_request(written), "m:1b")
    assert losses == ()
    assert fields == {**msgspec.json.decode(written), "model": "m:1b", "stream": True}


@pytest.mark.proves("wire.ollama-verbatim")
def test_a_prompt_reaches_the_same_dialect_as_a_chat() -> None:
    written = prompt(system="Be brief.", images=[PNG], keep_alive="1h", options={"num_ctx": 99})
    fields, losses = sent(decode_generate(written), "m:1b")
    assert losses == ()
    assert fields == {
        "model": "m:1b",
        "stream": True,
        "keep_alive": "1h",
        "options": {"num_ctx": 99},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi", "images": [PNG]},
        ],
    }


@pytest.mark.proves("wire.ollama-verbatim")
def test_a_redacted_request_keeps_what_else_its_caller_said() -> None:
    decoded = decode_request(
        body(keep_alive="1h", think=True, options={"num_ctx": 8192, "temperature": 1})
    )
    redacted = msgspec.structs.replace(
        decoded, messages=(Message(role=Role.USER, content=(TextPart("[redacted]"),)),)
    )
    fields, losses = sent(redacted, "qwen3:8b")
    assert losses == ()
    assert fields["messages"] == [{"role": "user", "content": "[redacted]"}]
    assert fields["keep_alive"] == "1h"
    assert fields["think"] is True
    assert fields["options"] == {"num_ctx": 8192, "temperature": 1.0}


@pytest.mark.proves("wire.ollama-verbatim", "wire.ollama-losses")
def test_fields_of_another_dialect_are_translated_or_said_to_be_lost() -> None:
    foreign = openai_chat.decode_request(
        body(USER, presence_penalty=0.5, user="ann", store=True, stream=False)
    )
    fields, losses = sent(foreign)
    assert fields["options"] == {"presence_penalty": 0.5}
    assert losses == ("user, store left out: Ollama does not know it.",)
    assert {"user", "store", "presence_penalty"}.isdisjoint(fields)


@pytest.mark.proves("wire.ollama-verbatim", "wire.ollama-losses")
def test_ollamas_own_fields_do_not_reach_hosts_of_another_dialect() -> None:
    decoded = decode_request(body(keep_alive="1h", options={"num_ctx": 8192, "seed": 1}))
    encoded = openai_chat.encode_request(decoded, "m")
    fields = msgspec.json.decode(encoded.body)
    assert {"keep_alive", "options"}.isdisjoint(fields)
    assert fields["seed"] == 1
    assert any("keep_alive, options" in loss for loss in encoded.losses)


@pytest.mark.proves("wire.ollama")
def test_what_a_host_refuses_is_left_out() -> None:
    flags = frozenset({Quirk.NO_SAMPLING, Quirk.NO_SEED})
    ours = request(sampling=Sampling(temperature=0.5, seed=1, max_tokens=9))
    for asked in (ours, decode_request(body(options={"temperature": 0.5, "seed": 1,
                                                     "num_predict": 9}))):  # fmt: skip
        fields, losses = sent(asked, flags=flags)
        assert fields["options"] == {"num_predict": 9}
        assert losses == ("temperature, seed left out: this host or model refuses it.",)


@pytest.mark.proves("wire.ollama")
def test_half_a_surrogate_pair_is_refused() -> None:
    broken = Message(role=Role.USER, content=(TextPart("\ud800"),))
    with pytest.raises(InvalidRequest, match="surrogate"):
        encode_request(request(broken), "m")
