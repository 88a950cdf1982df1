"""`models test --live`: one tiny real request per model and key, and what it shows.

Nothing that costs money is asked unless the budget allows it, nothing whose quota is used up, and
no provider that is closed; every call counts against quotas like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from ymera.app.availability import provider_problem
from ymera.app.upstreams import Upstreams
from ymera.catalog.overlay import Answered
from ymera.catalog.query import OWN_HARDWARE
from ymera.core.access import LOCAL_OWNER
from ymera.core.chat import ChatRequest, Message, Role, Sampling, TextPart
from ymera.core.errors import NoRoute, ProviderError, ProviderErrorKind, YmeraError
from ymera.core.model import Model, ModelKind
from ymera.core.route import Candidate, RoutePlan, RoutePolicy
from ymera.core.task import TaskComplexity, TaskProfile, TaskType
from ymera.engine.attempts import Attempts
from ymera.engine.gate import CallGate
from ymera.engine.standing import Standing
from ymera.engine.trace import RequestTrace
from ymera.providers.hosts import provider_keys
from ymera.routing.filters import estimated_cost_usd

if TYPE_CHECKING:
    from ymera.app.app import App

__all__ = ["NO_KEY", "Outcome", "Trial", "live_tests", "planned_tests"]

NO_KEY = "no key"
"""Stands for the key of a provider that is called without one."""

_AT_ONCE = 4
_PROMPT = "Reply with the single word: ready"
_MAX_TOKENS = 32
_PROFILE = TaskProfile(
    type=TaskType.CHAT,
    complexity=TaskComplexity.SIMPLE,
    est_input_tokens=16,
    est_output_tokens=_MAX_TOKENS,
    output_bounded=True,
)
_GONE = frozenset({ProviderErrorKind.MODEL_GONE, ProviderErrorKind.CLIENT_LOCK})
_GONE_STATUS = frozenset({402, 404, 410})
_TELLING = _GONE | {
    ProviderErrorKind.AUTH,
    ProviderErrorKind.CAPABILITY,
    ProviderErrorKind.BAD_ANSWER,
}
"""Failures that say something of model and key; the others say something of the moment."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One request that a live test would make.

    Attributes:
        model: its id.
        key: name of the key, or `NO_KEY`.
        skipped: why it is not made; None when it is.
        cost_usd: what it may cost at most; 0 where it costs nothing.
    """

    model: str
    key: str = NO_KEY
    skipped: str | None = None
    cost_usd: Decimal = Decimal(0)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one trial went.

    Attributes:
        verdict: `answers`, `fails`, or `untested` where it says nothing of model and key.
        detail: one sentence.
        latency_s: seconds; None where nothing was asked.
        cost_usd: what it cost; None when not known.
    """

    model: str
    key: str
    verdict: str
    detail: str
    latency_s: float | None = None
    cost_usd: Decimal | None = None
    gone: bool = False


def planned_tests(app: App, names: Collection[str] = ()) -> tuple[Trial, ...]:
    """Return what would be asked.

    Args:
        app: the app.
        names: models; none means every model that would cost nothing, can be called, and was not
            tested yet, those that only a list names among them.

    Raises:
        UnknownModel: a name is unknown.
    """
    models = [_find(app, name) for name in names] if names else _worth_testing(app)
    return tuple(trial for model in models for trial in _trials(app, model))


async def live_tests(app: App, trials: Iterable[Trial]) -> tuple[Outcome, ...]:
    """Make the requests, keep what they show, and return it."""
    wanted = list(trials)
    async with _asking(app) as ask:
        outcomes = await asyncio.gather(*(ask(trial) for trial in wanted))
    at = app.catalog_files.now()
    kept: dict[str, dict[str, Answered]] = {}
    for each in outcomes:
        if each.verdict != "untested":
            kept.setdefault(each.model, {})[each.key] = Answered(
                ok=each.verdict == "answers", at=at, detail=each.detail, gone=each.gone
            )
    if kept:
        app.catalog_files.learn(kept)
    return tuple(outcomes)


def _find(app: App, name: str) -> Model:
    listed = app.catalog.upkeep.listed.get(name)
    return app.catalog.get(name) if listed is None else listed


def _worth_testing(app: App) -> list[Model]:
    catalog = app.catalog
    candidates = [
        *(model for model in catalog.models if model.free.may_auto_route),
        *(catalog.upkeep.listed[id] for id in sorted(catalog.upkeep.unproven)),
    ]
    return [
        model
        for model in candidates
        if model.kind is ModelKind.CHAT
        and catalog.provider_of(model).kind not in OWN_HARDWARE
        and model.id not in catalog.upkeep.answers
        and provider_problem(catalog.provider_of(model), app.settings, app.credentials) is None
    ]


def _trials(app: App, model: Model) -> list[Trial]:
    provider = app.catalog.provider_of(model)
    problem = provider_problem(provider, app.settings, app.credentials)
    if model.kind is not ModelKind.CHAT:
        return [Trial(model=model.id, skipped="Only chat models are tested.")]
    if problem is not None:
        return [Trial(model=model.id, skipped=problem[1])]
    cost, refusal = _cost(app, model)
    keys = [key.id for key in provider_keys(provider, app.credentials)] or [NO_KEY]
    return [Trial(model=model.id, key=key, skipped=refusal, cost_usd=cost) for key in keys]


def _cost(app: App, model: Model) -> tuple[Decimal, str | None]:
    """Return what one test may cost, and why it may not be made."""
    if _free(app, model):
        return Decimal(0), None
    budget = app.settings.budget.max_usd_per_request
    cost = estimated_cost_usd(model, _PROFILE)
    if budget <= 0:
        return cost or Decimal(0), f"No money may be spent. {model.free.reason}"
    if cost is None:
        return Decimal(0), "Its price is not known, so no budget can allow it."
    over = cost > budget
    why = f"It would cost about ${cost:.6f}, the budget is ${budget:g} a request."
    return cost, why if over else None


def _free(app: App, model: Model) -> bool:
    """Return whether a test costs nothing: by the guard, were it not for having never answered.

    What was benched passed the guard before, too, and only a test brings it back.
    """
    if model.free.may_auto_route or model.id in app.catalog.upkeep.unproven:
        return True
    return model.id in app.catalog.upkeep.benched and model.id in app.catalog.upkeep.free_but


@asynccontextmanager
async def _asking(app: App) -> AsyncIterator[_Tester]:
    upstreams = Upstreams(
        catalog=app.catalog,
        settings=app.settings,
        environ=app.credentials,
        models_dir=app.models_dir,
        given={},
    )
    try:
        yield _Tester(app, upstreams)
    finally:
        await upstreams.close()


class _Tester:
    """Asks one model with one key at a time.

    Args:
        app: the app.
        upstreams: the way there.
    """

    def __init__(self, app: App, upstreams: Upstreams) -> None:
        self._app = app
        self._upstreams = upstreams
        self._gate = CallGate(_AT_ONCE)

    async def __call__(self, trial: Trial) -> Outcome:
        """Return how it went; never raises for what the provider did."""
        if trial.skipped is not None:
            return _outcome(trial, "untested", trial.skipped)
        model = _find(self._app, trial.model)
        if _free(self._app, model):  # so that one that bills all the same closes its provider
            free = msgspec.structs.replace(model.free, may_auto_route=True)
            model = msgspec.structs.replace(model, free=free)
        standing = self._standing(trial.key)
        question = Message(role=Role.USER, content=(TextPart(_PROMPT),))
        request = ChatRequest(
            model=model.id, messages=(question,), sampling=Sampling(max_tokens=_MAX_TOKENS)
        )
        trace = RequestTrace(request=request, principal=LOCAL_OWNER, clock=standing.clock)
        trace.model = model
        attempts = Attempts(call=self._upstreams.call, gate=self._gate, standing=standing)
        try:
            commitment = await attempts.commit(request, _plan(model, trial), trace)
            for event in commitment.head:
                trace.passed(event)
        except YmeraError as error:
            return _failed(trial, error)
        return _answered(trial, trace, free=model.free.may_auto_route)

    def _standing(self, key: str) -> Standing:
        """Return the standing in force, for one key alone."""
        shared = self._app.standings.standing
        keys = () if key == NO_KEY else (key,)
        return Standing(
            clock=shared.clock,
            keys=lambda _provider: keys,
            health=shared.health,
            closures=shared.closures,
            quotas=shared.quotas,
            report=shared.report,
        )


def _plan(model: Model, trial: Trial) -> RoutePlan:
    key_id = None if trial.key == NO_KEY else trial.key
    candidate = Candidate(model=model, score=0.0, terms={}, reason="live test", key_id=key_id)
    policy = RoutePolicy(name=model.id, only_model=model.id)
    return RoutePlan(profile=_PROFILE, policy=policy, candidates=(candidate,), exclusions=())


def _answered(trial: Trial, trace: RequestTrace, *, free: bool) -> Outcome:
    cost = trace.cost_usd()
    took_s = trace.elapsed_s()
    if free and cost:
        detail = f"It is listed as free, but reported a cost of ${cost:f}."
        return _outcome(trial, "fails", detail, took_s, cost, gone=True)
    return _outcome(trial, "answers", f"It answered in {took_s:.1f} s.", took_s, cost)


def _failed(trial: Trial, error: YmeraError) -> Outcome:
    if isinstance(error, NoRoute) and error.failures:
        error = error.failures[-1]
    if not isinstance(error, ProviderError):
        return _outcome(trial, "untested", error.message)
    gone = error.kind in _GONE or error.status in _GONE_STATUS
    telling = gone or error.kind in _TELLING
    return _outcome(trial, "fails" if telling else "untested", error.message, gone=gone)


def _outcome(
    trial: Trial,
    verdict: str,
    detail: str,
    latency_s: float | None = None,
    cost_usd: Decimal | None = None,
    *,
    gone: bool = False,
) -> Outcome:
    return Outcome(
        model=trial.model,
        key=trial.key,
        verdict=verdict,
        detail=detail,
        latency_s=None if latency_s is None else round(latency_s, 3),
        cost_usd=cost_usd,
        gone=gone,
    )
