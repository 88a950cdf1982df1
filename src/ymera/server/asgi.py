"""The ASGI application: origin rules, the hot path, and Starlette for everything else."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from ymera.app import App
from ymera.core.errors import YmeraError
from ymera.server.chat_completions import ChatCompletions
from ymera.server.http import Message, Receive, Scope, Send, respond_error
from ymera.server.origin import OriginPolicy
from ymera.server.pages import pages

__all__ = ["Server"]

_log = logging.getLogger(__name__)
_Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class Server:
    """One ASGI app around one `App`; the App outlives it and is closed by its owner."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._hot: dict[tuple[str, str], _Handler] = {
            ("POST", "/v1/chat/completions"): ChatCompletions(
                lambda: app.gateway, lambda: app.settings.server.max_body_bytes
            ),
        }
        self._pages = pages(app)
        self._origins_for: object = None
        self._origins = OriginPolicy()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._origin_policy().check(scope["method"], scope["headers"])
            handler = self._hot.get((scope["method"], scope["path"]), self._pages)
            await handler(scope, receive, watched_send)
        except YmeraError as error:
            await respond_error(send, error)
        except Exception:
            _log.exception("request failed: %s %s", scope["method"], scope["path"])
            if started:
                raise
            await respond_error(send, YmeraError("Ymera met a bug; its log says where."))

    def _origin_policy(self) -> OriginPolicy:
        settings = self._app.settings.server
        if settings is not self._origins_for:  # the configuration was reloaded
            self._origins_for = settings
            self._origins = OriginPolicy(
                hosts=(settings.host, *settings.allowed_hosts), origins=settings.allowed_origins
            )
        return self._origins
