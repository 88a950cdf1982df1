"""Multi-model runs over HTTP: `/api/runs`, with events as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ymera.app import App
from ymera.core.errors import InvalidRequest
from ymera.core.task import TaskComplexity
from ymera.phases.types import RunEvent, RunResult, Strategy
from ymera.server.http import decoded_body

if TYPE_CHECKING:
    from ymera.phases.service import RunService

__all__ = ["run_routes"]

_T = TypeVar("_T", bound=msgspec.Struct)

_KEEP_ALIVE_S = 15.0
_MOST_LISTED = 500


class _Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of a budget; what is left out stays as agent and configuration have it."""

    calls: int | None = None
    tokens: int | None = None
    usd: Decimal | None = None
    seconds: float | None = None


class _Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/runs`."""

    agent: str
    task: str
    parameters: dict[str, str | int | float | bool] = {}
    strategy: Strategy | None = None
    complexity: TaskComplexity | None = None
    private: bool = False
    budget: _Bounds = _Bounds()


class _Resume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/runs/{id}/resume`; may be left out."""

    from_phase: str | None = None
    budget: _Bounds = _Bounds()


def run_routes(app: App) -> list[Route]:
    """Return the routes under `/api/runs`."""

    async def begin(request: Request) -> Response:
        from ymera.app.running import bounds

        wanted = await _body(app, request, _Wanted)
        spec = app.running.plan(
            wanted.agent,
            wanted.task,
            wanted.parameters,
            strategy=wanted.strategy,
            complexity=wanted.complexity,
            private=wanted.private,
            budget=bounds(**msgspec.structs.asdict(wanted.budget)),
        )
        run_id = await app.runs.submit(spec)
        return _json({"id": run_id, "state": "pending"}, status=202, location=f"/api/runs/{run_id}")

    async def list_runs(request: Request) -> Response:
        found = await app.runs.list(_number(request.query_params.get("limit", "20"), "limit"))
        return _json({"data": [_summary(each) for each in found]})

    async def show(request: Request) -> Response:
        return _json(_whole(await app.runs.get(request.path_params["run_id"])))

    async def events(request: Request) -> Response:
        run_id = request.path_params["run_id"]
        last_seen = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        after = _number(last_seen, "Last-Event-ID", least=0)
        if after and after >= await app.runs.last_event(run_id) and await _rests(app.runs, run_id):
            return Response(status_code=204)  # tells an EventSource not to ask again
        await app.runs.last_event(run_id)  # an unknown run is an error, not an empty stream
        return StreamingResponse(
            _stream(app.runs, run_id, after),
            media_type="text/event-stream",
            headers={"cache-control": "no-store"},
        )

    return [
        Route("/api/runs", begin, methods=["POST"]),
        Route("/api/runs", list_runs),
        Route("/api/runs/{run_id}", show),
        Route("/api/runs/{run_id}/events", events),
        *_changing(app),
    ]


def _changing(app: App) -> list[Route]:
    """Return the routes that change a run there is."""

    async def resume(request: Request) -> Response:
        from ymera.app.running import bounds

        given = await _body(app, request, _Resume, may_be_empty=True)
        bounds(**msgspec.structs.asdict(given.budget))  # refuses what no budget can be
        run_id = await app.runs.resume(
            request.path_params["run_id"],
            given.from_phase,
            **msgspec.structs.asdict(given.budget),
        )
        return _json({"id": run_id, "state": "pending"}, status=202)

    async def cancel(request: Request) -> Response:
        return _json(_whole(await app.runs.cancel(request.path_params["run_id"])))

    async def remove(request: Request) -> Response:
        await app.runs.remove(request.path_params["run_id"])
        return Response(status_code=204)

    return [
        Route("/api/runs/{run_id}", remove, methods=["DELETE"]),
        Route("/api/runs/{run_id}/resume", resume, methods=["POST"]),
        Route("/api/runs/{run_id}/cancel", cancel, methods=["POST"]),
    ]


async def _rests(runs: RunService, run_id: str) -> bool:
    return (await runs.get(run_id)).state not in {"pending", "running"}


async def _stream(runs: RunService, run_id: str, after: int) -> AsyncGenerator[bytes, None]:
    """Yield events as they come, and a comment now and then so that nobody hangs up."""
    async with aclosing(runs.events(run_id, after)) as events:
        following = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=_KEEP_ALIVE_S)
                if not done:
                    yield b": still under way\n\n"
                    continue
                event = following.result()
                if event is None:
                    return
                yield _frame(event)
                following = asyncio.ensure_future(anext(events, None))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def _frame(event: RunEvent) -> bytes:
    data = msgspec.json.encode(event)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.kind.encode(), data)


def _summary(result: RunResult) -> dict[str, object]:
    return {
        "id": result.run_id,
        "agent": result.agent,
        "state": result.state,
        "strategy_type": result.strategy_type,
        "strategy_reason": result.strategy_reason,
        "private": result.private,
        "created_at": result.created_at,
        "cost_usd": result.cost,
        "spend": result.spend,
        "error_code": result.error_code,
        "error": result.error,
    }


def _whole(result: RunResult) -> dict[str, object]:
    return {
        **_summary(result),
        "successful_phases": result.successful_phases,
        "failed_phases": result.failed_phases,
        "models_used": result.models_used,
        "result": result.result,
        "phases": result.phases,
    }


def _number(text: str, what: str, *, least: int = 1) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:20]) < least:
        raise InvalidRequest(f"{what} is {text[:40]!r}; it must be a number from {least} on.")
    number = min(int(text[:20]), 10**9)  # more digits are slow to read, and never needed
    return number if what != "limit" else min(number, _MOST_LISTED)


async def _body(app: App, request: Request, kind: type[_T], *, may_be_empty: bool = False) -> _T:
    limit, hint = app.settings.server.max_body_bytes, "See docs/runs.md."
    return await decoded_body(
        request.scope, request.receive, kind, limit, hint=hint, may_be_empty=may_be_empty
    )


def _json(body: object, *, status: int = 200, location: str | None = None) -> Response:
    headers = None if location is None else {"location": location}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
