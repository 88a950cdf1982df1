"""The routes that are not hot: model list and probes, as a Starlette app."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ymera.app import App
from ymera.core.errors import InvalidRequest, UnknownModel
from ymera.server import messages
from ymera.server.metrics import metrics_routes
from ymera.server.ollama import ollama_routes
from ymera.server.runs import run_routes
from ymera.server.spoken import spoken_in
from ymera.wire import anthropic, openai_chat
from ymera.wire.codec import CallerDialect

__all__ = ["pages"]


class _Pages(Starlette):
    """Starlette without its own 500 page: what no handler takes goes up to who serves the pages."""

    def build_middleware_stack(self) -> ASGIApp:
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)


def pages(app: App, hot: Iterable[str]) -> ASGIApp:
    """Return the app that serves every route that is not hot.

    Args:
        app: what the pages tell about.
        hot: paths of which its caller serves `POST` itself; known here so that another method is
            told apart from an unknown path.
    """

    async def list_models(request: Request) -> Response:
        if _spoken(request) is anthropic.CALLER:
            return messages.list_models(app, request)
        return _json(
            openai_chat.encode_models(app.model_names(), created=int(app.catalog_date.timestamp()))
        )

    async def show_model(request: Request) -> Response:
        name = request.path_params["model"]
        if _spoken(request) is anthropic.CALLER:
            return messages.show_model(app, name)
        if name not in app.model_names():
            raise UnknownModel(f"No model is called {name!r}.", hint="GET /v1/models lists all.")
        return _json(openai_chat.encode_model(name, created=int(app.catalog_date.timestamp())))

    async def healthz(request: Request) -> Response:
        return _json(b'{"status":"ok"}')

    async def readyz(request: Request) -> Response:
        problem = app.not_ready_because()
        if problem is None:
            return _json(b'{"status":"ready"}')
        return _json(openai_chat.encode_error(problem), status=503)

    return _Pages(
        routes=[
            *(Route(path, _served_elsewhere, methods=["POST"]) for path in hot),
            Route("/v1/models", list_models),
            Route("/v1/models/{model:path}", show_model),
            *metrics_routes(app),
            *run_routes(app),
            *ollama_routes(app),
            *messages.messages_routes(app),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ],
        exception_handlers={HTTPException: _http_error},
    )


async def _served_elsewhere(request: Request) -> Response:
    raise AssertionError(f"{request.url.path} is hot")


def _spoken(request: Request) -> CallerDialect:
    return spoken_in(request.scope["path"], {name for name, _ in request.headers.raw})


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    """Return 404 and 405 (which carries `Allow`) in the caller's dialect."""
    if not isinstance(error, HTTPException):
        raise error
    problem = InvalidRequest(
        f"{request.method} {request.url.path}: {error.detail}.",
        hint="See /v1/models and /v1/chat/completions.",
    )
    problem.http_status = error.status_code  # some dialects say it in words, too
    told = _spoken(request).encode_error(problem)
    return _json(told, error.status_code, error.headers)
