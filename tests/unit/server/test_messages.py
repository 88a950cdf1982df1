"""The Messages front door: its paths, headers, failures, and what stands beside answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from tests.support.asgi import JSON_HEADERS, Client
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.server.asgi import Server
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider
from ymera.wire.sse import SSEParser

HELLO = ChatAnswer(text="Hello there", finish_reason=FinishReason.STOP)
VERSIONED = {**JSON_HEADERS, "anthropic-version": "2026-10-21"}
Open = Callable[[ScriptedProvider], Client]


@pytest.fixture
async def open_client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    apps: list[App] = []

    def opened(provider: ScriptedProvider) -> Client:
        apps.append(App.create(providers={"stage": provider}))
        return Client(Server(apps[-1]))

    yield opened
    for app in apps:
        await app.close()


def chat(text: str = "hi", **more: object) -> bytes:
    messages = [{"role": "user", "content": text}]
    return msgspec.json.encode({"model": "auto", "max_tokens": 10, "messages": messages, **more})


def told(body: bytes) -> dict[str, Any]:
    """Return the error of a body in this dialect."""
    decoded = msgspec.json.decode(body)
    assert decoded["type"] == "error"
    assert decoded.keys() == {"type", "error", "request_id"}
    error: dict[str, Any] = decoded["error"]
    return error


@pytest.mark.proves("server.messages-errors")
@pytest.mark.parametrize(
    ("body", "status", "word", "param"),
    [
        (b"", 400, "invalid_request_error", None),
        (chat("  "), 400, "invalid_request_error", "messages"),
        (chat(tools=[{"type": "web_search_20250305", "name": "s"}]), 400,
         "invalid_request_error", "tools[0].type"),
        (chat(model="nope"), 404, "not_found_error", "model"),
        (chat("x" * 100_001), 413, "request_too_large", None),
    ],
    ids=["nothing", "blank", "vendor's tool", "name", "long"],
)  # fmt: skip
async def test_a_bad_request_is_told_in_the_dialect(
    open_client: Open, body: bytes, status: int, word: str, param: str | None
) -> None:
    provider = ScriptedProvider()
    answer = await open_client(provider).send("POST", "/v1/messages", body)
    assert answer.status == status
    error = told(answer.body)
    assert error["type"] == word
    assert param is None or error["details"]["param"] == param
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert msgspec.json.decode(answer.body)["request_id"] == answer.headers["request-id"]
    assert provider.requests == []


@pytest.mark.proves("server.messages-errors", "server.foreign-origin", "server.json-only")
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    ("method", "headers", "status", "word"),
    [
        ("POST", {**JSON_HEADERS, "origin": "https://evil.example"}, 403, "permission_error"),
        ("POST", {**JSON_HEADERS, "host": "evil.example"}, 403, "permission_error"),
        ("POST", {**JSON_HEADERS, "content-type": "text/plain"}, 400, "invalid_request_error"),
        ("GET", JSON_HEADERS, 405, "invalid_request_error"),
    ],
    ids=["origin", "host", "form", "method"],
)
async def test_what_is_refused_before_it_is_read_is_told_in_the_dialect(
    open_client: Open, path: str, method: str, headers: dict[str, str], status: int, word: str
) -> None:
    answer = await open_client(ScriptedProvider()).send(method, path, chat(), headers)
    assert answer.status == status
    assert told(answer.body)["type"] == word
    nowhere = await open_client(ScriptedProvider()).send("POST", "/v1/messages/batches", chat())
    assert (nowhere.status, told(nowhere.body)["type"]) == (404, "not_found_error")
    assert status != 405 or answer.headers["allow"] == "POST"


@pytest.mark.proves("server.messages-errors")
async def test_a_missing_model_of_the_list_is_not_found_in_the_askers_dialect(
    open_client: Open,
) -> None:
    answer = await open_client(ScriptedProvider()).send("GET", "/v1/models/x", b"", VERSIONED)
    assert (answer.status, told(answer.body)["type"]) == (404, "not_found_error")
    answer = await open_client(ScriptedProvider()).send("GET", "/v1/models/x")
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")


@pytest.mark.proves("server.messages-errors", "wire.broken-stream")
async def test_a_stream_that_breaks_ends_in_an_error_event(open_client: Open) -> None:
    lost = ProviderError("The line went dead.", kind=ProviderErrorKind.TRANSIENT)
    broken = ScriptedAnswer(answer=HELLO, error=lost, deltas_before_error=1)
    client = open_client(ScriptedProvider(answers=[broken]))
    answer = await client.send("POST", "/v1/messages", chat(stream=True))
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    *_, last = SSEParser().feed(answer.body)
    assert told(last)["message"].startswith("The line went dead.")
    assert b"message_stop" not in answer.body


@pytest.mark.proves("server.messages-errors")
async def test_a_failure_before_the_first_piece_has_its_status(open_client: Open) -> None:
    busy = ProviderError("Full.", kind=ProviderErrorKind.QUOTA_MINUTE, retry_after_s=3)
    client = open_client(ScriptedProvider(answers=[busy, busy]))
    answer = await client.send("POST", "/v1/messages", chat(stream=True))
    assert answer.status == 429
    assert told(answer.body)["type"] == "rate_limit_error"
    assert answer.headers["retry-after"] == "3"


@pytest.mark.proves("server.headers")
async def test_answers_say_what_was_done_and_a_query_changes_nothing(open_client: Open) -> None:
    client = open_client(ScriptedProvider(answers=[HELLO]))
    answer = await client.send("POST", "/v1/messages?beta=true", chat(), VERSIONED)
    assert answer.status == 200
    assert msgspec.json.decode(answer.body)["content"] == [{"type": "text", "text": "Hello there"}]
    assert answer.headers["x-ymera-model"] == "stage/actor"
    assert answer.headers["request-id"].startswith("req_")


@pytest.mark.proves("server.messages-models")
async def test_the_list_has_the_shape_of_who_asks(open_client: Open) -> None:
    client = open_client(ScriptedProvider())
    theirs = await client.send("GET", "/v1/models?limit=1000", b"", VERSIONED)
    decoded = msgspec.json.decode(theirs.body)
    assert (decoded["has_more"], decoded["first_id"]) == (False, "auto")
    (actor,) = [entry for entry in decoded["data"] if entry["id"] == "stage/actor"]
    assert actor["type"] == "model"
    assert actor["created_at"].endswith("T00:00:00Z")
    ours = await open_client(ScriptedProvider()).send("GET", "/v1/models")
    listed = msgspec.json.decode(ours.body)
    assert listed["object"] == "list"
    assert [each["id"] for each in listed["data"]] == [each["id"] for each in decoded["data"]]
    wrong = await open_client(ScriptedProvider()).send("GET", "/v1/models?limit=0", b"", VERSIONED)
    assert (wrong.status, told(wrong.body)["details"]["param"]) == (400, "limit")


@pytest.mark.proves("server.count-tokens")
async def test_tokens_are_counted_and_no_model_is_asked(open_client: Open) -> None:
    provider = ScriptedProvider()
    path = "/v1/messages/count_tokens?beta=true"
    body = msgspec.json.encode(
        {"model": "auto", "messages": [{"role": "user", "content": "a" * 360}]}
    )
    answer = await open_client(provider).send("POST", path, body)
    assert (answer.status, msgspec.json.decode(answer.body)) == (200, {"input_tokens": 106})
    assert provider.requests == []
    bad = await open_client(provider).send("POST", path, b'{"model":"auto"}')
    assert (bad.status, told(bad.body)["details"]["param"]) == (400, "messages")
    headers = {**JSON_HEADERS, "content-length": "200000000"}
    large = await open_client(provider).send("POST", path, b"", headers)
    assert (large.status, told(large.body)["type"]) == (413, "request_too_large")
