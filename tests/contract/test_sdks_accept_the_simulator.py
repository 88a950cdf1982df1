"""The vendors' own SDKs are the judges of what the simulated providers send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types

from tests.support.judged_by_sdks import ECHO, KEY, PROMPT, SAMPLE, SCHEMA, TOOL, simulator, user
from ymera.core.model import Dialect
from ymera.testing import ProviderSimulator

__all__ = ["simulator"]  # a fixture

GPT, CLAUDE, GEMINI, LLAMA = "gpt-4.1-mini", "claude-haiku-5-5", "gemini-3.5-flash-lite", "qwen3:4b"

pytestmark = pytest.mark.proves("simulator.sdks")


# --- openai ----------------------------------------------------------------------------------


@pytest.fixture
async def gpt(simulator: ProviderSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=simulator.base_url("openai", Dialect.OPENAI_CHAT),
        api_key=KEY,
        max_retries=0,
        timeout=5,
    ) as client:
        yield client


async def test_openai_reads_an_answer_a_stream_and_the_model_list(
    gpt: openai.AsyncOpenAI,
) -> None:
    messages = user(PROMPT)
    whole = await gpt.chat.completions.create(model=GPT, messages=messages)
    stream = await gpt.chat.completions.create(
        model=GPT,
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    assert whole.choices[0].message.content == said == ECHO
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert whole.usage.total_tokens == chunks[-1].usage.total_tokens == 6
    assert GPT in [model.id async for model in gpt.models.list()]


async def test_openai_reads_a_tool_call_plain_and_streamed(gpt: openai.AsyncOpenAI) -> None:
    messages = user("Call add.")
    whole = await gpt.chat.completions.create(model=GPT, messages=messages, tools=[TOOL])
    async with gpt.chat.completions.stream(model=GPT, messages=messages, tools=[TOOL]) as stream:
        streamed = await stream.get_final_completion()

    for completion in (whole, streamed):
        (call,) = completion.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert call.function.name == "add"
        assert json.loads(call.function.arguments) == SAMPLE
        assert completion.choices[0].finish_reason == "tool_calls"


async def test_openai_reads_a_response_plain_and_streamed(gpt: openai.AsyncOpenAI) -> None:
    whole = await gpt.responses.create(model=GPT, input=PROMPT)
    async with gpt.responses.stream(model=GPT, input=PROMPT) as stream:
        streamed = await stream.get_final_response()

    assert whole.output_text == streamed.output_text == ECHO
    assert whole.usage is not None
    assert streamed.usage is not None
    assert whole.usage.total_tokens == streamed.usage.total_tokens == 6


async def test_openai_reads_vectors(gpt: openai.AsyncOpenAI) -> None:
    packed = await gpt.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    numbers = await gpt.embeddings.create(
        model="text-embedding-3-small", input="a", encoding_format="float"
    )

    assert [len(each.embedding) for each in packed.data] == [1536, 1536]
    assert packed.data[0].embedding == pytest.approx(numbers.data[0].embedding)
    assert packed.data[0].embedding != packed.data[1].embedding


async def test_openai_raises_its_own_errors(
    gpt: openai.AsyncOpenAI, simulator: ProviderSimulator
) -> None:
    async def ask(client: openai.AsyncOpenAI, model: str) -> None:
        stream = await client.chat.completions.create(model=model, messages=user("x"), stream=True)
        async for _ in stream:
            pass

    with pytest.raises(openai.AuthenticationError):
        await ask(gpt.with_options(api_key="wrong"), GPT)
    with pytest.raises(openai.NotFoundError):
        await ask(gpt, "no-such-model")
    with pytest.raises(openai.InternalServerError):
        await ask(gpt, "gpt-6-sol")
    with pytest.raises(openai.APIError, match="upstream died"):
        await ask(gpt, "gpt-6-luna")
    router = gpt.with_options(base_url=simulator.base_url("openrouter"))
    simulator.exhaust("openrouter")
    with pytest.raises(openai.RateLimitError, match="free-models-per-") as caught:
        await ask(router, "openrouter/free")
    assert caught.value.response.headers["x-ratelimit-remaining"] == "0"


# --- anthropic -------------------------------------------------------------------------------


@pytest.fixture
async def claude(simulator: ProviderSimulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=f"{simulator.origin}/anthropic", api_key=KEY, max_retries=0, timeout=5
    ) as client:
        yield client


async def test_anthropic_reads_an_answer_a_stream_and_the_model_list(
    claude: anthropic.AsyncAnthropic,
) -> None:
    messages = user(PROMPT)
    whole = await claude.messages.create(model=CLAUDE, max_tokens=64, messages=messages)
    async with claude.messages.stream(model=CLAUDE, max_tokens=64, messages=messages) as stream:
        streamed = await stream.get_final_message()

    for message in (whole, streamed):
        texts = [block.text for block in message.content if block.type == "text"]
        assert texts == [ECHO]
        assert message.stop_reason == "end_turn"
    assert whole.usage.output_tokens == streamed.usage.output_tokens > 0
    assert CLAUDE in [model.id async for model in claude.models.list()]
    counted = await claude.messages.count_tokens(model=CLAUDE, messages=messages)
    assert counted.input_tokens == whole.usage.input_tokens == 2


async def test_anthropic_reads_a_tool_call_plain_and_streamed(
    claude: anthropic.AsyncAnthropic,
) -> None:
    messages = user("Call add.")
    tools: Any = [{"name": "add", "description": "Adds.", "input_schema": SCHEMA}]
    whole = await claude.messages.create(
        model=CLAUDE,
        max_tokens=64,
        messages=messages,
        tools=tools,
    )
    async with claude.messages.stream(
        model=CLAUDE,
        max_tokens=64,
        messages=messages,
        tools=tools,
    ) as stream:
        streamed = await stream.get_final_message()

    for message in (whole, streamed):
        (call,) = [block for block in message.content if block.type == "tool_use"]
        assert (call.name, call.input) == ("add", SAMPLE)
        assert message.stop_reason == "tool_use"


async def test_anthropic_raises_its_own_errors(
    claude: anthropic.AsyncAnthropic, simulator: ProviderSimulator
) -> None:
    async def ask(client: anthropic.AsyncAnthropic, model: str) -> None:
        messages = user("x")
        async with client.messages.stream(model=model, max_tokens=9, messages=messages) as stream:
            await stream.get_final_message()

    with pytest.raises(anthropic.AuthenticationError):
        await ask(claude.with_options(api_key="wrong"), CLAUDE)
    with pytest.raises(anthropic.NotFoundError):
        await ask(claude, "no-such-model")
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        await ask(claude, "claude-opus-5-5")
    assert overloaded.value.status_code == 529
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        await ask(claude, "claude-haiku-4-5")
    simulator.exhaust("anthropic")
    with pytest.raises(anthropic.RateLimitError) as caught:
        await ask(claude, CLAUDE)
    assert caught.value.response.headers["anthropic-ratelimit-requests-remaining"] == "0"


# --- google-genai ----------------------------------------------------------------------------


its_own_warning = pytest.mark.filterwarnings(
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"
)


@asynccontextmanager
async def genai_client(simulator: ProviderSimulator, key: str) -> AsyncIterator[genai.Client]:
    options = genai_types.HttpOptions(base_url=f"{simulator.origin}/google")
    client = genai.Client(api_key=key, http_options=options)  # kept: it closes when collected
    async with client.aio:
        yield client
    client.close()


@pytest.fixture
async def gemini(simulator: ProviderSimulator) -> AsyncIterator[genai.Client]:
    async with genai_client(simulator, KEY) as client:
        yield client


@its_own_warning
async def test_genai_reads_an_answer_a_stream_and_the_model_list(gemini: genai.Client) -> None:
    whole = await gemini.aio.models.generate_content(model=GEMINI, contents=PROMPT)
    stream = await gemini.aio.models.generate_content_stream(model=GEMINI, contents=PROMPT)
    chunks = [chunk async for chunk in stream]

    assert whole.text == "".join(chunk.text or "" for chunk in chunks) == ECHO
    last = chunks[-1].usage_metadata
    assert whole.usage_metadata is not None
    assert last is not None
    assert whole.usage_metadata.total_token_count == last.total_token_count
    names = [model.name async for model in await gemini.aio.models.list()]
    assert f"models/{GEMINI}" in names


@its_own_warning
async def test_genai_reads_a_tool_call_and_vectors(gemini: genai.Client) -> None:
    declared = genai_types.FunctionDeclaration(name="add", parameters_json_schema=SCHEMA)
    config = genai_types.GenerateContentConfig(
        tools=[genai_types.Tool(function_declarations=[declared])]
    )
    whole = await gemini.aio.models.generate_content(
        model=GEMINI, contents="Call add.", config=config
    )
    stream = await gemini.aio.models.generate_content_stream(
        model=GEMINI, contents="Call add.", config=config
    )
    chunks = [chunk async for chunk in stream]
    vectors = await gemini.aio.models.embed_content(
        model="gemini-embedding-001", contents=["a", "b"]
    )

    calls = [call for each in (whole, *chunks) for call in each.function_calls or []]
    assert [(call.name, call.args) for call in calls] == [("add", SAMPLE)] * 2
    assert [len(each.values or []) for each in vectors.embeddings or []] == [3072, 3072]


@its_own_warning
async def test_genai_raises_its_own_errors(
    gemini: genai.Client, simulator: ProviderSimulator
) -> None:
    async with genai_client(simulator, "wrong") as wrong:
        with pytest.raises(genai_errors.ClientError, match="INVALID_ARGUMENT") as refused:
            await wrong.aio.models.generate_content(model=GEMINI, contents="x")
    assert refused.value.code == 400
    with pytest.raises(genai_errors.ClientError) as missing:
        await gemini.aio.models.generate_content(model="no-such-model", contents="x")
    assert missing.value.code == 404
    simulator.exhaust("google", GEMINI)
    with pytest.raises(genai_errors.ClientError, match="RESOURCE_EXHAUSTED") as caught:
        await gemini.aio.models.generate_content(model=GEMINI, contents="x")
    assert "FreeTier" in str(caught.value.details)


# --- ollama ----------------------------------------------------------------------------------


@pytest.fixture
async def local(simulator: ProviderSimulator) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(host=f"{simulator.origin}/ollama") as client:
        yield client


async def test_ollama_reads_an_answer_a_stream_and_the_model_list(
    local: ollama.AsyncClient,
) -> None:
    messages = user(PROMPT)
    whole = await local.chat(model=LLAMA, messages=messages)
    pieces = [
        piece async for piece in await local.chat(model=LLAMA, messages=messages, stream=True)
    ]

    assert whole.message.content == "".join(piece.message.content or "" for piece in pieces) == ECHO
    assert whole.done_reason == pieces[-1].done_reason == "stop"
    assert whole.eval_count == pieces[-1].eval_count
    listed = await local.list()
    assert LLAMA in [model.model for model in listed.models]


async def test_ollama_reads_a_tool_call_and_vectors(local: ollama.AsyncClient) -> None:
    messages = user("Call add.")
    whole = await local.chat(model=LLAMA, messages=messages, tools=[TOOL])
    stream = await local.chat(model=LLAMA, messages=messages, tools=[TOOL], stream=True)
    pieces = [piece async for piece in stream]
    vectors = await local.embed(model="nomic-embed-text", input=["a", "b"])

    calls = [call for each in (whole, *pieces) for call in each.message.tool_calls or []]
    assert [(c.function.name, dict(c.function.arguments)) for c in calls] == [("add", SAMPLE)] * 2
    assert len(vectors.embeddings) == 2


async def test_ollama_raises_its_own_errors(
    simulator: ProviderSimulator, local: ollama.AsyncClient
) -> None:
    messages = user("x")
    async with ollama.AsyncClient(
        host=f"{simulator.origin}/ollama-cloud", headers={"Authorization": "Bearer wrong"}
    ) as cloud:
        with pytest.raises(ollama.ResponseError) as refused:
            await cloud.chat(model="gpt-oss:20b", messages=messages)
    assert refused.value.status_code == 401
    with pytest.raises(ollama.ResponseError, match="upstream died"):
        async for _ in await local.chat(model="qwen3:8b", messages=messages, stream=True):
            pass
