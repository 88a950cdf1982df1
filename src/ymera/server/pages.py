"""The routes that are not hot: model list and probes, as a Starlette app."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ymera.app import App
from ymera.core.errors import InvalidRequest, UnknownModel, YmeraError
from ymera.wire import openai_chat

__all__ = ["pages"]


def pages(app: App) -> Starlette:
    """Return the app that serves every route but the hot ones."""

    async def list_models(request: Request) -> Response:
        return _json(
            openai_chat.encode_models(app.model_names(), created=int(app.catalog_date.timestamp()))
        )

    async def show_model(request: Request) -> Response:
        name = request.path_params["model"]
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

    return Starlette(
        routes=[
            Route("/v1/models", list_models),
            Route("/v1/models/{model:path}", show_model),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ],
        exception_handlers={HTTPException: _http_error, YmeraError: _own_error},
    )


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status_code=status, media_type="application/json")


async def _own_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, YmeraError):
        raise error
    return _json(openai_chat.encode_error(error), status=error.http_status)


async def _http_error(request: Request, error: Exception) -> Response:
    """Return 404 and 405 in the caller's dialect."""
    if not isinstance(error, HTTPException):
        raise error
    problem = InvalidRequest(
        f"{request.method} {request.url.path}: {error.detail}.",
        hint="See /v1/models and /v1/chat/completions.",
    )
    return _json(openai_chat.encode_error(problem), status=error.status_code)
