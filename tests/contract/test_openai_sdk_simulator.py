"""The official SDK is the judge of the shapes the simulator sends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import openai
import pytest

from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, ToolCall
from ymera.core.usage import Usage
from ymera.testing import Fault, Simulator
from ymera.testing.scripted import useful_echo

TOOL = ToolCall(id="call_1", name="add", arguments='{"a": 1, "b": 2}')
USAGE = Usage(input_tokens=9, output_tokens=3)


def answer(request: ChatRequest) -> ChatAnswer:
    if request.tools:
        return ChatAnswer(
            text="", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(TOOL,), usage=USAGE
        )
    return useful_echo(request)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(answer=answer, faults={fault.value: fault for fault in Fault}) as sim:
        yield sim


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=simulator.base_url, api_key="sk-test", max_retries=0, timeout=5
    ) as made:
        yield made


@pytest.mark.proves("testing.simulator")
async def test_the_sdk_reads_an_answer(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="sim-small", messages=[{"role": "user", "content": "hello"}]
    )

    assert completion.choices[0].message.content == "You asked: hello"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 4


@pytest.mark.proves("testing.simulator")
async def test_the_sdk_reads_a_stream_with_its_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="sim-small",
        messages=[{"role": "user", "content": "hello"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]

    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "You asked: hello"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


@pytest.mark.proves("testing.simulator")
async def test_the_sdk_puts_a_streamed_tool_call_together(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="sim-small",
        messages=[{"role": "user", "content": "add"}],
        tools=[{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}],
    ) as stream:
        completion = await stream.get_final_completion()

    calls = completion.choices[0].message.tool_calls or []
    assert len(calls) == 1
    call = calls[0]
    assert (call.id, call.function.name, call.function.arguments) == (
        TOOL.id,
        TOOL.name,
        TOOL.arguments,
    )
    assert completion.choices[0].finish_reason == "tool_calls"


@pytest.mark.proves("testing.simulator")
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.UNAUTHORIZED, openai.AuthenticationError),
        (Fault.GONE, openai.NotFoundError),
        (Fault.MINUTE, openai.RateLimitError),
        (Fault.BROKEN, openai.InternalServerError),
        (Fault.ERROR_EVENT, openai.APIError),
    ],
)
async def test_the_sdk_raises_its_own_error_for_a_fault(
    client: openai.AsyncOpenAI, fault: Fault, error: type[openai.APIError]
) -> None:
    async def read() -> None:
        stream = await client.chat.completions.create(
            model=fault.value, messages=[{"role": "user", "content": "x"}], stream=True
        )
        async for _ in stream:
            pass

    with pytest.raises(error):
        await read()


@pytest.mark.proves("testing.simulator")
async def test_the_sdk_lists_models(client: openai.AsyncOpenAI) -> None:
    models = [model.id async for model in await client.models.list()]

    assert models[:2] == ["sim-small", "sim-large"]
    assert set(models[2:]) == {fault.value for fault in Fault}
