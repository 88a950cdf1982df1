"""A stream on its way through: piece by piece, no faster than it is read, ended with its reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from tests.support.asgi import JSON_HEADERS
from ymera.app import App
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest
from ymera.server.asgi import Server
from ymera.server.http import Message, Scope
from ymera.testing import Simulator

BODY = msgspec.json.encode(
    {
        "model": "auto",
        "messages": [{"role": "user", "content": "Say something"}],
        "stream": True,
    }
)
SCOPE: Scope = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "raw_path": b"/v1/chat/completions",
    "query_string": b"",
    "root_path": "",
    "scheme": "http",
    "http_version": "1.1",
    "server": ("127.0.0.1", 8080),
    "client": ("127.0.0.1", 50000),
    "headers": [(name.encode(), value.encode()) for name, value in JSON_HEADERS.items()],
}


class Reader:
    """A client of our server that takes pieces when a test lets it."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.left = asyncio.Event()
        self._asked = False

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": BODY, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.may_read.wait()
        if message.get("body"):
            self.pieces.put_nowait(message["body"])

    async def next_with(self, word: bytes) -> None:
        """Wait for the piece that holds `word`."""
        while word not in await asyncio.wait_for(self.pieces.get(), 10):
            pass


def saying(text: str) -> ChatAnswer:
    return ChatAnswer(text=text, finish_reason=FinishReason.STOP)


@asynccontextmanager
async def app_over(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    async with simulator:
        for name, value in {
            "YMERA_LOCAL__ENABLED": "false",
            "YMERA_PROVIDERS__HOST__BASE_URL": simulator.base_url,
            "YMERA_PROVIDERS__HOST__MODELS": '["m"]',
            "YMERA_PROVIDERS__HOST__FREE": "true",
            "YMERA_PROVIDERS__HOST__KEYLESS": "true",
        }.items():
            monkeypatch.setenv(name, value)
        async with App.create() as app:
            yield Server(app)


@pytest.mark.proves("engine.unbuffered")
async def test_each_piece_leaves_before_the_next_one_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = [asyncio.Event() for _ in range(20)]

    async def gate(number: int) -> None:
        await turns[number].wait()

    words = [f"word{number}" for number in range(10)]
    answer = saying(" ".join(words))
    reader = Reader()
    async with app_over(Simulator(answer=lambda _: answer, pause=gate), monkeypatch) as server:
        serving = asyncio.create_task(server(SCOPE, reader.receive, reader.send))
        for number, word in enumerate(words):
            turns[number].set()  # the next one waits until we have seen this one
            await reader.next_with(word.encode())
        for turn in turns:
            turn.set()
        await asyncio.wait_for(serving, 10)
        await reader.next_with(b"[DONE]")


@pytest.mark.proves("engine.unbuffered")
async def test_a_reader_that_stops_stops_the_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    total, sent = 8000, 0

    async def count(number: int) -> None:
        nonlocal sent
        sent = number

    text = " ".join(["x" * 4000] * total)  # 32 MB, far more than any buffer on the way
    answer = saying(text)
    reader = Reader()
    async with app_over(Simulator(answer=lambda _: answer, pause=count), monkeypatch) as server:
        serving = asyncio.create_task(server(SCOPE, reader.receive, reader.send))
        await asyncio.wait_for(reader.pieces.get(), 10)
        reader.may_read.clear()
        seen, quiet = -1, 0
        while quiet < 2000:
            quiet = quiet + 1 if sent == seen else 0
            seen = sent
            await asyncio.sleep(0)
        assert 0 < sent < total * 0.75
        reader.may_read.set()
        reader.left.set()
        await asyncio.wait_for(serving, 10)


@pytest.mark.proves("engine.unbuffered")
async def test_a_reader_that_leaves_cancels_the_upstream_and_counts_as_one_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def gate(number: int) -> None:
        if number > 1:
            await asyncio.Event().wait()

    def answer(_request: ChatRequest) -> ChatAnswer:
        return saying("one two three four")

    reader, simulator = Reader(), Simulator(answer=answer, pause=gate)
    async with app_over(simulator, monkeypatch) as server:
        serving = asyncio.create_task(server(SCOPE, reader.receive, reader.send))
        await reader.next_with(b"two")
        reader.left.set()
        await asyncio.wait_for(simulator.hang_ups.wait(), 10)
        await asyncio.wait_for(serving, 10)
