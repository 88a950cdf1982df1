"""Requests in Ollama's dialect: what callers send."""

from __future__ import annotations

import msgspec
import pytest

from ymera.core.chat import (
    ImagePart,
    Message,
    ReasoningPart,
    Role,
    Sampling,
    TextPart,
)
from ymera.core.errors import RequestError
from ymera.wire.ollama import decode_generate, decode_request

PNG = "iVBORw0KGgoAAAA="
USER: dict[str, object] = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}}


def body(*messages: dict[str, object], **fields: object) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": messages or (USER,), **fields})


def prompt(**fields: object) -> bytes:
    return msgspec.json.encode({"model": "m", "prompt": "hi", **fields})


@pytest.mark.proves("wire.ollama")
def test_a_full_request_is_read() -> None:
    decoded = decode_request(
        body(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is it?", "images": [PNG]},
            {"role": "assistant", "content": "A dot.", "thinking": "Small."},
            USER,
            tools=[{"type": "function", "function": {"name": "add", "parameters": SCHEMA}}],
            format=SCHEMA,
            think="high",
            stream=False,
            keep_alive="5m",
            options={"temperature": 0.5, "top_p": 0.9, "top_k": 40, "num_predict": 7,
                     "seed": 1, "stop": ["END"], "num_ctx": 8192},
        )
    )  # fmt: skip
    assert decoded.model == "m"
    assert decoded.messages[1].content == (
        ImagePart(url=f"data:image/png;base64,{PNG}"),
        TextPart("What is it?"),
    )
    assert decoded.messages[2].content == (ReasoningPart(text="Small."), TextPart("A dot."))
    assert decoded.tools[0].name == "add"
    assert decoded.response_format is not None
    assert msgspec.json.decode(decoded.response_format.schema or b"") == SCHEMA
    assert decoded.sampling == Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_tokens=7,
        seed=1,
        stop=("END",),
        reasoning_effort="high",
    )
    assert not decoded.stream
    assert {name: bytes(raw) for name, raw in decoded.extra.items()} == {
        "keep_alive": b'"5m"',
        "options": b'{"num_ctx":8192}',
    }


@pytest.mark.proves("wire.ollama")
@pytest.mark.parametrize(
    ("fields", "stream"), [({}, True), ({"stream": None}, True), ({"stream": False}, False)]
)
def test_an_answer_is_streamed_unless_that_is_refused(
    fields: dict[str, object], stream: bool
) -> None:
    assert decode_request(body(**fields)).stream is stream
    assert decode_generate(prompt(**fields)).stream is stream


@pytest.mark.proves("wire.ollama")
@pytest.mark.parametrize(
    ("think", "effort"),
    [(None, None), (True, "medium"), (False, "none"), ("low", "low"), ("Max", "max")],
)
def test_thinking_is_read_as_effort(think: object, effort: str | None) -> None:
    assert decode_request(body(think=think)).sampling.reasoning_effort == effort


@pytest.mark.proves("wire.ollama")
@pytest.mark.parametrize("number", [-2, -1, 0])
def test_numbers_that_bound_nothing_are_no_bound(number: int) -> None:
    sampling = decode_request(body(options={"num_predict": number, "top_k": number})).sampling
    assert (sampling.max_tokens, sampling.top_k) == (None, None)


@pytest.mark.proves("wire.ollama-tool-ids")
def test_calls_without_ids_get_some_that_last_and_results_find_them() -> None:
    def call(name: str, **arguments: object) -> dict[str, object]:
        return {"function": {"name": name, "arguments": arguments}}

    turns: list[dict[str, object]] = [
        USER,
        {"role": "assistant", "tool_calls": [call("add", a=1), call("sub", a=2), call("add", a=3)]},
        {"role": "tool", "tool_name": "sub", "content": "two"},
        {"role": "tool", "tool_name": "add", "content": "one"},
        {"role": "tool", "content": "three"},
    ]
    first = decode_request(body(*turns)).messages
    assert [each.id for each in first[1].tool_calls] == ["call_0", "call_1", "call_2"]
    assert [(each.tool_call_id, each.name) for each in first[2:]] == [
        ("call_1", "sub"),
        ("call_0", "add"),
        ("call_2", "add"),
    ]
    later = decode_request(
        body(*turns, {"role": "assistant", "tool_calls": [call("add", a=1)]}, USER)
    ).messages
    assert later[:5] == first
    assert later[5].tool_calls[0].id == "call_3"


@pytest.mark.proves("wire.ollama-tool-ids")
def test_ids_that_clients_send_are_kept_and_never_given_twice() -> None:
    given = {"id": "call_0", "function": {"name": "add", "arguments": {}}}
    unnamed = {"function": {"name": "add", "arguments": {}}}
    messages = decode_request(
        body(
            {"role": "assistant", "tool_calls": [unnamed, given]},
            {"role": "tool", "tool_call_id": "call_0", "content": "0"},
            {"role": "tool", "tool_name": "nobody's", "content": "?"},
        )
    ).messages
    assert [each.id for each in messages[0].tool_calls] == ["call_1", "call_0"]
    assert (messages[1].tool_call_id, messages[1].name) == ("call_0", "add")
    assert (messages[2].tool_call_id, messages[2].name) == ("call_2", "nobody's")


@pytest.mark.proves("wire.ollama")
@pytest.mark.parametrize(
    ("written", "text"),
    [({"a": 1}, '{"a":1}'), ('{"a": 1}', '{"a": 1}'), (None, "{}"), ({"_raw": "a=1"}, "a=1")],
    ids=["object", "text", "none", "broken before"],
)
def test_arguments_become_json_text(written: object, text: str) -> None:
    call = {"function": {"name": "add", "arguments": written}}
    (message,) = decode_request(body({"role": "assistant", "tool_calls": [call]})).messages
    assert message.tool_calls[0].arguments == text


@pytest.mark.proves("wire.ollama")
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"model": None}, "model"),
        ({"messages": [{"role": "bot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, "messages[0].content"),
        ({"messages": [{**USER, "images": ["https://example.org/a.png"]}]},
         "messages[0].images[0]"),
        ({"messages": [{**USER, "images": ["bm90IGFuIGltYWdl"]}]}, "messages[0].images[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {
            "name": "add", "arguments": [1]}}]}]},
         "messages[0].tool_calls[0].function.arguments"),
        ({"format": "yaml"}, "format"),
        ({"think": "hard"}, "think"),
        ({"options": {"temperature": 3}}, "options.temperature"),
        ({"options": {"num_predict": "many"}}, "options.num_predict"),
        ({"options": {"stop": list("abcde")}}, "options.stop"),
        ({"tools": [{"type": "web_search", "function": {"name": "s"}}]}, "tools[0].type"),
        ({"tools": [{"function": {"name": "s", "parameters": []}}]},
         "tools[0].function.parameters"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_by_name(fields: dict[str, object], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode_request(body(**fields))
    assert caught.value.param == param
    assert param in caught.value.message
    assert caught.value.hint


@pytest.mark.proves("wire.ollama")
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"raw": True}, "raw"),
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"suffix": "return"}, "suffix"),
        ({"context": [1, 2]}, "context"),
        ({"logprobs": True}, "logprobs"),
        ({"width": 512}, "width"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"images": ["https://example.org/a.png"]}, "images[0]"),
    ],
)
def test_a_prompt_for_ollama_alone_is_refused_by_name(
    fields: dict[str, object], param: str
) -> None:
    with pytest.raises(RequestError) as caught:
        decode_generate(prompt(**fields))
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.proves("wire.ollama")
def test_fields_that_say_nothing_are_not_refused() -> None:
    silent = {"raw": False, "template": "", "suffix": "", "context": [], "width": 0, "system": ""}
    decoded = decode_generate(prompt(**silent, logprobs=False, top_logprobs=0, images=None))
    assert decoded.messages == (Message(role=Role.USER, content=(TextPart("hi"),)),)


@pytest.mark.proves("wire.ollama")
def test_a_prompt_is_a_conversation_of_one_turn() -> None:
    decoded = decode_generate(
        prompt(system="Be brief.", images=[PNG], format="json", options={"num_predict": 5})
    )
    chat = decode_request(
        body(
            {"role": "system", "content": "Be brief."},
            {**USER, "images": [PNG]},
            format="json",
            options={"num_predict": 5},
        )
    )
    assert msgspec.structs.replace(decoded, verbatim=None) == msgspec.structs.replace(
        chat, verbatim=None
    )
