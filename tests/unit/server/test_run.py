"""Running the server: signals and live reload, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.server import run
from ymera.testing.scripted import ScriptedProvider


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    async with App.create() as app:
        yield app


async def serve(
    app: App, on_ready: Callable[[str], None] = lambda url: None
) -> signal.Signals | None:
    return await asyncio.wait_for(run.serve(app, run.bind("127.0.0.1", 0), on_ready=on_ready), 30)


def terminate(_url: str = "") -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.proves("config.live-reload")
async def test_a_reload_that_breaks_is_logged_once_and_tried_again(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    def reload() -> bool:
        nonlocal tries
        tries += 1
        if tries > 3:
            terminate()
            return True
        raise PermissionError(13, "Permission denied", "ymera.toml")

    monkeypatch.setattr(run, "_RELOAD_PERIOD_S", 0.0)
    monkeypatch.setattr(app, "reload", reload)
    caplog.set_level("INFO", run.__name__)
    await serve(app)
    told = [record.message for record in caplog.records if record.name == run.__name__]
    assert told[:2] == ["settings not reloaded", "settings reloaded"]
    assert tries > 3


@pytest.mark.proves("server.stops")
@pytest.mark.parametrize("handlers", [True, False], ids=["unix", "windows"])
async def test_a_signal_stops_it_and_leaves_no_handler_behind(
    app: App, monkeypatch: pytest.MonkeyPatch, handlers: bool
) -> None:
    def missing(*_args: object) -> None:
        raise NotImplementedError

    if not handlers:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", missing)
    before = signal.getsignal(signal.SIGTERM)
    assert await serve(app, on_ready=terminate) is signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


class Held:
    """A running server whose only model answers when `gate` opens."""

    def __init__(self) -> None:
        self.gate, self.reached = asyncio.Event(), asyncio.Event()
        self.cancelled = False

    async def wait(self, _number: int) -> None:
        self.reached.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def ask(self, url: str) -> bytes:
        """Send one request and return all that comes back until the server closes."""
        messages = [{"role": "user", "content": "hi"}]
        body = msgspec.json.encode({"model": "auto", "messages": messages})
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        try:
            return await reader.read()
        finally:
            writer.close()


async def refused(url: str) -> None:
    """Wait until nobody can connect any more."""
    async with asyncio.timeout(30):
        with contextlib.suppress(OSError):
            while True:
                _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
                writer.close()


@pytest.mark.proves("server.stops")
@pytest.mark.parametrize("signals", [1, 2])
async def test_it_waits_for_the_answer_under_way_unless_it_is_told_twice(
    monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    held, url = Held(), asyncio.get_running_loop().create_future()
    async with App.create(providers={"stage": ScriptedProvider(delay=held.wait)}) as app:
        serving = asyncio.ensure_future(serve(app, url.set_result))
        asking = asyncio.ensure_future(held.ask(await asyncio.wait_for(url, 30)))
        await asyncio.wait_for(held.reached.wait(), 30)
        terminate()
        await refused(url.result())
        assert not serving.done()
        if signals == 1:
            held.gate.set()
        else:
            os.kill(os.getpid(), signal.SIGINT)
        assert await asyncio.wait_for(serving, 30) is signal.SIGTERM
        answer = await asyncio.wait_for(asking, 30)
    assert held.cancelled == (signals == 2)
    assert answer.startswith(b"HTTP/1.1 200 OK") == (signals == 1)
    assert signals == 2 or b"connection: close\r\n" in answer
