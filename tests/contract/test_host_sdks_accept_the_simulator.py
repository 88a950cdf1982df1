"""The SDKs of hosts that speak a dialect of others are judges, too."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import groq
import mistralai.client
import pytest
from mistralai.client.errors import SDKError

from tests.support.judged_by_sdks import ECHO, KEY, PROMPT, SAMPLE, TOOL, simulator, user
from ymera.testing import ProviderSimulator

__all__ = ["simulator"]  # a fixture

MISTRAL, GROQ = "mistral-small-latest", "openai/gpt-oss-20b"

pytestmark = pytest.mark.proves("simulator.sdks")


# --- mistralai -------------------------------------------------------------------------------


@pytest.fixture
async def mistral(simulator: ProviderSimulator) -> AsyncIterator[mistralai.client.Mistral]:
    async with mistralai.client.Mistral(
        api_key=KEY, server_url=f"{simulator.origin}/mistral"
    ) as client:
        yield client


async def test_mistral_reads_an_answer_a_stream_and_a_tool_call(
    mistral: mistralai.client.Mistral, simulator: ProviderSimulator
) -> None:
    messages = user(PROMPT)
    whole = await mistral.chat.complete_async(model=MISTRAL, messages=messages)
    simulator.advance(2)  # it allows one request a second
    stream = await mistral.chat.stream_async(model=MISTRAL, messages=messages)
    chunks = [event.data async for event in stream]
    simulator.advance(2)
    called = await mistral.chat.complete_async(
        model=MISTRAL,
        messages=user("Call add."),
        tools=[TOOL],
    )

    said = "".join(str(c.choices[0].delta.content or "") for c in chunks if c.choices)
    message = whole.choices[0].message
    assert message is not None
    assert message.content == said == ECHO
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    tool_message = called.choices[0].message
    assert tool_message is not None
    (call,) = tool_message.tool_calls or []
    assert call.function.name == "add"
    assert json.loads(str(call.function.arguments)) == SAMPLE


async def test_mistral_raises_its_own_errors(
    mistral: mistralai.client.Mistral, simulator: ProviderSimulator
) -> None:
    messages = user("x")
    async with mistralai.client.Mistral(
        api_key="wrong", server_url=f"{simulator.origin}/mistral"
    ) as wrong:
        with pytest.raises(SDKError) as refused:
            await wrong.chat.complete_async(model=MISTRAL, messages=messages)
    assert refused.value.status_code == 401
    simulator.exhaust("mistral", MISTRAL)
    with pytest.raises(SDKError, match="rate limit") as caught:
        await mistral.chat.complete_async(model=MISTRAL, messages=messages)
    assert caught.value.status_code == 429


# --- groq ------------------------------------------------------------------------------------


@pytest.fixture
async def fast(simulator: ProviderSimulator) -> AsyncIterator[groq.AsyncGroq]:
    async with groq.AsyncGroq(
        base_url=f"{simulator.origin}/groq", api_key=KEY, max_retries=0, timeout=5
    ) as client:
        yield client


async def test_groq_reads_an_answer_a_stream_and_a_tool_call(fast: groq.AsyncGroq) -> None:
    messages = user(PROMPT)
    whole = await fast.chat.completions.create(model=GROQ, messages=messages)
    stream = await fast.chat.completions.create(model=GROQ, messages=messages, stream=True)
    chunks = [chunk async for chunk in stream]
    called = await fast.chat.completions.create(
        model=GROQ,
        messages=user("Call add."),
        tools=[TOOL],
        tool_choice="required",
    )

    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert whole.choices[0].message.content == said == ECHO
    thought = "".join(chunk.choices[0].delta.reasoning or "" for chunk in chunks if chunk.choices)
    assert whole.choices[0].message.reasoning == thought != ""
    usages = [chunk.x_groq.usage for chunk in chunks if chunk.x_groq and chunk.x_groq.usage]
    assert whole.usage is not None
    assert [usage.total_tokens for usage in usages] == [whole.usage.total_tokens]
    (call,) = called.choices[0].message.tool_calls or []
    assert json.loads(call.function.arguments) == SAMPLE


async def test_groq_raises_its_own_errors(
    fast: groq.AsyncGroq, simulator: ProviderSimulator
) -> None:
    messages = user("x")
    with pytest.raises(groq.AuthenticationError):
        await fast.with_options(api_key="wrong").chat.completions.create(
            model=GROQ,
            messages=messages,
        )
    simulator.exhaust("groq", GROQ)
    with pytest.raises(groq.RateLimitError, match="Please try again in") as caught:
        await fast.chat.completions.create(model=GROQ, messages=messages)
    assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"
