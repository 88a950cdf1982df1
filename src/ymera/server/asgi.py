"""The ASGI application: origin rules, the hot path, and Starlette for everything else."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ymera.app import App
from ymera.core.errors import YmeraError
from ymera.server.chat_route import ChatRoute
from ymera.server.http import REQUEST_ID, Handler, Message, Receive, Scope, Send, respond_error
from ymera.server.messages import naming_the_request
from ymera.server.ollama import ollama_handlers
from ymera.server.origin import OriginPolicy
from ymera.server.pages import pages
from ymera.server.spoken import MESSAGES_PATHS, spoken_in
from ymera.wire import anthropic, openai_chat, openai_responses
from ymera.wire.codec import CallerDialect

__all__ = ["Server"]

_CHAT_ROUTES: Mapping[str, CallerDialect] = {
    "/v1/chat/completions": openai_chat.CALLER,
    "/v1/responses": openai_responses.CALLER,
    "/v1/messages": anthropic.CALLER,
}

_log = logging.getLogger(__name__)


class Server:
    """One ASGI app around one `App`; the App outlives it and is closed by its owner."""

    def __init__(self, app: App) -> None:
        self._app = app
        handlers: dict[str, Handler] = {
            path: ChatRoute(dialect, app.front_door, lambda: app.settings.server.max_body_bytes)
            for path, dialect in _CHAT_ROUTES.items()
        }
        handlers |= ollama_handlers(app)
        self._hot = {("POST", path): handler for path, handler in handlers.items()}
        self._pages = pages(app, self._hot)
        self._origins_for: object = None
        self._origins = OriginPolicy()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        chat = self._hot.get((scope["method"], scope["path"]))
        if scope["path"] in MESSAGES_PATHS:
            send = naming_the_request(send)
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._origin_policy().check(scope["method"], scope["headers"])
            await (chat or self._pages)(scope, receive, watched_send)
        except Exception as error:  # outermost handler: every failure is answered in the dialect
            told = _told(error, scope)
            if started:
                raise  # too late to answer: uvicorn cuts the connection
            await respond_error(send, told, spoken_in(scope).encode_error)

    def _origin_policy(self) -> OriginPolicy:
        settings = self._app.settings.server
        if settings is not self._origins_for:  # the configuration was reloaded
            self._origins_for = settings
            self._origins = OriginPolicy(
                hosts=(settings.host, *settings.allowed_hosts), origins=settings.allowed_origins
            )
        return self._origins


def _told(error: Exception, scope: Scope) -> YmeraError:
    """Return what the client is told of a failure; the details of a bug go to the log alone."""
    request_id: str | None = scope.get(REQUEST_ID)
    if not isinstance(error, YmeraError):
        where = (scope["method"], scope["path"], request_id or "-")
        _log.error("request failed: %s %s (%s)", *where, exc_info=error)
        error = YmeraError("Ymera met a bug; its log says where.")
    error.request_id = request_id or error.request_id
    return error
