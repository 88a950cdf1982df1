"""The whole of Ymera behind its own server: chat, pages, rules of origin, errors in the dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router

from tests.support.raw_site import Caller, Door, RawSite, calling
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.server.bridge import serve_page
from ymera.server.exchange import Exchange
from ymera.server.site import AppSite
from ymera.testing.scripted import ScriptedProvider

HELLO = ChatAnswer(text="Hello there", finish_reason=FinishReason.STOP)


@pytest.fixture
async def caller(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Caller]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    provider = ScriptedProvider(answers=lambda _request, _model: HELLO)
    async with App.create(providers={"stage": provider}) as app, calling(AppSite(app)) as door:
        yield await door.call()


def request(method: str, path: str, body: object = None, *, host: str = "localhost") -> bytes:
    sent = b"" if body is None else msgspec.json.encode(body)
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n"
    if sent:
        head += f"content-type: application/json\r\ncontent-length: {len(sent)}\r\n"
    return head.encode() + b"\r\n" + sent


def chat(*, stream: bool) -> object:
    messages = [{"role": "user", "content": "hi"}]
    return {"model": "auto", "max_tokens": 10, "messages": messages, "stream": stream}


@pytest.mark.proves("server.headers", "server.http1")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
async def test_chats_plain_and_streamed_share_a_connection(caller: Caller, path: str) -> None:
    for stream in (False, True, False):
        await caller.send(request("POST", path, chat(stream=stream)))
        answer = await caller.answer()
        assert (answer.status, answer.complete) == (200, True)
        assert b"Hello" in answer.body
        assert answer.headers["x-ymera-model"] == "stage/actor"
        assert answer.headers["x-ymera-provider"] == "stage"
        assert answer.headers["x-request-id"].startswith("req_")
        if path == "/v1/messages":
            assert answer.headers["request-id"] == answer.headers["x-request-id"]
        assert stream == (answer.headers.get("transfer-encoding") == "chunked")


@pytest.mark.proves("server.http1-pages", "server.probes")
async def test_pages_are_served_on_the_same_connection(caller: Caller) -> None:
    for method, path, status in [
        ("GET", "/healthz", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/stage%2Factor?x=y", 200),
        ("GET", "/v1/models/nobody", 404),
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/metrics", 200),
        ("DELETE", "/api/runs/run_0", 404),
    ]:
        await caller.send(request(method, path))
        answer = await caller.answer()
        assert answer.status == status, path
        assert answer.headers["content-length"] == str(len(answer.body))
    await caller.send(request("HEAD", "/healthz"))
    assert (await caller.answer(bodiless=True)).status == 200
    await caller.send(request("POST", "/v1/messages/count_tokens", chat(stream=False)))
    assert msgspec.json.decode((await caller.answer()).body)["input_tokens"] > 0


@pytest.mark.proves("server.foreign-host", "server.foreign-origin", "server.json-only")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/messages"])
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("host: evil.example", 403),
        ("host: localhost\r\nhost: localhost", 403),
        ("accept: */*", 403),
        ("host: localhost\r\norigin: https://evil.example", 403),
        ("host: localhost\r\ncontent-type: text/plain", 400),
    ],
    ids=["host", "hosts", "no host", "origin", "form"],
)
async def test_rules_of_origin_hold_for_each_request_of_a_connection(
    caller: Caller, path: str, line: str, status: int
) -> None:
    await caller.send(request("POST", "/v1/chat/completions", chat(stream=False)))
    assert (await caller.answer()).status == 200
    await caller.send(f"POST {path} HTTP/1.1\r\n{line}\r\ncontent-length: 2\r\n\r\n".encode())
    answer = await caller.answer()
    assert answer.status == status
    error = msgspec.json.decode(answer.body)["error"]
    assert error["type"] in {"permission_error", "invalid_request_error"}
    assert (msgspec.json.decode(answer.body).get("type") == "error") == (path == "/v1/messages")
    assert await caller.closed() == b""


@pytest.mark.proves("server.bad-requests", "server.http1-abuse")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat", "/api/runs"])
async def test_a_body_over_the_limit_is_refused_in_the_dialect(caller: Caller, path: str) -> None:
    head = request("POST", path, chat(stream=False)).partition(b"content-length")[0]
    await caller.send(head + b"content-length: 200000000\r\n\r\n")
    answer = await caller.answer()
    assert answer.status == 413
    assert b"request body is over" in answer.body
    assert b"Traceback" not in answer.body


# --- any ASGI app ------------------------------------------------------------------------------


@pytest.fixture
async def bridged(site: RawSite, door: Door) -> Caller:
    """Return a caller of pages that do odd things."""
    endless = asyncio.Event()

    async def slowly(_request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            await endless.wait()
            yield b"one "
            yield b"two"

        return StreamingResponse(pieces(), media_type="text/plain")

    async def release(request: Request) -> Response:
        endless.set()
        return Response(request.url.query + (await request.body()).decode())

    async def empty(_request: Request) -> Response:
        return Response(status_code=204)

    async def smuggle(_request: Request) -> Response:
        return Response(headers={"location": "/x\r\nset-cookie: a=b"})

    async def breaks(_request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one "
            raise ZeroDivisionError

        return StreamingResponse(pieces())

    router = Router(
        [
            Route("/slowly", slowly),
            Route("/release", release, methods=["GET", "POST"]),
            Route("/empty", empty),
            Route("/smuggle", smuggle),
            Route("/breaks", breaks),
        ]
    )

    async def serve(exchange: Exchange) -> None:
        await serve_page(router, exchange)

    site.behave = serve
    return await door.call()


@pytest.mark.proves("server.http1-pages")
async def test_a_page_streams_and_its_head_does_not_wait_for_the_first_piece(
    bridged: Caller, door: Door
) -> None:
    await bridged.send(request("GET", "/slowly"))
    assert await bridged.line() == b"HTTP/1.1 200 OK\r\n"
    other = await door.call()
    await other.send(request("GET", "/release?a=b"))
    assert (await other.answer()).body == b"a=b"
    while (line := await bridged.line()) != b"\r\n":
        assert not line.startswith(b"content-length")
    assert [await bridged.line() for _ in range(5)] == [
        b"4\r\n",
        b"one \r\n",
        b"3\r\n",
        b"two\r\n",
        b"0\r\n",
    ]


@pytest.mark.proves("server.http1-pages")
async def test_a_page_takes_a_body_and_may_have_none(bridged: Caller) -> None:
    await bridged.send(request("POST", "/release", ["x"]))
    assert (await bridged.answer()).body == b'["x"]'
    await bridged.send(request("GET", "/empty"))
    answer = await bridged.answer()
    assert (answer.status, answer.body) == (204, b"")
    assert "transfer-encoding" not in answer.headers
    await bridged.send(request("GET", "/release"))
    assert (await bridged.answer()).status == 200


@pytest.mark.proves("server.http1-pages", "server.http1-broken-stream")
async def test_a_page_that_breaks_or_smuggles_is_no_answer(bridged: Caller, door: Door) -> None:
    await bridged.send(request("GET", "/smuggle"))
    answer = await bridged.answer()
    assert answer.status == 500
    assert "set-cookie" not in answer.headers
    await bridged.send(request("GET", "/breaks"))
    assert not (await bridged.answer()).complete
    assert await bridged.closed() == b""


@pytest.mark.proves("server.http1-pages", "server.disconnect")
async def test_a_page_is_cancelled_when_its_caller_leaves(bridged: Caller, door: Door) -> None:
    await bridged.send(request("GET", "/slowly"))
    assert await bridged.line() == b"HTTP/1.1 200 OK\r\n"
    bridged.leave()
    async with asyncio.timeout(10):
        while len(door.connections):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)
