"""Requests for hosts that depart from the dialect, with and without a caller's own body."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.chat import ChatRequest, ToolSpec
from ymera.core.model import Quirk
from ymera.wire.openai_chat import decode_request, encode_request
from ymera.wire.plain_schema import plain_schema

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
HELLO = [{"role": "user", "content": "hi"}]


def caller(**fields: object) -> ChatRequest:
    """Return a request as a caller of the dialect wrote it."""
    return decode_request(json.dumps({"model": "m", "messages": HELLO, **fields}).encode())


def ours(**fields: object) -> ChatRequest:
    """Return the same request without the caller's body."""
    return msgspec.structs.replace(caller(**fields), verbatim=None)


def sent(request: ChatRequest, *flags: Quirk) -> tuple[dict[str, object], tuple[str, ...]]:
    encoded = encode_request(request, "up", frozenset(flags))
    return json.loads(encoded.body), encoded.losses


@pytest.mark.proves("wire.quirks")
@pytest.mark.parametrize("make", [caller, ours])
@pytest.mark.parametrize(
    ("flag", "fields", "gone"),
    [
        (Quirk.NO_SAMPLING, {"temperature": 0.5, "top_p": 0.9}, ["temperature", "top_p"]),
        (Quirk.NO_SAMPLING, {"top_k": 5}, ["top_k"]),
        (Quirk.NO_SEED, {"seed": 7}, ["seed"]),
        (Quirk.NO_TOOL_CHOICE, {"tools": [TOOL], "tool_choice": "required"}, ["tool_choice"]),
        (
            Quirk.NO_PARALLEL_TOOL_CALLS,
            {"tools": [TOOL], "parallel_tool_calls": False},
            ["parallel_tool_calls"],
        ),
        (
            Quirk.NO_SIDE_FIELDS,
            {"logit_bias": {"1": 2}, "logprobs": True, "top_logprobs": 2, "user": "u"},
            ["logit_bias", "logprobs", "top_logprobs", "user"],
        ),
    ],
)
def test_a_field_the_host_refuses_is_left_out_and_said(
    make: Callable[..., ChatRequest], flag: Quirk, fields: dict[str, object], gone: list[str]
) -> None:
    body, losses = sent(make(**fields), flag)

    assert not body.keys() & set(gone)
    assert len(losses) == len(gone)
    for name in gone:
        assert any(loss.startswith(f"{name} ") for loss in losses)
    plain, _ = sent(make(**fields))
    assert plain.keys() & set(fields) == set(fields)


@pytest.mark.proves("wire.quirks")
@pytest.mark.parametrize(
    ("flag", "fields"),
    [
        (Quirk.NO_SAMPLING, {"temperature": 1, "top_p": 1.0}),
        (Quirk.NO_TOOL_CHOICE, {"tools": [TOOL], "tool_choice": "auto"}),
        (Quirk.NO_PARALLEL_TOOL_CALLS, {"parallel_tool_calls": True}),
        (Quirk.NO_SIDE_FIELDS, {"n": 1, "logprobs": False, "logit_bias": {}, "user": None}),
        (Quirk.NO_STREAM_OPTIONS, {"stream": True, "stream_options": {"include_usage": True}}),
    ],
)
def test_leaving_out_what_changes_nothing_is_no_loss(
    flag: Quirk, fields: dict[str, object]
) -> None:
    body, losses = sent(caller(**fields), flag)

    assert losses == ()
    assert body.keys() & set(fields) <= {"tools", "stream"}


def test_a_choice_of_no_tool_takes_the_tools_away_where_it_cannot_be_said() -> None:
    body, losses = sent(caller(tools=[TOOL], tool_choice="none"), Quirk.NO_TOOL_CHOICE)

    assert (body.keys() & {"tools", "tool_choice"}, losses) == (set(), ())


@pytest.mark.proves("wire.quirks")
@pytest.mark.parametrize("make", [caller, ours])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_bound_of_an_answer_goes_by_the_name_the_host_knows(
    make: Callable[..., ChatRequest], name: str
) -> None:
    request = make(**{name: 9})

    assert sent(request)[0]["max_tokens"] == 9
    assert "max_completion_tokens" not in sent(request)[0]
    newer, losses = sent(request, Quirk.MAX_COMPLETION_TOKENS)
    assert (newer["max_completion_tokens"], "max_tokens" in newer, losses) == (9, False, ())


def test_a_host_that_cuts_answers_short_is_told_how_long_they_may_be() -> None:
    unbounded, _ = sent(caller(), Quirk.NEEDS_MAX_TOKENS)
    bounded, _ = sent(caller(max_tokens=9), Quirk.NEEDS_MAX_TOKENS)
    newer, _ = sent(caller(), Quirk.NEEDS_MAX_TOKENS, Quirk.MAX_COMPLETION_TOKENS)

    assert isinstance(unbounded["max_tokens"], int)
    assert unbounded["max_tokens"] > 1000
    assert bounded["max_tokens"] == 9
    assert newer["max_tokens"] == unbounded["max_tokens"]


CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


@pytest.mark.proves("wire.quirks")
def test_content_becomes_text_and_the_rest_of_the_body_stays_as_it_was_written() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {**CALLED, "cache_control": {"type": "ephemeral"}},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    body, losses = sent(caller(messages=messages, service="x"), Quirk.CONTENT_AS_TEXT)

    assert body["messages"] == [
        {"role": "user", "content": "ab"},
        {**CALLED, "content": "", "cache_control": {"type": "ephemeral"}},
        messages[2],
    ]
    assert (body["service"], losses) == ("x", ())
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    pictured = [{"role": "user", "content": [{"type": "text", "text": "a"}, image]}]
    assert sent(caller(messages=pictured), Quirk.CONTENT_AS_TEXT)[0]["messages"] == pictured


@pytest.mark.proves("wire.quirks")
def test_tool_schemas_are_made_plain_and_what_they_lose_is_said() -> None:
    schema = {
        "$schema": "x",
        "type": "object",
        "additionalProperties": False,
        "properties": {"a": {"type": "string", "pattern": "^a", "title": "A"}},
    }
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}
    body, losses = sent(caller(tools=[tool]), Quirk.PLAIN_TOOL_SCHEMAS)

    plain = {"type": "object", "properties": {"a": {"type": "string"}}}
    function = {"name": "f", "parameters": plain}
    assert body["tools"] == [{"type": "function", "function": function}]
    (loss,) = losses
    assert loss.endswith("additionalProperties, pattern, strict.")


def test_references_into_a_schema_are_put_in_their_place() -> None:
    schema = {
        "$defs": {"A": {"type": "string"}, "B": {"oneOf": [{"$ref": "#/$defs/A"}, {"const": 1}]}},
        "type": "array",
        "items": {"$ref": "#/$defs/B", "description": "d"},
    }
    plain, lost = plain_schema(schema)

    either = [{"type": "string"}, {"enum": [1]}]
    assert plain == {"type": "array", "items": {"anyOf": either, "description": "d"}}
    assert lost == frozenset()


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}, "$ref": "#/$defs/A"},
        {"$ref": "#"},
        {"$ref": "#/$defs/Nowhere"},
        {"$ref": "https://elsewhere.example/schema"},
    ],
)
def test_a_reference_without_end_or_target_is_a_loss(schema: dict[str, object]) -> None:
    plain, lost = plain_schema(schema)

    assert "$ref" in lost
    assert "$ref" not in json.dumps(plain)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "anyOf", "oneOf", "$ref", "enum", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(schema=JSON)
def test_any_schema_becomes_one_of_plain_keywords(schema: object) -> None:
    plain, _ = plain_schema(schema)
    kept = {"type", "description", "enum", "required", "properties", "items", "anyOf"}

    assert plain.keys() <= kept
    assert plain_schema(plain)[0] == plain


def test_flags_cost_nothing_where_there_are_none() -> None:
    request = caller(temperature=0.123, tools=[TOOL], user="u")
    spec = ToolSpec(name="f", parameters=msgspec.Raw(b'{"type": "object"}'))

    assert sent(request)[0] == {
        "model": "up",
        "messages": HELLO,
        "temperature": 0.123,
        "tools": [TOOL],
        "user": "u",
    }
    assert request.tools == (spec,)


def test_a_wish_for_thinking_tokens_is_a_loss() -> None:
    sampling = msgspec.structs.replace(ours().sampling, reasoning_tokens=99)
    _, losses = sent(msgspec.structs.replace(ours(), sampling=sampling))

    assert losses == ("The bound on tokens to think with was left out: this dialect has none.",)


@pytest.mark.proves("wire.quirks")
def test_ids_of_tool_calls_that_a_host_refuses_are_rewritten_alike_in_call_and_result() -> None:
    call = {"id": "call_0fypS1hVX", "type": "function", "function": {"name": "f", "arguments": ""}}
    kept = {"id": "abcDEF123", "type": "function", "function": {"name": "f", "arguments": ""}}
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": None, "tool_calls": [call, kept]},
            {"role": "tool", "tool_call_id": "call_0fypS1hVX", "content": "1"},
            {"role": "tool", "tool_call_id": "abcDEF123", "content": "2"},
        ],
    }
    request = decode_request(json.dumps(body).encode())
    encoded = encode_request(request, "u", frozenset({Quirk.SHORT_TOOL_IDS}))
    asked = json.loads(encoded.body)["messages"]
    made, same = (each["id"] for each in asked[1]["tool_calls"])
    assert re.fullmatch("[a-zA-Z0-9]{9}", made)
    assert same == "abcDEF123"
    assert [each["tool_call_id"] for each in asked[2:]] == [made, same]
    assert encoded.losses == ("Ids of 1 tool calls were rewritten.",)
