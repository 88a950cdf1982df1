"""The server's edge: statuses, headers, streams, and clients that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import pytest

from tests.support.asgi import JSON_HEADERS, Answer, Client
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    FinishReason,
    TextDelta,
)
from ymera.core.errors import MachineError, ProviderError, ProviderErrorKind
from ymera.engine.reply import Reply
from ymera.server.asgi import Server
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider

HELLO = ChatAnswer(text="Hello there", finish_reason=FinishReason.STOP)
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
    return msgspec.json.encode({"model": "auto", "messages": messages, **more})


async def post(client: Client, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    return await client.send("POST", "/v1/chat/completions", body, headers)


@pytest.mark.proves("server.bad-requests", "wire.invalid-request")
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b'{"model":"auto","messages":[{"role":"user","content":"\xff"}]}', 400, "UTF-8"),
        (b"[]", 400, ""),
        (chat("  "), 400, "empty"),
        (b'{"model":"auto","messages":[]}', 400, "messages"),
        (b'{"model":"auto"}', 400, "messages"),
        (b'{"model":7,"messages":[{"role":"user","content":"hi"}]}', 400, "model"),
        (b'{"model":"nope","messages":[{"role":"user","content":"hi"}]}', 404, "nope"),
        (chat("x" * 100_001), 413, "100,001"),
    ],
    ids=["nothing", "half", "utf8", "array", "blank", "no turns", "absent", "type", "name", "long"],
)
async def test_a_bad_request_gets_its_status_and_a_sentence(
    open_client: Open, body: bytes, status: int, words: str
) -> None:
    provider = ScriptedProvider()
    answer = await post(open_client(provider), body)
    assert answer.status == status
    assert words.lower() in answer.error["message"].lower()
    assert answer.headers["x-request-id"].startswith("req_")
    assert b"Traceback" not in answer.body
    assert provider.requests == []


@pytest.mark.proves("server.bad-requests", "engine.size-limit")
async def test_a_200_mb_body_is_refused_before_it_is_read(open_client: Open) -> None:
    headers = {**JSON_HEADERS, "content-length": "200000000"}
    answer = await post(open_client(ScriptedProvider()), b"", headers)
    assert answer.status == 413
    lied = {**JSON_HEADERS, "content-length": "10"}
    answer = await post(open_client(ScriptedProvider()), b"x" * 11_000_000, lied)
    assert answer.status == 413


@pytest.mark.proves("server.foreign-host", "server.foreign-origin", "server.json-only")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/healthz", "/nowhere"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**JSON_HEADERS, "host": "evil.example"}, 403),
        ({**JSON_HEADERS, "origin": "https://evil.example"}, 403),
        ({**JSON_HEADERS, "origin": "http://[abc"}, 403),
        ({**JSON_HEADERS, "content-type": "text/plain"}, 400),
    ],
    ids=["host", "origin", "no origin at all", "form"],
)
async def test_a_foreign_page_gets_nowhere(
    open_client: Open, path: str, headers: dict[str, str], status: int
) -> None:
    provider = ScriptedProvider()
    answer = await open_client(provider).send("POST", path, chat(), headers)
    assert answer.status == status
    assert provider.requests == []
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.proves("server.headers")
async def test_an_answer_names_model_cost_and_overhead(open_client: Open) -> None:
    answer = await post(open_client(ScriptedProvider(answers=[HELLO])), chat())
    decoded = msgspec.json.decode(answer.body)
    assert answer.status == 200
    assert decoded["choices"][0]["message"]["content"] == "Hello there"
    assert decoded["id"].removeprefix("chatcmpl-") == answer.headers["x-request-id"][4:]
    named = {k: v for k, v in answer.headers.items() if k.startswith("x-ymera")}
    assert named.pop("x-ymera-overhead-ms")
    assert named == {
        "x-ymera-model": "stage/actor",
        "x-ymera-provider": "stage",
        "x-ymera-attempts": "1",
        "x-ymera-cache": "miss",
        "x-ymera-cost-usd": "0",
    }


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-ymera-task-type", "poetry"),
        ("x-ymera-complexity", "very"),
        ("x-ymera-private", "maybe"),
        ("x-ymera-prefer", "gpt"),
    ],
)
async def test_a_hint_with_an_unknown_value_is_named(
    open_client: Open, header: str, value: str
) -> None:
    headers = {**JSON_HEADERS, header: value}
    answer = await post(open_client(ScriptedProvider()), chat(), headers)
    assert (answer.status, answer.error["param"]) == (400, header)


async def test_hints_reach_the_request(open_client: Open) -> None:
    provider = ScriptedProvider()
    headers = {
        **JSON_HEADERS,
        "x-ymera-task-type": "translation",
        "x-ymera-complexity": "complex",
        "x-ymera-private": "false",
        "x-ymera-no-store": "true",
        "x-ymera-prefer": "fast",
    }
    await post(open_client(provider), chat(), headers)
    (request,) = provider.requests
    hints = request.hints
    assert (hints.task_type, hints.complexity) == ("translation", "complex")
    assert (hints.private, hints.no_store, request.model) == (False, True, "fast")


async def test_each_streamed_piece_leaves_before_the_next_is_made(open_client: Open) -> None:
    left: list[int] = []

    async def look(_number: int) -> None:
        left.append(len(client.answer.pieces))

    client = open_client(ScriptedProvider(answers=[HELLO], delay=look))
    answer = await post(client, chat(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.pieces[-1].endswith(b"data: [DONE]\n\n")
    assert left == sorted(left)
    assert left[2] >= 2


@pytest.mark.proves("server.error-dialect")
async def test_a_stream_that_breaks_ends_in_an_error_event_and_never_cleanly(
    open_client: Open,
) -> None:
    lost = ProviderError("The line went dead.", kind=ProviderErrorKind.TRANSIENT)
    broken = ScriptedAnswer(answer=HELLO, error=lost, deltas_before_error=1)
    answer = await post(open_client(ScriptedProvider(answers=[broken])), chat(stream=True))
    assert answer.status == 200
    last = answer.pieces[-1]
    assert last.startswith(b"data: ")
    assert msgspec.json.decode(last[6:])["error"]["message"].startswith("The line went dead.")
    assert b"[DONE]" not in answer.body
    assert b'"finish_reason":"stop"' not in answer.body


@pytest.mark.proves("server.error-dialect")
@pytest.mark.parametrize(("begun", "status"), [(True, 200), (False, 500)])
async def test_any_error_of_ours_ends_a_stream_in_the_dialect(
    open_client: Open, monkeypatch: pytest.MonkeyPatch, begun: bool, status: int
) -> None:
    async def batches(_reply: Reply) -> AsyncIterator[Sequence[ChatEvent]]:
        if begun:
            yield (TextDelta("Hel"),)
        raise MachineError("The disk is full.")

    monkeypatch.setattr(Reply, "batches", batches)
    answer = await post(open_client(ScriptedProvider()), chat(stream=True))
    assert answer.status == status
    error = msgspec.json.decode(answer.pieces[-1].removeprefix(b"data: "))["error"]
    assert (error["message"], error["code"]) == ("The disk is full.", "machine_error")


@pytest.mark.proves("server.error-dialect")
@pytest.mark.parametrize(("wait_s", "header"), [(6.2, "7"), (0.0, "1"), (None, None)])
async def test_a_failure_that_knows_how_long_it_lasts_says_so(
    open_client: Open, wait_s: float | None, header: str | None
) -> None:
    used_up = ProviderErrorKind.QUOTA_MINUTE
    failed = ProviderError("Used up.", kind=used_up, retry_after_s=wait_s)
    answer = await post(open_client(ScriptedProvider(answers=[failed])), chat())
    assert (answer.status, answer.headers.get("retry-after")) == (failed.http_status, header)


@pytest.mark.proves("server.error-dialect")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_piece_is_a_status(
    open_client: Open, stream: bool
) -> None:
    failed = ProviderError("Busy.", kind=ProviderErrorKind.UPSTREAM_BUSY)
    answer = await post(open_client(ScriptedProvider(answers=[failed])), chat(stream=stream))
    assert (answer.status, answer.error["code"]) == (failed.http_status, "provider_error")


@pytest.mark.proves("server.disconnect")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_cancels_the_upstream_call(
    open_client: Open, stream: bool
) -> None:
    reached, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(number: int) -> None:
        if number == 1:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    client = open_client(ScriptedProvider(answers=[HELLO], delay=hang))
    request = asyncio.create_task(post(client, chat(stream=stream)))
    await asyncio.wait_for(reached.wait(), 10)
    client.leave.set()
    await asyncio.wait_for(request, 10)
    assert cancelled.is_set()


@pytest.mark.proves("server.error-dialect")
async def test_a_bug_is_a_500_without_a_traceback_whose_id_is_logged(
    open_client: Open, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_request: object, _model: object) -> str:
        raise ZeroDivisionError("secret detail")

    answer = await post(open_client(ScriptedProvider(answers=broken)), chat())
    assert answer.status == 500
    assert b"secret detail" not in answer.body
    assert answer.headers["x-request-id"].startswith("req_")
    (logged,) = [record for record in caplog.records if record.name == "ymera.server.site"]
    assert answer.headers["x-request-id"] in logged.getMessage()


@pytest.mark.proves("server.error-dialect")
async def test_a_bug_in_a_page_is_told_in_the_dialect_too(
    open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_app: App) -> tuple[str, ...]:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(App, "model_names", broken)
    answer = await open_client(ScriptedProvider()).send("GET", "/v1/models")
    assert (answer.status, answer.headers["content-type"]) == (500, "application/json")
    assert answer.error["code"] == "ymera_error"
    assert b"secret detail" not in answer.body


@pytest.mark.proves("server.probes")
async def test_probes_tell_alive_from_ready(
    open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = open_client(ScriptedProvider())
    assert (await ready.send("GET", "/healthz")).status == 200
    assert (await ready.send("HEAD", "/healthz")).status == 200
    assert (await open_client(ScriptedProvider()).send("GET", "/readyz")).status == 200
    monkeypatch.setenv("YMERA_PROVIDERS__STAGE__ENABLED", "false")
    bare = open_client(ScriptedProvider())
    assert (await bare.send("GET", "/healthz")).status == 200
    bare = open_client(ScriptedProvider())
    answer = await bare.send("GET", "/readyz")
    assert (answer.status, answer.error["code"]) == (503, "no_route")


@pytest.mark.proves("server.bad-requests")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/healthz", 405)],
)
async def test_an_unknown_route_answers_in_the_dialect(
    open_client: Open, method: str, path: str, status: int
) -> None:
    answer = await open_client(ScriptedProvider()).send(method, path)
    assert answer.status == status
    assert path in answer.error["message"]


@pytest.mark.proves("server.bad-requests")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_another_method_on_chat_is_told_which_one_to_use(
    open_client: Open, method: str
) -> None:
    answer = await open_client(ScriptedProvider()).send(method, "/v1/chat/completions")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.proves("server.foreign-origin", "server.json-only")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/healthz"])
@pytest.mark.parametrize(
    ("origin", "status"), [("https://evil.example", 403), ("http://localhost:8080", 405)]
)
async def test_a_preflight_is_granted_nothing(
    open_client: Open, path: str, origin: str, status: int
) -> None:
    asked = {
        "host": "localhost:8080",
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    answer = await open_client(ScriptedProvider()).send("OPTIONS", path, headers=asked)
    assert answer.status == status
    assert not [name for name in answer.headers if name.startswith("access-control")]
