"""What upstreams of the Messages dialect are sent."""

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
from ymera.wire.anthropic import DEFAULT_MAX_TOKENS, UPSTREAM, decode_request, encode_request

pytestmark = pytest.mark.proves("wire.anthropic-upstream")


def said(role: Role, *parts: str, **more: Any) -> Message:
    return Message(role=role, content=tuple(TextPart(part) for part in parts), **more)


HELLO = said(Role.USER, "hi")
SIGNED = ReasoningPart(text="hm", signature="S", dialect=Dialect.ANTHROPIC)


def ask(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(model="auto", messages=messages or (HELLO,), **more)


def sent(request: ChatRequest, *flags: Quirk) -> tuple[dict[str, Any], str]:
    """Return the body and its losses."""
    encoded = encode_request(request, "up", frozenset(flags))
    return json.loads(encoded.body), "\n".join(encoded.losses)


def test_a_bare_request_gets_the_bound_that_the_dialect_demands() -> None:
    body, losses = sent(ask())
    assert body == {
        "model": "up",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": DEFAULT_MAX_TOKENS,
    }
    assert losses == ""
    assert UPSTREAM.path("up", True) == "/v1/messages"
    assert sent(ask(stream=True))[0]["stream"] is True


def test_turns_alternate_and_results_lead_theirs() -> None:
    calls = (
        ToolCall(id="a", name="add", arguments='{"a": 1}'),
        ToolCall(id="b", name="now", arguments=""),
    )
    body, losses = sent(
        ask(
            said(Role.SYSTEM, "Be brief."),
            said(Role.USER, "one"),
            said(Role.USER, "two"),
            said(Role.ASSISTANT, "I add.", tool_calls=calls),
            said(Role.TOOL, "2", tool_call_id="a", name="add"),
            said(Role.USER, "and?"),
            Message(role=Role.TOOL, tool_call_id="b", is_error=True),
        )
    )
    assert losses == ""
    assert body["system"] == "Be brief."
    assert body["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I add."},
                {"type": "tool_use", "id": "a", "name": "add", "input": {"a": 1}},
                {"type": "tool_use", "id": "b", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "2"},
                {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("messages", "loss"),
    [
        ((HELLO, said(Role.SYSTEM, "late")), "moved to its beginning"),
        ((said(Role.SYSTEM, "alone"),), "sent as the user's"),
        ((HELLO, said(Role.ASSISTANT, " ")), "Blank text"),
        ((HELLO, said(Role.ASSISTANT)), "A turn without content"),
        ((said(Role.USER, "hi", name="ann"),), "Names of speakers"),
        ((HELLO, Message(role=Role.ASSISTANT, content=(ReasoningPart(text="x"), TextPart("y")))),
         "Reasoning of earlier answers"),
        ((HELLO, Message(role=Role.ASSISTANT, content=(TextPart("y"),
          ReasoningPart(signature="s", dialect=Dialect.GEMINI)))), "Reasoning of earlier answers"),
        ((Message(role=Role.USER, content=(SIGNED, TextPart("y"))),), "Reasoning of the user"),
        ((HELLO, Message(role=Role.ASSISTANT, content=(TextPart("y"), ImagePart(url="http://x")))),
         "Images of the assistant"),
        ((Message(role=Role.USER, content=(ImagePart(url="http://x", detail="low"),)),), "detail"),
        ((HELLO, said(Role.ASSISTANT, tool_calls=(
          ToolCall(id="a b", name="f", arguments="{}"),))), "Ids of 1 tool calls were rewritten"),
        ((HELLO, said(Role.ASSISTANT, tool_calls=(
          ToolCall(id="a", name="f", arguments="[1"),))), "no JSON object"),
        ((HELLO, said(Role.ASSISTANT, tool_calls=(
          ToolCall(id="a", name="f", arguments="{}", signature="g"),))), "Signatures of tool"),
    ],
)  # fmt: skip
def test_what_the_conversation_cannot_say_is_a_loss(
    messages: tuple[Message, ...], loss: str
) -> None:
    body, losses = sent(ask(*messages))
    assert loss in losses
    assert body["messages"][0]["role"] == "user"
    assert len(losses.splitlines()) <= 2


@pytest.mark.proves("wire.tool-ids")
def test_a_call_and_its_result_still_meet_under_a_new_id() -> None:
    call = ToolCall(id="functions.add:0", name="add", arguments="{}")
    history = (
        HELLO,
        said(Role.ASSISTANT, tool_calls=(call,)),
        said(Role.TOOL, "2", tool_call_id=call.id),
    )
    body, _ = sent(ask(*history))
    new = body["messages"][1]["content"][0]["id"]
    assert new != call.id
    assert body["messages"][2]["content"][0]["tool_use_id"] == new
    assert (
        sent(ask(*history, said(Role.ASSISTANT, "2"), HELLO))[0]["messages"][:3]
        == (body["messages"])
    )


@pytest.mark.proves("wire.anthropic-signatures")
def test_signed_reasoning_goes_back_as_it_came() -> None:
    hidden = ReasoningPart(signature="D", dialect=Dialect.ANTHROPIC, redacted=True)
    turn = Message(role=Role.ASSISTANT, content=(SIGNED, hidden, TextPart("so")))
    body, losses = sent(ask(HELLO, turn, HELLO))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "S"},
        {"type": "redacted_thinking", "data": "D"},
        {"type": "text", "text": "so"},
    ]
    assert losses == ""


def test_an_image_that_cannot_be_written_is_refused_by_name() -> None:
    for url in ("ftp://example.org/a.png", "data:image/png,raw"):
        with pytest.raises(Unsupported) as caught:
            sent(ask(Message(role=Role.USER, content=(ImagePart(url=url),))))
        assert caught.value.param == "image_url"
    body, _ = sent(
        ask(Message(role=Role.USER, content=(ImagePart(url="data:image/gif;base64,AA=="),)))
    )
    assert body["messages"][0]["content"][0]["source"] == {
        "type": "base64",
        "media_type": "image/gif",
        "data": "AA==",
    }


def test_tools_get_the_schema_that_the_dialect_demands() -> None:
    tools = (
        ToolSpec(name="a"),
        ToolSpec(name="b", parameters=msgspec.Raw(b'{"properties":{}}'), strict=True),
    )
    body, _ = sent(ask(tools=tools, tool_choice="b", parallel_tools=False))
    assert body["tools"] == [
        {"name": "a", "input_schema": {"type": "object"}},
        {"name": "b", "input_schema": {"type": "object", "properties": {}}, "strict": True},
    ]
    assert body["tool_choice"] == {
        "type": "tool",
        "name": "b",
        "disable_parallel_tool_use": True,
    }
    assert sent(ask(tools=tools, parallel_tools=False))[0]["tool_choice"]["type"] == "auto"
    assert "tool_choice" not in sent(ask(parallel_tools=False))[0]
    none = sent(ask(tools=tools, tool_choice="none", parallel_tools=True))[0]["tool_choice"]
    assert none == {"type": "none"}


@pytest.mark.proves("wire.anthropic-sampling")
@pytest.mark.parametrize(
    ("sampling", "fields", "loss"),
    [
        (Sampling(temperature=0.5, top_k=3), {"temperature": 0.5, "top_k": 3}, ""),
        (Sampling(temperature=1.5), {"temperature": 1.0}, "temperature 1.5 was lowered"),
        (Sampling(temperature=0.5, top_p=0.9), {"temperature": 0.5}, "top_p was left out"),
        (Sampling(seed=1), {}, "seed was left out"),
        (Sampling(stop=("a", " ")), {"stop_sequences": ["a"]}, "Blank stop"),
        (Sampling(reasoning_tokens=2000, max_tokens=9000),
         {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 2000}}, ""),
        (Sampling(reasoning_tokens=2000),
         {"max_tokens": DEFAULT_MAX_TOKENS + 2000,
          "thinking": {"type": "enabled", "budget_tokens": 2000}}, ""),
        (Sampling(reasoning_tokens=10, max_tokens=9000),
         {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 1024}},
         "changed to 1024"),
        (Sampling(reasoning_tokens=9000, max_tokens=8000),
         {"max_tokens": 8000, "thinking": {"type": "enabled", "budget_tokens": 6000}},
         "changed to 6000"),
        (Sampling(reasoning_tokens=2000, max_tokens=100), {"max_tokens": 100}, "left out"),
        (Sampling(reasoning_effort="none"), {"thinking": {"type": "disabled"}}, ""),
        (Sampling(reasoning_effort="high"),
         {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, ""),
        (Sampling(reasoning_effort="minimal"),
         {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "sent as 'low'"),
        (Sampling(reasoning_effort="huge"), {}, "reasoning_effort 'huge'"),
        (Sampling(reasoning_effort="low", temperature=0.2),
         {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
         "temperature was left out"),
        (Sampling(reasoning_effort="low", top_k=2, top_p=0.5),
         {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "top_k"),
    ],
)  # fmt: skip
def test_thinking_and_sampling_that_go_together(
    sampling: Sampling, fields: dict[str, Any], loss: str
) -> None:
    body, losses = sent(ask(sampling=sampling))
    plain, _ = sent(ask())
    assert body == plain | fields
    assert loss in losses
    assert bool(loss) == bool(losses)


@pytest.mark.proves("wire.anthropic-sampling")
def test_a_forced_tool_is_not_thought_about() -> None:
    tools = (ToolSpec(name="a"),)
    sampling = Sampling(reasoning_effort="high")
    body, losses = sent(ask(tools=tools, tool_choice="required", sampling=sampling))
    assert "thinking" not in body
    assert body["output_config"] == {"effort": "high"}
    assert "forced tool" in losses


@pytest.mark.proves("wire.anthropic-sampling")
@pytest.mark.parametrize("own", [False, True])
def test_a_host_that_refuses_sampling_is_sent_none(own: bool) -> None:
    fields = {"temperature": 0.5, "top_k": 4, "tool_choice": {"type": "auto"}}
    request = written(**fields, tools=[{"name": "a", "input_schema": {"type": "object"}}])
    if not own:
        request = msgspec.structs.replace(request, verbatim=None)
    body, losses = sent(request, Quirk.NO_SAMPLING, Quirk.NO_TOOL_CHOICE)
    assert not {"temperature", "top_p", "top_k", "tool_choice"} & body.keys()
    assert losses.count("the host refuses it") == 3


def test_structured_output_has_a_schema_or_is_a_loss() -> None:
    schema = msgspec.Raw(b'{"type":"object"}')
    body, losses = sent(ask(response_format=ResponseFormat(schema=schema, name="n")))
    assert body["output_config"] == {
        "format": {"type": "json_schema", "schema": {"type": "object"}}
    }
    assert losses == ""
    body, losses = sent(ask(response_format=ResponseFormat()))
    assert "output_config" not in body
    assert "JSON without a schema" in losses


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        sent(ask(said(Role.USER, "\ud800")))


# --- what a caller of the same dialect wrote ----------------------------------------------------


def written(*messages: object, **more: Any) -> ChatRequest:
    turns = list(messages) or [{"role": "user", "content": "hi"}]
    return decode_request(json.dumps({"model": "auto", "messages": turns, **more}).encode())


MARK = {"type": "ephemeral"}
MARKED = {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": MARK}]}
TOOL = {"name": "a", "input_schema": {"type": "object"}, "cache_control": MARK}


@pytest.mark.proves("wire.anthropic-verbatim")
def test_only_what_was_changed_is_written_anew() -> None:
    request = written(
        MARKED,
        tools=[TOOL],
        metadata={"user_id": "u"},
        thinking={"type": "adaptive", "display": "omitted"},
        max_tokens=5000,
    )
    body, losses = sent(request)
    assert body["messages"] == [MARKED]
    assert body["tools"] == [TOOL]
    assert body["metadata"] == {"user_id": "u"}
    assert losses == ""

    redacted = msgspec.structs.replace(request, messages=(said(Role.USER, "[redacted]"),))
    body, losses = sent(redacted)
    assert body["messages"] == [{"role": "user", "content": "[redacted]"}]
    assert body["tools"] == [TOOL]
    assert body["thinking"] == {"type": "adaptive", "display": "omitted"}
    assert losses == "Cache marks in system and messages were left out: they changed."

    bounded = msgspec.structs.replace(request, sampling=Sampling(max_tokens=10))
    body, _ = sent(bounded)
    assert (body["max_tokens"], body["messages"]) == (10, [MARKED])


@pytest.mark.proves("wire.anthropic-verbatim", "wire.owner-decides")
def test_what_the_owner_decides_and_what_needs_a_beta_is_left_out() -> None:
    request = written(service_tier="auto", speed="fast", context_management={"edits": []}, new=1)
    body, losses = sent(request)
    assert body.keys() == {"model", "messages", "max_tokens", "new"}
    assert {line.split(" ")[0] for line in losses.splitlines()} == {
        "service_tier",
        "speed",
        "context_management",
    }


def test_another_dialects_fields_are_losses() -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "user": "u", "top_a": 1}
    body, losses = sent(openai_chat.decode_request(json.dumps(asked).encode()))
    assert body.keys() == {"model", "messages", "max_tokens"}
    assert losses.splitlines() == [
        "user was left out: this dialect does not know it.",
        "top_a was left out: this dialect does not know it.",
    ]


@pytest.mark.proves("wire.anthropic-signatures", "wire.anthropic-verbatim")
def test_unsigned_reasoning_is_taken_out_of_turns_that_go_as_they_were_written() -> None:
    signed = {"type": "thinking", "thinking": "a", "signature": "S"}
    unsigned = {"type": "thinking", "thinking": "b", "signature": ""}
    text = {"type": "text", "text": "so", "cache_control": MARK}
    body, losses = sent(
        written(
            MARKED,
            {"role": "assistant", "content": [signed, unsigned, text]},
            MARKED,
            {"role": "assistant", "content": [unsigned]},
            {"role": "user", "content": "go on"},
        )
    )
    assert body["messages"] == [
        MARKED,
        {"role": "assistant", "content": [signed, text]},
        MARKED,
        {"role": "user", "content": "go on"},
    ]
    assert losses == "Reasoning of earlier answers was left out: it is unsigned or another's."
