"""Running the server: signals and live reload, in this process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable

import pytest

from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.server import run


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
