"""Answers in the Responses dialect: whole, streamed, cut and broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

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
from ymera.core.chat import ToolCall
from ymera.core.errors import (
    GuardBlocked,
    ProviderError,
    ProviderErrorKind,
    RateLimited,
    TooLong,
    YmeraError,
)
from ymera.core.usage import Usage
from ymera.testing.scripted import events_of
from ymera.wire.codec import AnswerHead
from ymera.wire.openai_responses import CALLER, decode_request
from ymera.wire.sse import SSEParser

USAGE = Usage(input_tokens=9, output_tokens=5, cached_tokens=4, reasoning_tokens=2)
TOOLS = [
    {"type": "function", "name": "add"},
    {"type": "custom", "name": "apply_patch"},
    {"type": "local_shell"},
    {"type": "namespace", "name": "mcp__d__", "tools": [{"type": "function", "name": "read"}]},
]


def head(**more: object) -> AnswerHead:
    body = {"model": "auto", "input": "hi", "tools": TOOLS, **more}
    request = decode_request(msgspec.json.encode(body))
    return AnswerHead(id="req_0a", created=1_760_000_000, model="sim/small", request=request)


def streamed(events: Sequence[ChatEvent], about: AnswerHead | None = None) -> list[dict[str, Any]]:
    encoder = CALLER.stream_encoder(about or head())
    return read(b"".join(encoder.encode(event) for event in events) + encoder.end())


def read(data: bytes) -> list[dict[str, Any]]:
    """Return the events, having checked names and numbers."""
    events = [msgspec.json.decode(each) for each in SSEParser().feed(data)]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [
        line.removeprefix("event: ") for line in data.decode().split("\n") if "event: " in line
    ]
    assert [name for name in names if name.startswith("response.")] == [e["type"] for e in events]
    return events


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def whole(answer: ChatAnswer, about: AnswerHead | None = None) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(CALLER.encode_answer(answer, about or head()))
    return decoded


@pytest.mark.proves("wire.responses-stream")
def test_reasoning_text_and_calls_are_told_item_by_item() -> None:
    answer = ChatAnswer(
        text="I add.",
        reasoning="Hm.",
        finish_reason=FinishReason.TOOL_CALLS,
        tool_calls=(
            ToolCall(id="c1", name="add", arguments='{"a":1}'),
            ToolCall(id="c2", name="add", arguments="{}"),
        ),
        usage=USAGE,
    )
    item = ["output_item.added", "output_item.done"]
    call = [item[0], "function_call_arguments.delta", "function_call_arguments.done", item[1]]
    events = streamed(events_of(answer, streamed=False))
    assert kinds(events) == [
        "created",
        "in_progress",
        item[0],
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        item[1],
        item[0],
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        item[1],
        *call,
        *call,
        "completed",
    ]
    assert events[-1]["response"] == whole(answer)
    assert events[-1]["response"]["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 14,
    }


@pytest.mark.proves("wire.responses-stream")
def test_calls_whose_pieces_come_mixed_are_told_one_after_the_other() -> None:
    events = streamed(
        [
            ToolCallDelta(index=0, id="c0", name="add", arguments='{"a"'),
            ToolCallDelta(index=1, id="c1", name="add", arguments='{"b"'),
            ToolCallDelta(index=0, arguments=":1}"),
            ToolCallDelta(index=1, arguments=":2}"),
            Finish(FinishReason.TOOL_CALLS),
        ]
    )
    told = [event for event in events if "arguments" in event["type"]]
    assert kinds(told) == [
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "function_call_arguments.delta",
        "function_call_arguments.done",
    ]
    assert [event["arguments"] for event in told if "arguments" in event] == ['{"a":1}', '{"b":2}']
    assert [item["call_id"] for item in events[-1]["response"]["output"]] == ["c0", "c1"]


@pytest.mark.proves("wire.responses-stream")
def test_text_after_a_call_is_an_item_of_its_own() -> None:
    events = streamed(
        [
            TextDelta("One."),
            ToolCallDelta(index=0, id="c0", name="add", arguments="{}"),
            TextDelta("Two."),
            Finish(FinishReason.TOOL_CALLS),
        ]
    )
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "message"]
    assert [event["output_index"] for event in events if event["type"].endswith("added")] == [
        0,
        0,
        1,
        2,
        2,
    ]


@pytest.mark.proves("wire.responses-stream")
def test_a_piece_for_a_call_that_was_complete_breaks_the_answer_off() -> None:
    encoder = CALLER.stream_encoder(head())
    encoder.encode(ToolCallDelta(index=0, id="c0", name="add", arguments="{}"))
    encoder.encode(ToolCallDelta(index=1, id="c1", name="add", arguments="{}"))
    assert encoder.encode(ToolCallDelta(index=0, arguments=" ")) == b""
    with pytest.raises(ProviderError):
        encoder.encode(ToolCallDelta(index=0, arguments="{}"))


@pytest.mark.proves("wire.responses-tools")
def test_calls_come_back_in_the_shape_their_tool_was_offered_in() -> None:
    answer = ChatAnswer(
        text="",
        finish_reason=FinishReason.TOOL_CALLS,
        tool_calls=(
            ToolCall(id="c1", name="apply_patch", arguments='{"input":"*** Begin\\n"}'),
            ToolCall(id="c2", name="local_shell", arguments='{"command":["ls"],"workdir":"/x"}'),
            ToolCall(id="c3", name="mcp__d__read", arguments="{}"),
        ),
    )
    patch, shell, mcp = whole(answer)["output"]
    assert (patch["type"], patch["input"]) == ("custom_tool_call", "*** Begin\n")
    assert shell["type"] == "local_shell_call"
    assert shell["action"]["command"] == ["ls"]
    assert shell["action"]["working_directory"] == "/x"
    assert (mcp["type"], mcp["namespace"], mcp["name"]) == ("function_call", "mcp__d__", "read")
    events = streamed(events_of(answer, streamed=True))
    assert [kind for kind in kinds(events) if "custom" in kind] == [
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
    ]
    assert events[-1]["response"]["output"] == [patch, shell, mcp]


@pytest.mark.proves("wire.responses-tools")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("*** Begin Patch", "*** Begin Patch"),
        ('"*** Begin Patch"', "*** Begin Patch"),
        ('{"patch":"x"}', '{"patch":"x"}'),
        ("", ""),
    ],
    ids=["raw", "string", "other object", "nothing"],
)
def test_a_freeform_call_the_model_wrote_otherwise_still_arrives(arguments: str, text: str) -> None:
    call = ToolCall(id="c1", name="apply_patch", arguments=arguments)
    answer = ChatAnswer(text="", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(call,))
    assert whole(answer)["output"][0]["input"] == text


@pytest.mark.proves("wire.responses-tools")
def test_a_shell_call_without_a_command_is_no_shell_call() -> None:
    call = ToolCall(id="c1", name="local_shell", arguments='{"cmd":"ls"}')
    answer = ChatAnswer(text="", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(call,))
    assert whole(answer)["output"][0]["type"] == "function_call"


@pytest.mark.proves("wire.responses-stream")
@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (FinishReason.LENGTH, "max_output_tokens"),
        (FinishReason.CONTENT_FILTER, "content_filter"),
    ],
)
def test_an_answer_that_was_cut_or_refused_is_incomplete(finish: FinishReason, reason: str) -> None:
    answer = ChatAnswer(text="Half", reasoning="Hm", finish_reason=finish, usage=USAGE)
    body = whole(answer)
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": reason}
    assert [item["status"] for item in body["output"]] == ["completed", "incomplete"]
    events = streamed(events_of(answer, streamed=True))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"] == body


@pytest.mark.proves("wire.responses-stream")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderError("It died.", kind=ProviderErrorKind.TRANSIENT), "server_error"),
        (ProviderError("Slow.", kind=ProviderErrorKind.QUOTA_MINUTE), "rate_limit_exceeded"),
        (RateLimited("Slow.", retry_after_s=3, limit=1), "rate_limit_exceeded"),
        (TooLong("Long."), "context_length_exceeded"),
        (ProviderError("Long.", kind=ProviderErrorKind.TOO_LARGE), "context_length_exceeded"),
        (GuardBlocked("No.", guard="g"), "invalid_prompt"),
    ],
)
def test_a_broken_answer_fails_and_keeps_what_was_finished(error: YmeraError, code: str) -> None:
    encoder = CALLER.stream_encoder(head())
    data = encoder.encode(ReasoningDelta("Hm.")) + encoder.encode(TextDelta("Hel"))
    events = read(data + encoder.error(error))
    last = events[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["code"] == code
    assert error.message in last["response"]["error"]["message"]
    assert [item["type"] for item in last["response"]["output"]] == ["reasoning"]


@pytest.mark.proves("wire.responses-stream")
def test_an_answer_without_its_end_never_looks_complete() -> None:
    events = streamed([TextDelta("Hel"), UsageReport(USAGE)])
    assert kinds(events)[-1] == "failed"
    assert kinds(streamed([])) == ["created", "in_progress", "failed"]


@pytest.mark.proves("wire.responses-stream")
def test_the_response_repeats_what_was_asked() -> None:
    about = head(
        instructions="Be brief.",
        metadata={"a": "b"},
        max_output_tokens=7,
        temperature=0.5,
        tool_choice="none",
        reasoning={"effort": "low"},
        text={"format": {"type": "json_object"}, "verbosity": "low"},
        store=True,
        truncation="auto",
    )
    body = whole(ChatAnswer(text="{}", finish_reason=FinishReason.STOP), about)
    assert body["instructions"] == "Be brief."
    assert (body["metadata"], body["max_output_tokens"]) == ({"a": "b"}, 7)
    assert (body["temperature"], body["tool_choice"]) == (0.5, "none")
    assert body["tools"] == TOOLS
    assert body["reasoning"] == {"effort": "low"}
    assert body["text"]["verbosity"] == "low"
    # What was not done is not claimed.
    assert (body["store"], body["truncation"]) == (False, "disabled")
    assert (body["id"], body["created_at"]) == ("resp_0a", 1_760_000_000)
    assert body["usage"] is None


@pytest.mark.proves("wire.responses-stream")
def test_line_breaks_of_a_pretty_request_do_not_break_the_stream() -> None:
    pretty = b'{\n  "model": "auto",\r\n  "input": "hi",\n  "metadata": {\n "a": "b"\r\n }\n}'
    request = decode_request(pretty)
    about = AnswerHead(id="req_0a", created=1, model="m", request=request)
    events = streamed([TextDelta("x"), Finish(FinishReason.STOP)], about)
    assert events[0]["response"]["metadata"] == {"a": "b"}
