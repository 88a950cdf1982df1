"""Vectors over HTTP: `POST /v1/embeddings` and Ollama's `POST /api/embed`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from ymera.app import App
from ymera.core.access import LOCAL_OWNER
from ymera.core.chat import ChatRequest
from ymera.core.embedding import EmbeddingRequest
from ymera.core.model import Dialect
from ymera.engine.embedding import Embedded, Embedder
from ymera.engine.trace import new_request_id
from ymera.server.chat_route import model_lines
from ymera.server.exchange import Exchange, Handler
from ymera.server.hints import with_header_hints
from ymera.server.ollama import without_tag
from ymera.wire.embedding import EmbeddingCaller, embedding_caller

__all__ = ["EmbeddingsRoute", "embedding_handlers"]

_PATHS = {"/v1/embeddings": Dialect.OPENAI_CHAT, "/api/embed": Dialect.OLLAMA}


def embedding_handlers(app: App) -> Mapping[str, Handler]:
    """Return what answers `POST` on each path that makes vectors."""

    def handler(dialect: Dialect) -> EmbeddingsRoute:
        caller = embedding_caller(dialect)
        if dialect is Dialect.OLLAMA:
            decode = caller.decode_request
            caller = replace(caller, decode_request=lambda body: _known(app, decode(body)))
        return EmbeddingsRoute(caller, lambda: app.embedder)

    return {path: handler(each) for path, each in _PATHS.items()}


def _known(app: App, request: EmbeddingRequest) -> EmbeddingRequest:
    return msgspec.structs.replace(request, model=without_tag(app, request.model))


class EmbeddingsRoute:
    """Answers requests for vectors in one dialect.

    Args:
        caller: what callers of this route speak.
        embedder: returns what takes the requests; asked each time, as settings may change.
    """

    def __init__(self, caller: EmbeddingCaller, embedder: Callable[[], Embedder]) -> None:
        self._caller = caller
        self._embedder = embedder

    async def __call__(self, exchange: Exchange) -> None:
        """Serve one request.

        Raises:
            YmeraError: no answer could be had; nothing has been sent.
        """
        exchange.request_id = request_id = new_request_id()
        request = _with_hints(self._caller.decode_request(exchange.body), exchange.fields)
        done = await self._embedder().embed(request, LOCAL_OWNER, request_id=request_id)
        model = done.trace.model
        name = model.id if model is not None else request.model
        body = self._caller.encode_answer(done.answer, request, name)
        exchange.respond(200, body, _header_lines(done))


def _with_hints(request: EmbeddingRequest, fields: Mapping[bytes, bytes]) -> EmbeddingRequest:
    """Return the request with what its headers say of privacy."""
    hints = with_header_hints(ChatRequest(model=request.model, messages=()), fields).hints
    return msgspec.structs.replace(request, private=hints.private, no_store=hints.no_store)


def _header_lines(done: Embedded) -> bytes:
    trace = done.trace
    lines = (
        f"x-request-id: {trace.id}\r\n"
        f"x-ymera-overhead-ms: {1000 * (trace.overhead_s or 0.0):.3f}\r\n"
        f"x-ymera-attempts: {len(trace.attempts)}\r\n"
    )
    if trace.model is not None:
        lines += model_lines(trace.model)
    if (cost := trace.cost_usd()) is not None:
        lines += f"x-ymera-cost-usd: {cost}\r\n"
    return lines.encode()
