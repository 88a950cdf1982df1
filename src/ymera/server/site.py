"""What Ymera serves: hot handlers, pages for everything else, and errors in every dialect."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ymera.app import App
from ymera.core.errors import YmeraError
from ymera.engine.trace import new_request_id
from ymera.server.bridge import serve_page
from ymera.server.chat_route import ChatRoute
from ymera.server.embeddings import embedding_handlers
from ymera.server.exchange import Exchange, Handler, Header
from ymera.server.ollama import ollama_handlers
from ymera.server.origin import OriginPolicy
from ymera.server.pages import pages
from ymera.server.spoken import spoken_in
from ymera.wire import anthropic, openai_chat, openai_responses
from ymera.wire.codec import CallerDialect

if TYPE_CHECKING:
    from ymera.config.schema import ServerSettings

__all__ = ["AppSite"]

_CHAT_ROUTES: Mapping[str, CallerDialect] = {
    "/v1/chat/completions": openai_chat.CALLER,
    "/v1/responses": openai_responses.CALLER,
    "/v1/messages": anthropic.CALLER,
}

_log = logging.getLogger(__name__)


class AppSite:
    """The `Site` around one `App`; the App outlives it and is closed by its owner.

    Attributes:
        hot: see `Site`.
        pages: every other route, as an ASGI app.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self.hot: Mapping[str, Handler] = {
            **{path: ChatRoute(each, app.front_door) for path, each in _CHAT_ROUTES.items()},
            **ollama_handlers(app),
            **embedding_handlers(app),
        }
        self.pages = pages(app, self.hot)
        self._origins_for: ServerSettings | None = None
        self._origins = OriginPolicy()

    def max_body_bytes(self) -> int:
        """Return the size of the largest request body that is taken in."""
        return self._app.settings.server.max_body_bytes

    def check(self, method: str, headers: list[Header], fields: Mapping[bytes, bytes]) -> None:
        """Pass a request by its head.

        Raises:
            Forbidden, InvalidRequest: see `OriginPolicy`.
        """
        settings = self._app.settings.server
        if settings is not self._origins_for:  # the configuration was reloaded
            self._origins_for = settings
            self._origins = OriginPolicy(
                hosts=(settings.host, *settings.allowed_hosts), origins=settings.allowed_origins
            )
        self._origins.check_fields(method, headers, fields)

    async def serve(self, exchange: Exchange) -> None:
        """Answer what no hot handler does."""
        await serve_page(self.pages, exchange)

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """Answer with an error, in the dialect that is spoken on the path."""
        if exchange.request_id is None and exchange.path in self.hot:  # no handler has seen it
            exchange.request_id = new_request_id()
        told = _told(error, exchange)
        dialect = spoken_in(exchange.path, exchange.fields)
        lines = b""
        if told.request_id:
            lines = b"x-request-id: %b\r\n" % told.request_id.encode()
            if dialect is anthropic.CALLER:
                lines += b"request-id: %b\r\n" % told.request_id.encode()
        wait_s: float | None = getattr(told, "retry_after_s", None)
        if wait_s is not None:
            lines += b"retry-after: %d\r\n" % max(1, math.ceil(wait_s))
        exchange.respond(told.http_status, dialect.encode_error(told), lines)


def _told(error: Exception, exchange: Exchange) -> YmeraError:
    """Return what the client is told of a failure; the details of a bug go to the log alone."""
    if not isinstance(error, YmeraError):
        where = (exchange.method, exchange.path, exchange.request_id or "-")
        _log.error("request failed: %s %s (%s)", *where, exc_info=error)
        error = YmeraError("Ymera met a bug; its log says where.")
    error.request_id = exchange.request_id or error.request_id
    return error
