"""What Anthropic's clients ask for beside answers: tokens counted, and models listed."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ymera.app import App
from ymera.core.errors import UnknownModel
from ymera.routing.estimate import input_tokens
from ymera.server.http import ClientGone, read_body
from ymera.wire import anthropic
from ymera.wire.anthropic import ListedModel

__all__ = ["list_models", "messages_routes", "show_model"]


def messages_routes(app: App) -> list[Route]:
    """Return the route that counts a request's tokens."""

    async def count_tokens(request: Request) -> Response:
        # An estimate for every model alike: which one would answer is not known yet, and most
        # publish no tokenizer.
        limit = app.settings.server.max_body_bytes
        try:
            body = await read_body(request.scope, request.receive, limit)
        except ClientGone:
            return Response(status_code=499)
        counted = input_tokens(anthropic.decode_request(body))
        return _json(msgspec.json.encode({"input_tokens": counted}))

    return [Route("/v1/messages/count_tokens", count_tokens, methods=["POST"])]


def list_models(app: App, request: Request) -> Response:
    """Return a page of all names that a request may use.

    Raises:
        InvalidRequest: the page is asked for in a way that makes no sense.
    """
    models = [_listed(app, name) for name in app.model_names()]
    return _json(anthropic.encode_models(models, app.catalog_date, request.query_params))


def show_model(app: App, name: str) -> Response:
    """Return the list's entry of one name.

    Raises:
        UnknownModel: it is not listed.
    """
    if name not in app.model_names():
        raise UnknownModel(f"No model is called {name!r}.", hint="GET /v1/models lists all.")
    return _json(anthropic.encode_model(_listed(app, name), app.catalog_date))


def _listed(app: App, name: str) -> ListedModel:
    model = app.catalog.find(name)
    if model is None:
        return ListedModel(id=name, name=name)
    return ListedModel(
        id=name,
        name=model.name,
        context_window=model.context_window,
        max_output=model.max_output,
    )


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
