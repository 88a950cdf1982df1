"""The Responses dialect over all answers and all bytes."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.chat import Message, Role, TextPart, ToolCall
from ymera.core.errors import ProviderError, RequestError
from ymera.core.usage import Usage
from ymera.testing.scripted import events_of
from ymera.wire import openai_chat
from ymera.wire.codec import AnswerHead
from ymera.wire.openai_responses import CALLER, decode_request
from ymera.wire.sse import SSEParser

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
words = texts.filter(bool)
names = st.sampled_from(["add", "apply_patch", "local_shell", "mcp__d__read"])
json_texts = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
).map(lambda value: msgspec.json.encode(value).decode())
arguments = (
    json_texts | texts | words.map(lambda text: msgspec.json.encode({"input": text}).decode())
)
usages = st.builds(
    Usage,
    input_tokens=st.integers(0, 10**9),
    output_tokens=st.integers(0, 10**9),
    cached_tokens=st.integers(0, 10**6),
    reasoning_tokens=st.integers(0, 10**6),
)
answers = st.builds(
    ChatAnswer,
    text=texts,
    finish_reason=st.sampled_from(FinishReason),
    reasoning=texts,
    tool_calls=st.lists(
        st.builds(ToolCall, id=words, name=names, arguments=arguments), max_size=3
    ).map(tuple),
    usage=st.none() | usages,
)
events = st.lists(
    st.builds(TextDelta, texts)
    | st.builds(ReasoningDelta, texts)
    | st.builds(
        ToolCallDelta,
        index=st.integers(0, 2),
        id=st.none() | words,
        name=st.none() | names,
        arguments=texts | st.sampled_from(['{"a":', "1}", "{}", ""]),
    )
    | st.builds(UsageReport, usages),
    max_size=12,
)

BODY = msgspec.json.encode(
    {
        "model": "auto",
        "input": "hi",
        "tools": [
            {"type": "custom", "name": "apply_patch"},
            {"type": "local_shell"},
            {
                "type": "namespace",
                "name": "mcp__d__",
                "tools": [{"type": "function", "name": "read"}],
            },
        ],
    }
)
HEAD = AnswerHead(id="req_0a", created=1, model="m", request=decode_request(BODY))


def last_response(data: bytes) -> object:
    return msgspec.json.decode(SSEParser().feed(data)[-1])["response"]


@pytest.mark.proves("wire.responses-same-either-way")
@given(answers)
def test_the_streamed_form_ends_in_the_plain_one(answer: ChatAnswer) -> None:
    plain = msgspec.json.decode(CALLER.encode_answer(answer, HEAD))
    for streamed in (True, False):
        encoder = CALLER.stream_encoder(HEAD)
        told = events_of(answer, streamed=streamed)
        data = b"".join(encoder.encode(event) for event in told) + encoder.end()
        assert last_response(data) == plain


@pytest.mark.proves("wire.responses-same-either-way")
@given(events, st.sampled_from(FinishReason))
def test_whatever_order_pieces_come_in_the_pieces_of_an_item_add_up_to_it(
    told: list[ChatEvent], finish: FinishReason
) -> None:
    encoder = CALLER.stream_encoder(HEAD)
    data = b""
    try:
        for event in [*told, Finish(finish)]:
            data += encoder.encode(event)
        data += encoder.end()
    except ProviderError as error:
        data += encoder.error(error)
    seen = [msgspec.json.decode(each) for each in SSEParser().feed(data)]
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    pieces: dict[int, str] = {}
    added: list[int] = []
    done: dict[int, dict[str, object]] = {}
    for event in seen[2:-1]:
        index = event["output_index"]
        match event["type"].removeprefix("response."):
            case "output_item.added":
                added.append(index)
            case "output_item.done":
                done[index] = event["item"]
            case kind if kind.endswith(".delta"):
                assert index not in done
                pieces[index] = pieces.get(index, "") + event["delta"]
    assert added == list(range(len(added)))  # readers append each to a list
    for index, item in done.items():
        match item:
            case {"content": [{"text": text}]} | {"summary": [{"text": text}]}:
                assert pieces.get(index, "") == text
            case {"arguments": text} | {"input": text}:
                assert pieces.get(index, "") == text
    final = seen[-1]["response"]
    assert final["output"] == [done[index] for index in sorted(done)]
    if final["status"] != "failed":
        assert sorted(done) == added


@pytest.mark.proves("wire.responses-request")
@given(st.binary(max_size=200) | json_texts.map(str.encode))
def test_any_bytes_are_a_request_or_a_request_error(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        decode_request(body)


@pytest.mark.proves("wire.responses-request")
@given(
    st.dictionaries(
        st.sampled_from(["input", "tools", "tool_choice", "text", "reasoning", "include"]),
        json_texts.map(lambda text: msgspec.Raw(text.encode())),
    )
)
def test_any_json_in_a_field_is_a_request_or_a_request_error(
    fields: dict[str, msgspec.Raw],
) -> None:
    with contextlib.suppress(RequestError):
        decode_request(msgspec.json.encode({"model": "auto", "input": "hi", **fields}))


@pytest.mark.proves("wire.responses-same-either-way")
@given(answers.filter(lambda answer: answer.text and not answer.reasoning))
def test_an_answer_sent_back_as_input_means_what_it_meant(answer: ChatAnswer) -> None:
    output = msgspec.json.decode(CALLER.encode_answer(answer, HEAD))["output"]
    body = msgspec.json.decode(BODY) | {"input": output}
    (message,) = decode_request(msgspec.json.encode(body)).messages
    assert message == Message(
        role=Role.ASSISTANT,
        content=(TextPart(answer.text),),
        tool_calls=message.tool_calls,
    )
    assert [(call.id, call.name) for call in message.tool_calls] == [
        (call.id, call.name) for call in answer.tool_calls
    ]
    again = msgspec.json.decode(
        CALLER.encode_answer(msgspec.structs.replace(answer, tool_calls=message.tool_calls), HEAD)
    )
    assert again["output"] == output


# --- the way to an upstream of the chat dialect

call_items = st.lists(
    st.tuples(words, st.sampled_from(["add", "apply_patch"]), texts, texts),
    max_size=2,
    unique_by=lambda call: call[0],
)
turns = st.tuples(words, words, call_items)


def written(turn: tuple[str, str, list[tuple[str, str, str, str]]]) -> list[object]:
    """Return the items of a user's turn, the model's answer and the results of its calls."""
    asked, said, calls = turn
    items: list[object] = [
        {"role": "user", "content": [{"type": "input_text", "text": asked}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": said}]},
    ]
    for id, name, text, _ in calls:
        if name == "add":
            items.append({"type": "function_call", "call_id": id, "name": name, "arguments": text})
        else:
            items.append({"type": "custom_tool_call", "call_id": id, "name": name, "input": text})
    for id, name, _, output in calls:
        kind = "function_call_output" if name == "add" else "custom_tool_call_output"
        items.append({"type": kind, "call_id": id, "output": output})
    return items


@pytest.mark.proves("wire.responses-request")
@given(st.lists(turns, min_size=1, max_size=3), st.booleans(), st.none() | st.integers(1, 10**6))
def test_a_request_means_the_same_to_an_upstream_of_the_chat_dialect(
    conversation: list[tuple[str, str, list[tuple[str, str, str, str]]]],
    stream: bool,
    max_tokens: int | None,
) -> None:
    body = msgspec.json.decode(BODY) | {
        "instructions": "Be brief.",
        "input": [item for turn in conversation for item in written(turn)],
        "stream": stream,
        "max_output_tokens": max_tokens,
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "include": ["reasoning.encrypted_content"],
    }
    request = decode_request(msgspec.json.encode(body))
    told = openai_chat.encode_request(request, "m")
    assert told.losses == ()
    read = openai_chat.decode_request(told.body)
    assert read.messages == request.messages
    assert [tool.name for tool in read.tools] == [tool.name for tool in request.tools]
    assert (read.stream, read.sampling, read.parallel_tools) == (stream, request.sampling, False)
    assert read.extra == {}  # what a strict host would refuse stays here
