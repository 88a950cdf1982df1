"""models: the catalogue holds, the embedded models answer, the router's choice is callable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import TYPE_CHECKING

from ymera.catalog.check import Level, count
from ymera.catalog.check import check as check_catalog
from ymera.catalog.load import load as load_catalog
from ymera.core.model import Model, ModelKind, ProviderKind
from ymera.core.task import TaskType
from ymera.engine.orchestrator import AIRequest
from ymera.providers.pull import is_intact
from ymera.validation.embedded import pulled, require_embedded
from ymera.validation.report import Check, Unmet, check

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.validation.installation import Installation

__all__ = ["examine"]

_DOCUMENT_MODELS = 38
"""The document's checklist: "All 38+ models callable"."""
_ANSWER_TOKENS = 24
_PLACEHOLDER = "placeholder"
_HOSTS = frozenset({ProviderKind.HOSTED, ProviderKind.AGGREGATOR})


async def examine(installation: Installation) -> AsyncGenerator[Check, None]:
    """Make the checks."""
    yield await check("catalogue", _catalogue())
    async with installation.app() as app:
        yield await check("every model has a path or a reason", _reasons(app))
        yield await check("callable with keys", _with_keys(installation))
        yield await check("embedded model", _pulled(app))
        for model in pulled(app):
            yield await check(f"{model.id} answers", _answers(app, model))
        yield await check("model selection", _selection(app))


async def _catalogue() -> str:
    catalog = load_catalog()
    errors = [each for each in check_catalog(catalog) if each.level is Level.ERROR]
    if errors:
        raise Unmet(
            f"{errors[0].subject}: {errors[0].message}",
            hint="`ymera catalog check` lists all; reinstall ymera.",
        )
    counts = count(catalog)
    if counts.distinct_free_chat < _DOCUMENT_MODELS:
        raise Unmet(
            f"{counts.distinct_free_chat} different free chat models, {_DOCUMENT_MODELS} at least "
            "are promised.",
            hint="Reinstall ymera.",
        )
    return (
        f"{counts.pairs} models of {counts.providers} hosts, {counts.distinct_free_chat} different "
        "free chat models"
    )


async def _reasons(app: App) -> str:
    """Every chat model can be called now, or it is said what stands in the way."""
    unavailable = app.snapshot().availability
    chat = [model for model in app.catalog.models if model.kind is ModelKind.CHAT]
    mute = [each.id for each in chat if each.id in unavailable and not unavailable[each.id][1]]
    if mute:
        raise Unmet(f"Nothing says why these cannot be called: {', '.join(mute)}.")
    ready = sum(each.id not in unavailable for each in chat)
    return f"{ready} callable with no host and no key, {len(chat) - ready} with a reason why not"


async def _with_keys(installation: Installation) -> str:
    """How many models would be candidates if the user had every key; no host is called."""
    rows = [row for row in load_catalog().providers.values() if row.kind in _HOSTS]
    names = [name for row in rows for name in (*row.key_env[:1], *row.extra_env)]
    flags = {"keyless_consent": tuple(row.id for row in rows if row.keyless)}
    own = {
        f"providers.{name}.enabled": True
        for name in installation.loaded.settings.providers
        if any(row.id == name for row in rows)
    }
    async with installation.app(
        keys=dict.fromkeys(names, _PLACEHOLDER), flags={**flags, **own}
    ) as app:
        unavailable = app.snapshot().availability
        ready = {
            model.id
            for model in app.catalog.models
            if model.kind is ModelKind.CHAT
            and model.free.may_auto_route
            and model.id not in unavailable
        }
    if len(ready) < _DOCUMENT_MODELS:
        raise Unmet(
            f"Only {len(ready)} free chat entries would be candidates with every key set.",
            hint="`ymera models list --all` says what stands in the way of each.",
        )
    return f"{len(ready)} free chat entries would be candidates with every host's key set"


async def _pulled(app: App) -> str:
    """At least one embedded model is on this machine, and can be run."""
    models = require_embedded(app)
    return f"{', '.join(model.id for model in models)} in {app.models_dir}"


async def _answers(app: App, model: Model) -> str:
    """The very model answers, at no cost, from the bytes that the catalogue names."""
    weights = model.weights
    if weights is not None and not await asyncio.to_thread(is_intact, weights, app.models_dir):
        raise Unmet(
            f"The file {weights.filename} of {model.id} is damaged.",
            hint=f"Run: ymera models pull {model.upstream_id}",
        )
    answer = await app.orchestrator.ask(
        AIRequest(prompt="Say hello", model=model.id, max_tokens=_ANSWER_TOKENS, fresh=True)
    )
    if not answer.response.strip():
        raise Unmet(
            f"{model.id} answered with nothing.", hint=f"ymera models test {model.id} --live"
        )
    if answer.model != model.id or answer.cost != Decimal(0):
        raise Unmet(f"{answer.model} answered at cost {answer.cost}, not {model.id} at 0.")
    return f"in {answer.latency_s:.1f} s, cost 0"


async def _selection(app: App) -> str:
    """The router chooses by the task, names why, and what it chooses answers at cost 0."""
    request = AIRequest(
        prompt="Write a Python function that reverses a string",
        model="auto",
        max_tokens=_ANSWER_TOKENS,
        fresh=True,
    )
    plan = app.orchestrator.route(request)
    if plan.profile.type is not TaskType.CODE_GENERATION:
        raise Unmet(f"A request for code was taken for {plan.profile.type}.")
    if not plan.candidates:
        raise Unmet("Nothing can be asked now.", hint="Run: ymera models pull")
    answer = await app.orchestrator.ask(request)
    first = plan.candidates[0]
    if answer.model != first.model.id or answer.cost != Decimal(0):
        raise Unmet(f"{first.model.id} was chosen, {answer.model} answered; cost {answer.cost}.")
    return f"code_generation goes to {first.model.id} ({first.reason})"
