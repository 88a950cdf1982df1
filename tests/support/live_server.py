"""Our server on a real socket of loopback, in the test's own loop, over a scripted provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ymera.app import App
from ymera.core.ports import ChatProvider
from ymera.server.connections import listening
from ymera.server.run import bind
from ymera.server.site import AppSite

__all__ = ["live_server"]


@asynccontextmanager
async def live_server(providers: Mapping[str, ChatProvider]) -> AsyncIterator[str]:
    """Serve an app over these providers; give its URL, without a path.

    The environment says which of them exist: see `tests.support.server.SCRIPTED`.
    """
    listener = bind("127.0.0.1", 0)
    async with App.create(providers=providers) as app, listening(AppSite(app), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
