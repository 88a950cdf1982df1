"""The official OpenAI SDK's `responses` against our server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pydantic
import pytest

from tests.support.live_server import live_server
from tests.support.server import SCRIPTED
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, Role, ToolCall
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Model
from ymera.core.usage import Usage
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider, useful_echo

pytestmark = pytest.mark.proves("server.responses-sdk")

USAGE = Usage(input_tokens=9, output_tokens=5, cached_tokens=4, reasoning_tokens=2)
ADD: Any = {
    "type": "function",
    "name": "add",
    "description": "Adds two numbers.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Sum(pydantic.BaseModel):
    """What `parse` shall return."""

    total: int


def script(request: ChatRequest, model: Model) -> ChatAnswer | ScriptedAnswer:
    del model
    last = request.messages[-1]
    if last.role is Role.TOOL:
        return ChatAnswer(text=f"It is {last.text}.", finish_reason=FinishReason.STOP, usage=USAGE)
    if request.tools:
        calls = (
            ToolCall(id="call_1", name="add", arguments='{"a": 1, "b": 2}'),
            ToolCall(id="call_2", name="add", arguments='{"a": 3, "b": 4}'),
        )
        return ChatAnswer(
            text="I add.",
            reasoning="Two sums are wanted.",
            finish_reason=FinishReason.TOOL_CALLS,
            tool_calls=calls,
            usage=USAGE,
        )
    if request.response_format is not None:
        return ChatAnswer(text='{"total": 3}', finish_reason=FinishReason.STOP, usage=USAGE)
    if last.text == "break off":
        broken = ProviderError("The upstream died.", kind=ProviderErrorKind.TRANSIENT)
        return ScriptedAnswer(answer=useful_echo(request), error=broken, deltas_before_error=2)
    if last.text == "be cut":
        return ChatAnswer(text="Half an ans", finish_reason=FinishReason.LENGTH, usage=USAGE)
    return useful_echo(request)


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[openai.AsyncOpenAI]:
    able = {"TOOLS": "true", "JSON_SCHEMA": "true"}
    named = {f"YMERA_PROVIDERS__STAGE__{name}": value for name, value in able.items()}
    for name, value in {**SCRIPTED, **named}.items():
        monkeypatch.setenv(name, value)
    async with (
        live_server({"stage": ScriptedProvider(answers=script)}) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


async def test_it_answers(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(
        model="auto", input="Say hello", instructions="Be brief.", metadata={"a": "b"}
    )
    assert answer.output_text == "You asked: Say hello"
    assert answer.status == "completed"
    assert answer.model == "stage/actor"
    assert answer.id.startswith("resp_")
    assert (answer.instructions, answer.metadata) == ("Be brief.", {"a": "b"})
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    type(answer).model_validate(answer.model_dump(), strict=False)  # every field the SDK requires


async def test_it_streams_in_order_and_ends_with_the_whole_response(
    client: openai.AsyncOpenAI,
) -> None:
    async with client.responses.stream(model="auto", input="Say good day") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * (len(kinds) - 8),
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert kinds.count("response.output_text.delta") > 1
    assert final.output_text == "You asked: Say good day"
    assert final.usage is not None


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_tools_make_the_round_trip(client: openai.AsyncOpenAI, streamed: bool) -> None:
    asked: Any = [{"role": "user", "content": "Add 1 and 2, and 3 and 4."}]
    if streamed:
        async with client.responses.stream(model="auto", input=asked, tools=[ADD]) as stream:
            first: Any = await stream.get_final_response()
    else:
        first = await client.responses.create(model="auto", input=asked, tools=[ADD])
    assert [item.type for item in first.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert first.usage is not None
    assert first.usage.input_tokens_details.cached_tokens == 4
    assert first.usage.output_tokens_details.reasoning_tokens == 2
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(call.call_id, call.name) for call in calls] == [("call_1", "add"), ("call_2", "add")]
    results: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "3"} for call in calls
    ]
    second = await client.responses.create(
        model="auto",
        input=[*asked, *(item.model_dump(exclude_none=True) for item in first.output), *results],
        tools=[ADD],
    )
    assert second.output_text == "It is 3."


async def test_structured_output_is_parsed(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.parse(model="auto", input="1 + 2?", text_format=Sum)
    assert answer.output_parsed == Sum(total=3)
    async with client.responses.stream(model="auto", input="1 + 2?", text_format=Sum) as stream:
        final = await stream.get_final_response()
    assert final.output_parsed == Sum(total=3)


async def test_an_answer_that_was_cut_is_incomplete(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(model="auto", input="be cut", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    stream = await client.responses.create(model="auto", input="be cut", stream=True)
    events = [event async for event in stream]
    assert events[-1].type == "response.incomplete"
    message = events[-1].response.output[-1]
    assert message.type == "message"
    assert message.status == "incomplete"


async def test_a_stream_that_breaks_off_fails_and_nothing_follows(
    client: openai.AsyncOpenAI,
) -> None:
    stream = await client.responses.create(model="auto", input="break off", stream=True)
    events = [event async for event in stream]
    assert events[-1].type == "response.failed"
    assert events[-1].response.error is not None
    assert events[-1].response.error.code == "server_error"
    assert "died" in events[-1].response.error.message
    assert "response.completed" not in {event.type for event in events}


@pytest.mark.proves("server.error-dialect")
async def test_its_errors_are_the_sdks_own(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.responses.create(model="no-such-model", input="hi")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model="auto", input="hi", previous_response_id="resp_1")
    assert refused.value.param == "previous_response_id"
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model="auto", input="hi", tools=[{"type": "web_search"}])
    assert refused.value.param == "tools[0].type"
