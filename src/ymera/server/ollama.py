"""Ollama's front door: its clients take Ymera for an Ollama server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ymera.app import App
from ymera.core.chat import ChatRequest
from ymera.core.errors import InvalidRequest, UnknownModel, Unsupported
from ymera.core.model import Model, ModelKind
from ymera.routing.policies import ALIASES
from ymera.server.chat_route import ChatRoute
from ymera.server.exchange import Exchange, Handler
from ymera.server.http import decoded_body
from ymera.wire import ollama
from ymera.wire.codec import CallerDialect
from ymera.wire.ollama.load import encode_loaded, load_request
from ymera.wire.ollama.models import (
    API_VERSION,
    ModelCard,
    encode_running,
    encode_shown,
    encode_tags,
)

__all__ = ["ollama_handlers", "ollama_routes", "without_tag"]

_LATEST = ":latest"
"""The tag that Ollama's clients append to a name without one."""

_NOT_OURS = (("pull", "POST"), ("push", "POST"), ("create", "POST"), ("copy", "POST"))


class _Named(msgspec.Struct):
    """Body of `POST /api/show`; older clients say `name`."""

    model: str | None = None
    name: str | None = None


def ollama_handlers(app: App) -> Mapping[str, Handler]:
    """Return what answers `POST` on each path that chats."""

    def known(request: ChatRequest) -> ChatRequest:
        name = without_tag(app, request.model)
        if name == request.model:
            return request
        return msgspec.structs.replace(request, model=name)

    def handler(dialect: CallerDialect, *, chat: bool) -> Handler:
        decode = dialect.decode_request
        forgiving = replace(dialect, decode_request=lambda body: known(decode(body)))
        return _answering_loads(app, ChatRoute(forgiving, app.front_door), chat=chat)

    return {
        "/api/chat": handler(ollama.CALLER, chat=True),
        "/api/generate": handler(ollama.GENERATE_CALLER, chat=False),
    }


def _answering_loads(app: App, route: Handler, *, chat: bool) -> Handler:
    """Return `route`, but requests without a question are answered at once.

    Clients load a model ahead with them. Here a model is loaded when it is first asked, and
    unloaded when it has not been for a while.
    """

    async def handle(exchange: Exchange) -> None:
        wanted = load_request(exchange.body)
        if wanted is None:
            await route(exchange)
            return
        if _card(app, without_tag(app, wanted.model)) is None:
            raise _unknown(wanted.model)
        exchange.respond(200, encode_loaded(wanted, datetime.now(UTC), chat=chat))

    return handle


def _unknown(name: str) -> UnknownModel:
    return UnknownModel(f"model '{name}' not found", hint="GET /api/tags lists all.", param="model")


def ollama_routes(app: App) -> list[Route]:
    """Return the routes that tell about models, and those that only Ollama itself can serve."""

    async def alive(request: Request) -> Response:
        return Response("Ymera is running", media_type="text/plain")

    async def tags(request: Request) -> Response:
        return _json(encode_tags(_cards(app), app.catalog_date))

    async def show(request: Request) -> Response:
        name = await _wanted(app, request)
        found = without_tag(app, name)
        card = _card(app, found)
        if card is None:
            raise _unknown(name)
        return _json(encode_shown(card, app.catalog_date))

    async def running(request: Request) -> Response:
        return _json(encode_running(_card_of(model.id, model) for model in app.running_models()))

    async def api_version(request: Request) -> Response:
        return _json(msgspec.json.encode({"version": API_VERSION}))

    async def not_ours(request: Request) -> Response:
        raise Unsupported(
            f"{request.url.path} is not served: Ymera manages no models over this API.",
            hint="`ymera models pull` fetches a model for this machine.",
        )

    return [
        Route("/", alive),  # Ollama's own client asks here first
        Route("/api/tags", tags),
        Route("/api/show", show, methods=["POST"]),
        Route("/api/ps", running),
        Route("/api/version", api_version),
        *(Route(f"/api/{name}", not_ours, methods=[method]) for name, method in _NOT_OURS),
        Route("/api/delete", not_ours, methods=["DELETE"]),
    ]


def without_tag(app: App, name: str) -> str:
    """Return the name that is known here: without `:latest` where nothing is called so."""
    if not name.endswith(_LATEST) or app.catalog.find(name) is not None:
        return name
    return name.removesuffix(_LATEST)


def _cards(app: App) -> Iterable[ModelCard]:
    embedding = (m.id for m in app.catalog.models if m.kind is ModelKind.EMBEDDING)
    for name in (*app.model_names(), *embedding):
        card = _card(app, name)
        if card is not None:
            yield card


def _card(app: App, name: str) -> ModelCard | None:
    """Return what is known of a name: an alias can do what any model behind it can."""
    model = app.catalog.find(name)
    if model is not None:
        return _card_of(name, _as_used(app, model))
    if name in ALIASES:
        return _card_of_alias(
            name, [each.model for each in app.snapshot().callable_shapes if _chats(each.model)]
        )
    return ModelCard(name=name) if name in app.model_names() else None


def _as_used(app: App, model: Model) -> Model:
    """Return the model with the context it has on this machine."""
    if model.weights is None:
        return model
    return next(each for each in app.snapshot().models if each.id == model.id)


def _chats(model: Model) -> bool:
    return model.kind is ModelKind.CHAT


def _card_of(name: str, model: Model) -> ModelCard:
    weights = model.weights
    return ModelCard(
        name=name,
        family=model.family,
        context_window=model.context_window,
        capabilities=_capabilities([model]) if _chats(model) else ("embedding",),
        size_bytes=weights.size_bytes if weights else 0,
        sha256=weights.sha256 if weights else None,
    )


def _card_of_alias(name: str, models: list[Model]) -> ModelCard:
    windows = [model.context_window for model in models if model.context_window is not None]
    return ModelCard(
        name=name,
        family="ymera",
        context_window=max(windows, default=None),
        capabilities=_capabilities(models),
    )


def _capabilities(models: Iterable[Model]) -> tuple[str, ...]:
    held = list(models)
    able = {
        "tools": any(model.tools for model in held),
        "vision": any(model.vision for model in held),
        "thinking": any(model.reasoning for model in held),
    }
    return ("completion", *(name for name, can in able.items() if can))


async def _wanted(app: App, request: Request) -> str:
    limit, hint = app.settings.server.max_body_bytes, "Name the model to show."
    named = await decoded_body(request.scope, request.receive, _Named, limit, hint=hint)
    name = named.model or named.name
    if not name:
        raise InvalidRequest("`model` is missing.", hint=hint, param="model")
    return name


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
