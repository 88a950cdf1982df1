"""What the process counts, ratings of its answers, and explanations: `/metrics`, `/api/...`."""

from __future__ import annotations

import asyncio
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ymera.app import App
from ymera.app.observing import rating_of
from ymera.core.errors import InvalidRequest, Unsupported
from ymera.engine.orchestrator import AIRequest
from ymera.routing.plan_json import plan_json
from ymera.server.http import decoded_body

if TYPE_CHECKING:
    from ymera.monitoring.prometheus import Exposition

__all__ = ["metrics_routes"]

_T = TypeVar("_T", bound=msgspec.Struct)


class _Feedback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/feedback`."""

    request_id: str
    rating: float | str
    comment: str | None = None


class _Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/route`; the fields of `AIRequest`."""

    prompt: str
    model: str | None = None
    task_type: str | None = None
    complexity: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    prefer_free: bool = True
    private: bool = False


def metrics_routes(app: App) -> list[Route]:
    """Return the routes that tell how `app` does and take in what people think of its answers."""

    @cache
    def exposition() -> Exposition:
        from ymera.monitoring.prometheus import Exposition  # loads the Prometheus client

        return Exposition(app.observing.metrics, version=version("ymera"))

    async def dashboard(request: Request) -> Response:
        _require_metrics(app)
        return _json(app.observing.metrics.get_dashboard_data())

    async def prometheus(request: Request) -> Response:
        _require_metrics(app)
        accept = request.headers.get("accept", "")
        body, content_type = await asyncio.to_thread(exposition().write, accept)
        return Response(body, headers={"content-type": content_type})

    async def feedback(request: Request) -> Response:
        given = await _body(app, request, _Feedback)
        rating = rating_of(given.rating)
        return _json(
            await asyncio.to_thread(app.observing.rate, given.request_id, rating, given.comment)
        )

    async def route(request: Request) -> Response:
        asked = await _body(app, request, _Question)
        if not asked.prompt.strip():
            raise InvalidRequest("The prompt is empty.", param="prompt")
        plan = app.orchestrator.route(AIRequest(**msgspec.structs.asdict(asked)))
        return _json(plan_json(plan))

    return [
        Route("/api/metrics", dashboard),
        Route("/metrics", prometheus),
        Route("/api/feedback", feedback, methods=["POST"]),
        Route("/api/route", route, methods=["POST"]),
    ]


def _require_metrics(app: App) -> None:
    """Refuse to show zeros that nobody counted.

    Raises:
        Unsupported: metrics are switched off.
    """
    if not app.settings.monitoring.enable_metrics:
        raise Unsupported(
            "Metrics are switched off here.", hint="Set monitoring.enable_metrics to true."
        )


async def _body(app: App, request: Request, kind: type[_T]) -> _T:
    """Return the decoded body.

    Raises:
        InvalidRequest: it is no JSON object of that shape.
        TooLong: it is over `server.max_body_bytes`.
    """
    fields = ", ".join(each.name for each in msgspec.structs.fields(kind))
    hint = f"Send one JSON object with the fields {fields}; not all are needed."
    limit = app.settings.server.max_body_bytes
    return await decoded_body(request.scope, request.receive, kind, limit, hint=hint)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
