"""Every provider of the catalogue at its own door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.support.chat import make_request
from tests.support.simulated import client_of, model_of
from ymera.catalog.load import load
from ymera.core.answer import AnswerBuilder, ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, Sampling
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Dialect, ModelKind, ProviderKind
from ymera.core.ports import Deadlines
from ymera.core.quota import QuotaWindow
from ymera.core.usage import Usage
from ymera.providers.transport import HttpTransport
from ymera.testing import (
    Fault,
    FaultPlan,
    FaultRule,
    ProviderSimulator,
    simulated_providers,
)

RIGHT = {"authorization": "Bearer simulated-key"}
ECHO = "You asked: say hello"
HELLO = {"messages": [{"role": "user", "content": "say hello"}]}
SOON = Deadlines(connect_s=1, first_byte_s=1, idle_s=1, total_s=5)


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport()
    yield made
    await made.close()


@pytest.fixture
async def simulator() -> AsyncIterator[ProviderSimulator]:
    async with simulated_providers() as running:
        yield running


async def post(
    url: str,
    body: Mapping[str, object],
    transport: HttpTransport,
    headers: Mapping[str, str] = RIGHT,
) -> tuple[int, Any, Mapping[str, str]]:
    answer = await transport.post(url, headers, json.dumps(body).encode(), SOON)
    return answer.status, json.loads(await answer.read(1_000_000)), answer.headers


async def get(simulator: ProviderSimulator, path: str, headers: str = "") -> Any:
    host, port = simulator.origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\n{headers}content-length: 0\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    body = await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()
    return json.loads(body)


async def ask(
    simulator: ProviderSimulator,
    model_id: str,
    transport: HttpTransport,
    request: ChatRequest | None = None,
    key: str = "simulated-key",
) -> ChatAnswer:
    model = model_of(model_id)
    provider = simulator.providers[model.provider]
    client = client_of(simulator, provider.id, provider.endpoints[0].dialect, transport, key)
    builder = AnswerBuilder()
    async for batch in client.stream(request or make_request(), model, SOON):
        for event in batch:
            builder.add(event)
    return builder.build()


@pytest.mark.proves("simulator.every-provider")
async def test_every_active_provider_is_played_below_its_own_path(
    simulator: ProviderSimulator,
) -> None:
    not_played = {ProviderKind.EMBEDDED, ProviderKind.SCRIPTED}
    active = {p.id for p in load().providers.values() if p.active and p.kind not in not_played}

    assert set(simulator.providers) == active
    base = simulator.origin
    assert simulator.base_url("groq") == f"{base}/groq/openai/v1"
    assert simulator.base_url("cloudflare") == (
        f"{base}/cloudflare/client/v4/accounts/simulated/ai/v1"
    )
    assert simulator.base_url("google", Dialect.OPENAI_CHAT) == f"{base}/google/v1beta/openai"
    assert simulator.base_url("google", Dialect.GEMINI) == f"{base}/google"


def test_a_provider_that_is_retired_or_unknown_is_refused() -> None:
    for name in ("github-models", "local", "nobody"):
        with pytest.raises(ValueError, match=name):
            ProviderSimulator(providers=(name,))


@pytest.mark.proves("simulator.errors")
@pytest.mark.parametrize(
    ("provider", "status", "words"),
    [
        ("groq", 401, "invalid_api_key"),
        ("cloudflare", 401, "Authentication error"),
        ("mistral", 401, "Unauthorized"),
        ("google", 400, "API_KEY_INVALID"),
    ],
)
async def test_a_wrong_key_is_refused_as_the_vendor_does(
    simulator: ProviderSimulator, transport: HttpTransport, provider: str, status: int, words: str
) -> None:
    url = simulator.base_url(provider, Dialect.OPENAI_CHAT) + "/chat/completions"

    got, body, _ = await post(url, HELLO, transport, {"authorization": "Bearer sk-real"})

    assert got == status
    assert words in json.dumps(body)


@pytest.mark.proves("simulator.every-provider")
async def test_keyless_hosts_answer_without_a_key_and_no_other_does(
    simulator: ProviderSimulator, transport: HttpTransport
) -> None:
    for provider in simulator.providers.values():
        url = simulator.base_url(provider.id, Dialect.OPENAI_CHAT) + "/chat/completions"
        models = [m for m in simulator.models_of(provider.id) if m.kind is ModelKind.CHAT]
        name = models[0].upstream_id if models else "any"
        status, _, _ = await post(url, {**HELLO, "model": name}, transport, {})
        free_entry = provider.keyless or provider.kind is ProviderKind.LOCAL
        assert (status == 200) is free_entry, provider.id


@pytest.mark.proves("simulator.every-provider")
async def test_models_are_listed_in_each_dialects_shape(simulator: ProviderSimulator) -> None:
    key = "authorization: Bearer simulated-key\r\n"
    openai = await get(simulator, "/groq/openai/v1/models", key)
    router = await get(simulator, "/openrouter/api/v1/models", key)
    anthropic = await get(
        simulator, "/anthropic/v1/models", f"{key}anthropic-version: 2023-06-01\r\n"
    )
    gemini = await get(simulator, "/google/v1beta/models", "x-goog-api-key: simulated-key\r\n")
    ollama = await get(simulator, "/ollama/api/tags")

    assert openai["object"] == "list"
    row = next(each for each in openai["data"] if each["id"] == "openai/gpt-oss-20b")
    assert row["context_window"] == 131072
    assert router["data"][0]["pricing"] == {"prompt": "0", "completion": "0"}
    assert {each["type"] for each in anthropic["data"]} == {"model"}
    names = {each["name"]: each for each in gemini["models"]}
    assert names["models/gemini-embedding-001"]["supportedGenerationMethods"] == [
        "embedContent",
        "batchEmbedContents",
    ]
    assert "qwen3:4b" in [each["name"] for each in ollama["models"]]


async def test_what_is_not_there_is_not_found(
    simulator: ProviderSimulator, transport: HttpTransport
) -> None:
    origin = simulator.origin
    for path in ("/nobody/v1/chat/completions", "/groq/v1/chat/completions", "/groq/api/chat", "/"):
        status, _, _ = await post(origin + path, HELLO, transport)
        assert status == 404, path
    url = simulator.base_url("groq") + "/chat/completions"
    status, body, _ = await post(url, {**HELLO, "model": "llama-9"}, transport)
    assert (status, body["error"]["code"]) == (404, "model_not_found")


async def test_a_request_that_makes_no_sense_is_refused_in_the_dialect(
    simulator: ProviderSimulator, transport: HttpTransport
) -> None:
    status, body, _ = await post(
        simulator.base_url("groq") + "/chat/completions", {"model": "x"}, transport
    )
    assert (status, body["error"]["param"]) == (400, "messages")
    headers = {"x-api-key": "simulated-key"}
    url = f"{simulator.origin}/anthropic/v1/messages"
    status, body, _ = await post(url, HELLO, transport, headers)
    assert (status, body["type"]) == (400, "error")
    assert "anthropic-version" in body["error"]["message"]


@pytest.mark.proves("simulator.quotas")
async def test_an_exhausted_quota_comes_back_when_the_clock_has_moved_on(
    simulator: ProviderSimulator, transport: HttpTransport
) -> None:
    model = "groq/openai/gpt-oss-20b"
    assert simulator.exhaust("groq", "openai/gpt-oss-20b", window=QuotaWindow.MINUTE) > 0

    with pytest.raises(ProviderError) as caught:
        await ask(simulator, model, transport)
    assert caught.value.kind is ProviderErrorKind.QUOTA_MINUTE
    assert caught.value.retry_after_s is not None
    assert 0 < caught.value.retry_after_s <= 60
    simulator.advance(61)

    assert (await ask(simulator, model, transport)).text == ECHO
    assert simulator.calls["groq", "openai/gpt-oss-20b", 429] == 1
    assert simulator.calls["groq", "openai/gpt-oss-20b", 200] == 1


@pytest.mark.proves("simulator.quotas")
async def test_keys_of_one_account_share_its_quota(
    simulator: ProviderSimulator, transport: HttpTransport
) -> None:
    model = "groq/openai/gpt-oss-20b"
    simulator.exhaust("groq", account="simulated-a")

    for key in ("simulated-a.1", "simulated-a.2"):
        with pytest.raises(ProviderError, match="429"):
            await ask(simulator, model, transport, key=key)
    other = await ask(simulator, model, transport, key="simulated-b.1")
    assert other.text == ECHO


@pytest.mark.proves("simulator.quotas")
async def test_quotas_can_be_left_out(transport: HttpTransport) -> None:
    async with simulated_providers("ovhcloud", quota=False) as simulator:
        assert simulator.exhaust("ovhcloud") == 0
        for _ in range(5):  # its row allows 2 a minute
            answer = await ask(simulator, "ovhcloud/Qwen3.5-9B", transport)
            assert answer.text == ECHO


@pytest.mark.proves("simulator.faults")
async def test_a_model_may_turn_paid_from_one_call_on(transport: HttpTransport) -> None:
    plan = FaultPlan([FaultRule(fault=Fault.NO_CREDIT, model="openai/gpt-oss-20b", after=2)])
    async with simulated_providers("groq", faults=plan) as simulator:
        for _ in range(2):
            answer = await ask(simulator, "groq/openai/gpt-oss-20b", transport)
            assert answer.text == ECHO
        with pytest.raises(ProviderError) as caught:
            await ask(simulator, "groq/openai/gpt-oss-20b", transport)
        other = await ask(simulator, "groq/openai/gpt-oss-120b", transport)
        assert other.text == ECHO

    assert caught.value.kind is ProviderErrorKind.QUOTA_MONTH


@pytest.mark.proves("simulator.faults")
@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_may_report_a_cost_after_some_answers(
    transport: HttpTransport, stream: bool
) -> None:
    plan = FaultPlan([FaultRule(fault=Fault.COSTS, provider="openrouter", after=1)])
    async with simulated_providers("openrouter", faults=plan) as simulator:
        request = make_request(stream=stream)
        first = await ask(simulator, "openrouter/openrouter/free", transport, request)
        second = await ask(simulator, "openrouter/openrouter/free", transport, request)

    assert first.cost_usd == 0
    assert second.cost_usd is not None
    assert second.cost_usd > 0


@pytest.mark.proves("simulator.vendors")
@pytest.mark.parametrize("stream", [True, False])
async def test_a_host_refuses_the_fields_that_its_flags_say_it_refuses(
    simulator: ProviderSimulator, transport: HttpTransport, stream: bool
) -> None:
    url = simulator.base_url("cohere") + "/chat/completions"
    body = {**HELLO, "model": "command-a-03-2025", "stream": stream, "n": 1}

    status, answer, _ = await post(url, body, transport)

    assert status == 400
    assert "'n' is not supported" in answer["error"]["message"]


@pytest.mark.proves("simulator.vendors")
@pytest.mark.parametrize(
    ("provider", "model", "field"),
    [
        ("groq", "openai/gpt-oss-20b", "reasoning"),
        ("zai", "glm-4.7-flash", "reasoning_content"),
        ("openrouter", "openrouter/free", "reasoning"),
    ],
)
async def test_reasoning_stands_in_the_field_that_the_vendor_uses(
    simulator: ProviderSimulator, transport: HttpTransport, provider: str, model: str, field: str
) -> None:
    url = simulator.base_url(provider, Dialect.OPENAI_CHAT) + "/chat/completions"

    _, body, _ = await post(url, {**HELLO, "model": model}, transport)

    message = body["choices"][0]["message"]
    assert {name for name in message if "reasoning" in name} == {field}


@pytest.mark.proves("simulator.vendors")
@pytest.mark.parametrize(
    ("provider", "model", "asked", "where"),
    [
        ("groq", "openai/gpt-oss-20b", False, ["x_groq"]),
        ("groq", "openai/gpt-oss-20b", True, ["x_groq", "usage"]),
        ("mistral", "mistral-small-latest", False, ["usage with finish"]),
        ("zai", "glm-4.7-flash", False, []),
        ("zai", "glm-4.7-flash", True, ["usage"]),
    ],
)
async def test_usage_of_a_stream_stands_where_the_vendor_puts_it(
    simulator: ProviderSimulator,
    transport: HttpTransport,
    provider: str,
    model: str,
    asked: bool,
    where: list[str],
) -> None:
    body: dict[str, object] = {**HELLO, "model": model, "stream": True}
    if asked:
        body["stream_options"] = {"include_usage": True}
    url = simulator.base_url(provider) + "/chat/completions"
    answer = await transport.post(url, RIGHT, json.dumps(body).encode(), SOON)
    raw = (await answer.read(1_000_000)).decode()

    found = []
    for line in raw.splitlines():
        if line.startswith("data: {"):
            chunk = json.loads(line[6:])
            if "x_groq" in chunk:
                found.append("x_groq")
            if chunk.get("usage"):
                found.append("usage with finish" if chunk["choices"] else "usage")
    assert found == where
    assert raw.endswith("data: [DONE]\n\n")


@pytest.mark.proves("simulator.vendors")
async def test_an_answer_is_cut_to_the_length_that_was_allowed(
    simulator: ProviderSimulator, transport: HttpTransport
) -> None:
    request = ChatRequest(
        model="m", messages=make_request("one two three").messages, sampling=Sampling(max_tokens=3)
    )

    answer = await ask(simulator, "groq/groq/compound", transport, request)

    assert (answer.text, answer.finish_reason) == ("You asked: one", FinishReason.LENGTH)


@pytest.mark.proves("simulator.answers")
async def test_answers_may_take_their_time(transport: HttpTransport) -> None:
    async def think(request: ChatRequest) -> ChatAnswer:
        await asyncio.sleep(0)
        usage = Usage(input_tokens=1, output_tokens=1)
        return ChatAnswer(
            text=f"I am {request.model}", finish_reason=FinishReason.STOP, usage=usage
        )

    async with simulated_providers("groq", answers=think) as simulator:
        answer = await ask(simulator, "groq/groq/compound", transport)

    assert answer.text == "I am groq/compound"


@pytest.mark.proves("simulator.every-provider")
async def test_the_same_text_gets_the_same_vector_whatever_is_asked_beside_it(
    simulator: ProviderSimulator, transport: HttpTransport
) -> None:
    url = simulator.base_url("openai", Dialect.OPENAI_CHAT) + "/embeddings"
    body = {"model": "text-embedding-3-small", "dimensions": 8}

    _, one, _ = await post(url, {**body, "input": "a"}, transport)
    _, two, _ = await post(url, {**body, "input": ["b", "a"]}, transport)

    assert one["data"][0]["embedding"] == two["data"][1]["embedding"]
    assert len(one["data"][0]["embedding"]) == 8
    status, _, _ = await post(url, {**body, "input": 3}, transport)
    assert status == 400
