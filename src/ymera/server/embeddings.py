"""Vectors over HTTP: `POST /v1/embeddings` and Ollama's `POST /api/embed`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec
from starlette.routing import Route

from ymera.app import App
from ymera.core.access import LOCAL_OWNER
from ymera.core.chat import ChatRequest
from ymera.core.embedding import EmbeddingRequest
from ymera.core.model import Dialect
from ymera.engine.embedding import Embedded, Embedder
from ymera.engine.trace import new_request_id
from ymera.server.chat_route import cancel_when_gone
from ymera.server.hints import with_header_hints
from ymera.server.http import (
    REQUEST_ID,
    ClientGone,
    Header,
    Receive,
    Scope,
    Send,
    read_body,
    respond,
)
from ymera.server.ollama import without_tag
from ymera.wire.embedding import EmbeddingCaller, embedding_caller

__all__ = ["EmbeddingsRoute", "embedding_routes"]

_PATHS = {"/v1/embeddings": Dialect.OPENAI_CHAT, "/api/embed": Dialect.OLLAMA}


def embedding_routes(app: App) -> list[Route]:
    """Return the routes that make vectors."""

    def handler(dialect: Dialect) -> EmbeddingsRoute:
        caller = embedding_caller(dialect)
        if dialect is Dialect.OLLAMA:
            decode = caller.decode_request
            caller = replace(caller, decode_request=lambda body: _known(app, decode(body)))
        limit = lambda: app.settings.server.max_body_bytes  # noqa: E731
        return EmbeddingsRoute(caller, lambda: app.embedder, limit)

    return [Route(path, handler(each), methods=["POST"]) for path, each in _PATHS.items()]


def _known(app: App, request: EmbeddingRequest) -> EmbeddingRequest:
    return msgspec.structs.replace(request, model=without_tag(app, request.model))


class EmbeddingsRoute:
    """Answers requests for vectors in one dialect.

    Args:
        caller: what callers of this route speak.
        embedder: returns what takes the requests; asked each time, as settings may change.
        max_body_bytes: returns the largest request body accepted.
    """

    def __init__(
        self,
        caller: EmbeddingCaller,
        embedder: Callable[[], Embedder],
        max_body_bytes: Callable[[], int],
    ) -> None:
        self._caller = caller
        self._embedder = embedder
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a client that goes away cancels the upstream call.

        Raises:
            YmeraError: no answer could be had; nothing has been sent.
        """
        scope[REQUEST_ID] = request_id = new_request_id()
        try:
            body = await read_body(scope, receive, self._max_body_bytes())
        except ClientGone:
            return
        request = _with_hints(self._caller.decode_request(body), scope["headers"])
        watcher = asyncio.ensure_future(cancel_when_gone(receive, asyncio.current_task()))
        try:
            await self._answer(request, request_id, send)
        except asyncio.CancelledError:
            if not watcher.done():
                raise  # not the client: the server stops
        finally:
            watcher.cancel()

    async def _answer(self, request: EmbeddingRequest, request_id: str, send: Send) -> None:
        done = await self._embedder().embed(request, LOCAL_OWNER, request_id=request_id)
        model = done.trace.model
        name = model.id if model is not None else request.model
        await respond(
            send, 200, self._caller.encode_answer(done.answer, request, name), _headers(done)
        )


def _with_hints(request: EmbeddingRequest, headers: list[Header]) -> EmbeddingRequest:
    """Return the request with what its headers say of privacy."""
    hints = with_header_hints(ChatRequest(model=request.model, messages=()), headers).hints
    return msgspec.structs.replace(request, private=hints.private, no_store=hints.no_store)


def _headers(done: Embedded) -> list[Header]:
    trace = done.trace
    headers = [
        (b"x-request-id", trace.id.encode()),
        (b"x-ymera-overhead-ms", b"%.3f" % (1000 * (trace.overhead_s or 0.0))),
        (b"x-ymera-attempts", b"%d" % len(trace.attempts)),
    ]
    if trace.model is not None:
        headers.append((b"x-ymera-model", trace.model.id.encode()))
        headers.append((b"x-ymera-provider", trace.model.provider.encode()))
    if (cost := trace.cost_usd()) is not None:
        headers.append((b"x-ymera-cost-usd", str(cost).encode()))
    return headers
