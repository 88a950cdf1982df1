"""Ollama's front door at the edge: names, errors, what is told of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from tests.support.asgi import JSON_HEADERS, Answer, Client
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import ModelKind
from ymera.server.asgi import Server
from ymera.server.spoken import OLLAMA_PATHS
from ymera.testing.http import Exchange, LoopbackServer
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider
from ymera.testing.speech import Voice
from ymera.testing.stage import perform
from ymera.wire import ollama
from ymera.wire.ollama.models import API_VERSION

HELLO = ChatAnswer(text="Hello there", finish_reason=FinishReason.STOP)


@pytest.fixture
def provider() -> ScriptedProvider:
    died = ProviderError("The host died.", kind=ProviderErrorKind.TRANSIENT)
    cut = ScriptedAnswer(answer=HELLO, error=died, deltas_before_error=1)
    return ScriptedProvider(answers={"stage/broken": [cut]})


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch, provider: ScriptedProvider) -> AsyncIterator[App]:
    settings = {**SCRIPTED, "YMERA_PROVIDERS__STAGE__MODELS": '["actor","broken","tagged:latest"]'}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    async with App.create(providers={"stage": provider}) as app:
        yield app


@pytest.fixture
def client(app: App) -> Client:
    return Client(Server(app))


def chat(model: str = "auto", **more: object) -> bytes:
    messages = [{"role": "user", "content": "hi"}]
    return msgspec.json.encode({"model": model, "messages": messages, **more})


def told(answer: Answer) -> str:
    """Return the sentence of an error, which must be told in this dialect."""
    decoded = msgspec.json.decode(answer.body, type=dict[str, str])
    assert decoded.keys() == {"error"}
    return decoded["error"]


@pytest.mark.proves("server.ollama-models")
@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("stage/actor:latest", "stage/actor"),
        ("actor:latest", "stage/actor"),
        ("stage/tagged:latest", "stage/tagged:latest"),
        ("auto:latest", "stage/actor"),
    ],
)
async def test_the_tag_that_clients_append_is_no_part_of_a_name(
    client: Client, provider: ScriptedProvider, name: str, asked: str
) -> None:
    answer = await client.send("POST", "/api/chat", chat(name, stream=False))
    assert answer.status == 200
    assert answer.headers["x-ymera-model"] == asked
    assert provider.models[0].id == asked


@pytest.mark.proves("server.ollama-models")
async def test_an_unknown_name_is_told_as_it_was_written(client: Client) -> None:
    answer = await client.send("POST", "/api/show", b'{"name":"nobody:7b"}')
    assert answer.status == 404
    assert told(answer).startswith("model 'nobody:7b' not found.")


@pytest.mark.proves("server.error-dialect")
@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/api/chat", b"{", JSON_HEADERS, 400),
        ("POST", "/api/chat", chat("nobody"), JSON_HEADERS, 404),
        ("POST", "/api/generate", b'{"model":"nobody","prompt":""}', JSON_HEADERS, 404),
        ("POST", "/api/generate", b'{"prompt":"hi"}', JSON_HEADERS, 400),
        ("POST", "/api/generate", b'{"model":"","prompt":""}', JSON_HEADERS, 400),
        ("GET", "/api/generate", b"", JSON_HEADERS, 405),
        ("POST", "/api/tags", b"{}", JSON_HEADERS, 405),
        ("POST", "/api/show", b"{", JSON_HEADERS, 400),
        ("POST", "/api/show", b"{}", JSON_HEADERS, 400),
        ("POST", "/api/show", b'{"name":"\xff"}', JSON_HEADERS, 400),
        ("POST", "/api/show", b'{"x":' + b"[" * 100_000, JSON_HEADERS, 400),
        ("POST", "/api/pull", b'{"model":"llama3.2"}', JSON_HEADERS, 400),
        ("DELETE", "/api/delete", b"", JSON_HEADERS, 400),
        ("POST", "/api/chat", chat(), {**JSON_HEADERS, "content-type": "text/plain"}, 400),
        ("GET", "/api/tags", b"", {**JSON_HEADERS, "host": "evil.example"}, 403),
        ("GET", "/api/tags", b"", {**JSON_HEADERS, "origin": "https://evil.example"}, 403),
    ],
)
async def test_errors_are_told_in_this_dialect(
    client: Client,
    provider: ScriptedProvider,
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str],
    status: int,
) -> None:
    answer = await client.send(method, path, body, headers)
    assert answer.status == status
    assert told(answer)
    assert provider.requests == []


@pytest.mark.proves("server.error-dialect")
async def test_other_paths_keep_the_other_dialect(client: Client) -> None:
    assert "/api/runs" not in OLLAMA_PATHS
    answer = await client.send("GET", "/api/runs/none")
    assert answer.status == 404
    assert answer.error["code"] == "run_not_found"


@pytest.mark.proves("server.error-dialect", "wire.broken-stream")
async def test_a_stream_that_breaks_ends_in_an_error_line(client: Client) -> None:
    answer = await client.send("POST", "/api/chat", chat("stage/broken"))
    first, last = answer.body.splitlines()
    assert msgspec.json.decode(first)["done"] is False
    assert "The host died." in msgspec.json.decode(last)["error"]


@pytest.mark.proves("server.ollama-models")
async def test_what_is_told_of_models_is_what_the_catalogue_knows(client: Client, app: App) -> None:
    async def get(method: str, path: str, body: bytes = b"") -> dict[str, object]:
        client.answer = Answer()
        answer = await client.send(method, path, body)
        assert answer.status == 200, answer.body
        decoded: dict[str, object] = msgspec.json.decode(answer.body)
        return decoded

    async def shown(name: str) -> dict[str, object]:
        return await get("POST", "/api/show", msgspec.json.encode({"model": name}))

    listed = msgspec.convert((await get("GET", "/api/tags"))["models"], list[dict[str, object]])
    embedding = [each.id for each in app.catalog.models if each.kind is ModelKind.EMBEDDING]
    assert [row["name"] for row in listed] == [*app.model_names(), *embedding]
    assert await get("GET", "/api/version") == {"version": API_VERSION}
    assert await get("GET", "/api/ps") == {"models": []}

    able = await shown("ollama/gemma4:31b")
    assert able["capabilities"] == ["completion", "tools", "vision", "thinking"]
    assert msgspec.convert(able["model_info"], dict[str, object])["gemma.context_length"] == 262144
    assert (await shown("ollama/all-minilm"))["capabilities"] == ["embedding"]
    plain = await shown("stage/actor")
    assert plain["capabilities"] == ["completion"]
    assert plain["model_info"] == {
        "general.architecture": "unknown",
        "general.basename": "stage/actor",
    }
    agent = app.running.agents.names()[0]
    assert (await shown(agent))["capabilities"] == ["completion"]


@pytest.mark.proves("server.ollama-models")
async def test_an_embedded_model_is_told_of_as_it_runs_here(client: Client, app: App) -> None:
    model = next(each for each in app.snapshot().models if each.weights is not None)
    assert model.weights is not None
    answer = await client.send("GET", "/api/tags")
    rows = msgspec.json.decode(answer.body)["models"]
    row = next(row for row in rows if row["name"] == model.id)
    assert row["size"] == model.weights.size_bytes
    assert row["digest"] == model.weights.sha256
    assert row["details"]["format"] == "gguf"
    client.answer = Answer()
    body = msgspec.json.encode({"model": model.id})
    info = msgspec.json.decode((await client.send("POST", "/api/show", body)).body)["model_info"]
    length = next(value for name, value in info.items() if name.endswith(".context_length"))
    assert length == app.settings.local.context_tokens


@pytest.mark.proves("server.ollama-load")
@pytest.mark.parametrize(
    ("path", "fields", "said", "reason"),
    [
        ("/api/generate", {"prompt": ""}, {"response": ""}, "load"),
        ("/api/generate", {"keep_alive": 0}, {"response": ""}, "unload"),
        ("/api/generate", {"keep_alive": "10m"}, {"response": ""}, "load"),
        ("/api/chat", {"messages": []}, {"message": {"role": "assistant", "content": ""}}, "load"),
        ("/api/chat", {"keep_alive": "0"}, {"message": {"role": "assistant", "content": ""}},
         "unload"),
    ],
)  # fmt: skip
async def test_a_request_without_a_question_asks_no_model(
    client: Client,
    provider: ScriptedProvider,
    path: str,
    fields: dict[str, object],
    said: dict[str, object],
    reason: str,
) -> None:
    answer = await client.send("POST", path, msgspec.json.encode({"model": "auto", **fields}))
    assert answer.status == 200
    told = msgspec.json.decode(answer.body)
    assert told.pop("created_at").endswith("Z")
    assert told == {"model": "auto", **said, "done": True, "done_reason": reason}
    assert provider.requests == []


@pytest.mark.proves("server.ollama-load")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_says_that_it_is_there(client: Client, method: str) -> None:
    answer = await client.send(method, "/")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.proves("server.disconnect")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_cancels_the_upstream_call(
    monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    reached, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(number: int) -> None:
        if number == 1:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    provider = ScriptedProvider(answers=[HELLO], delay=hang)
    async with App.create(providers={"stage": provider}) as app:
        client = Client(Server(app))
        serving = asyncio.ensure_future(client.send("POST", "/api/chat", chat(stream=stream)))
        await asyncio.wait_for(reached.wait(), 30)
        client.leave.set()
        await asyncio.wait_for(cancelled.wait(), 30)
        await serving


@dataclass
class OllamaHost:
    """An Ollama server on loopback; `bodies` is what it was sent, decoded."""

    bodies: list[dict[str, object]] = field(default_factory=list)

    async def respond(self, exchange: Exchange) -> bool:
        self.bodies.append(msgspec.json.decode(exchange.request.body))
        request = ollama.CALLER.decode_request(exchange.request.body)
        return await perform(exchange, Voice(ollama.CALLER), request, HELLO)


@pytest.mark.proves("wire.ollama-verbatim")
async def test_an_ollama_host_is_asked_in_the_callers_own_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = OllamaHost()
    asked = {
        "messages": [{"role": "user", "content": "hi", "of_tomorrow": 1}],
        "options": {"num_ctx": 8192, "mirostat": 2},
        "keep_alive": "1h",
        "think": True,
    }
    async with LoopbackServer(host.respond) as server:
        for name, value in {
            "LOCAL__ENABLED": "false",
            "PROVIDERS__HERE__BASE_URL": server.origin,
            "PROVIDERS__HERE__DIALECT": "ollama",
            "PROVIDERS__HERE__MODELS": '["small:1b"]',
            "PROVIDERS__HERE__FREE": "true",
            "PROVIDERS__HERE__KEYLESS": "true",
        }.items():
            monkeypatch.setenv(f"YMERA_{name}", value)
        async with App.create() as app:
            client = Client(Server(app))
            body = msgspec.json.encode({"model": "auto", **asked})
            answer = await client.send("POST", "/api/chat", body)

    lines = [msgspec.json.decode(line) for line in answer.body.splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == "Hello there"
    assert lines[-1]["done"] is True
    assert host.bodies == [{**asked, "model": "small:1b", "stream": True}]
