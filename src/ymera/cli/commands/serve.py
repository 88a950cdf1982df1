"""`ymera serve`: the server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from ymera.cli.output import note

__all__ = ["command"]

_T = TypeVar("_T")


@click.command(name="serve", short_help="The server: OpenAI-compatible, on loopback.")
@click.option("--host", metavar="H", help="Address to listen on; default: server.host (loopback).")
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), help="0 picks a free port.")
def command(host: str | None, port: int | None) -> None:
    """Serve the OpenAI API: point any client at http://127.0.0.1:8080/v1."""
    from ymera.app import App
    from ymera.monitoring.logging import configure_logging
    from ymera.server.run import bind, serve

    flags = {"server.host": host, "server.port": port}
    app = App.create(flags={key: value for key, value in flags.items() if value is not None})
    listener = bind(app.settings.server.host, app.settings.server.port)

    configure_logging()

    def ready(url: str) -> None:
        note(f"Ymera listens on {url} (OpenAI base URL: {url}/v1). Ctrl-C stops it.")

    async def run() -> signal.Signals | None:
        async with app:
            return await serve(app, listener, on_ready=ready)

    if _fast_loop()(run()) is signal.SIGINT:
        raise KeyboardInterrupt


def _fast_loop() -> Callable[[Coroutine[Any, Any, _T]], _T]:
    """Return what runs the server: uvloop, where it exists (not on Windows)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run
