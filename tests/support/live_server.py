"""Our server on a real socket of loopback, in the test's own loop, over a scripted provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from ymera.app import App
from ymera.core.ports import ChatProvider
from ymera.server.asgi import Server
from ymera.server.run import bind

__all__ = ["live_server"]


@asynccontextmanager
async def live_server(providers: Mapping[str, ChatProvider]) -> AsyncIterator[str]:
    """Serve an app over these providers; give its URL, without a path.

    The environment says which of them exist: see `tests.support.server.SCRIPTED`.
    """
    listener = bind("127.0.0.1", 0)
    app = App.create(providers=providers)
    config = uvicorn.Config(Server(app), lifespan="off", log_config=None, ws="none")
    server = _WithoutSignals(config)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield url  # it listens already: whoever connects early waits
    finally:
        server.should_exit = True
        await task
        await app.close()


class _WithoutSignals(uvicorn.Server):
    """Leaves the signals of the test's process alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
