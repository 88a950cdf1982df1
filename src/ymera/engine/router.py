"""From a request to a route plan: names to policies, then the pure decision over a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.core.chat import ChatRequest
from ymera.core.errors import NoRoute, TooLong, UnknownModel, Unsupported, YmeraError
from ymera.core.route import ExclusionReason, RoutePlan, RoutePolicy
from ymera.core.task import TaskComplexity, TaskProfile, TaskType
from ymera.engine.standing import Standing
from ymera.routing.classify import TaskClassifier
from ymera.routing.plan import Snapshot, explain_no_route, plan
from ymera.routing.policies import ALIASES, policy_for
from ymera.routing.profile import profile

__all__ = ["Router", "Routes", "nothing_to_ask"]

_TOO_LONG = frozenset(
    {ExclusionReason.CONTEXT, ExclusionReason.LIMIT_MINUTE, ExclusionReason.LIMIT_DAY}
)
_MISSING = {
    ExclusionReason.NO_VISION: "messages",
    ExclusionReason.NO_TOOLS: "tools",
    ExclusionReason.NO_JSON_SCHEMA: "response_format",
}
"""What no callable model can do, and the request's field that asks for it."""

_MOST_POLICIES = 256


class Routes(Protocol):
    """What the gateway asks: `Router`, or a test's own."""

    def __call__(
        self, request: ChatRequest, *, explain: bool, stays_with: str | None = None
    ) -> RoutePlan:
        """Return the plan."""


def _no_experience(_agent: str | None, _task_type: TaskType) -> Mapping[str, float]:
    return {}


def nothing_to_ask(plan: RoutePlan, explained: Callable[[], RoutePlan]) -> YmeraError:
    """Return the error for a plan without candidates.

    Waiting helps neither a request that is too long for every callable model nor one that asks
    for what none of them can do: those are the request's errors, not ours.

    Args:
        plan: over the callable models.
        explained: makes the plan over all models.
    """
    message, hint = explain_no_route(plan)
    reasons = {exclusion.reason for exclusion in plan.exclusions} - {ExclusionReason.NOT_ASKED}
    if reasons and reasons <= _TOO_LONG:
        return TooLong(message, hint=hint, param="messages")
    if len(reasons) == 1 and (param := _MISSING.get(*reasons)):
        return Unsupported(message, hint=hint, param=param)
    full = explained()
    message, hint = explain_no_route(full)
    return NoRoute(message, exclusions=full.exclusions, hint=hint)


class Router:
    """Decides which models to ask, and in what order.

    Args:
        catalog: every known model.
        snapshot: returns what can be called now.
        classifier: infers task type and complexity where the caller did not say.
        default_complexity: used when neither caller nor classifier knows.
        prefer_free: configuration's preference; a request may prefer free but not the reverse.
        max_cost_usd: most that one request may cost; 0 = nothing.
        max_retries: further candidates after the first.
        experience: returns, for an agent (None: none) and a task type, what speaks for or against
            models, -0.5..0.5 by model id; models without history are absent.
        standing: says who can be asked at this moment; None lets everyone in.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        snapshot: Callable[[], Snapshot],
        classifier: TaskClassifier,
        default_complexity: TaskComplexity,
        prefer_free: bool,
        max_cost_usd: Decimal,
        max_retries: int,
        experience: Callable[[str | None, TaskType], Mapping[str, float]] = _no_experience,
        standing: Standing | None = None,
    ) -> None:
        self._catalog = catalog
        self._snapshot = snapshot
        self._classifier = classifier
        self._default_complexity = default_complexity
        self._prefer_free = prefer_free
        self._max_cost_usd = max_cost_usd
        self._max_retries = max_retries
        self._experience = experience
        self._standing = standing
        self._policies: dict[tuple[str, bool, Decimal | None], RoutePolicy] = {}

    def __call__(
        self, request: ChatRequest, *, explain: bool, stays_with: str | None = None
    ) -> RoutePlan:
        """Return the plan; no candidates is a valid plan.

        Args:
            request: what to route.
            explain: whether to say of every model why it is left out (see `routing.plan`).
            stays_with: id of the model that answered this conversation's last turn.

        Raises:
            UnknownModel: the request names no model, alias or agent of ours.
        """
        policy = self._policy(request)
        if request.hints.avoid_models:
            policy = msgspec.structs.replace(policy, avoid=request.hints.avoid_models)
        task = profile(request, self._classifier, self._default_complexity)
        return self.decide(
            task, policy, explain=explain, stays_with=stays_with, agent=request.hints.agent
        )

    def decide(
        self,
        task: TaskProfile,
        policy: RoutePolicy,
        *,
        explain: bool,
        stays_with: str | None = None,
        agent: str | None = None,
    ) -> RoutePlan:
        """Return the plan for a task whose profile and policy are known.

        Args:
            task: the task.
            policy: the setting of the decision.
            explain: as in `__call__`.
            stays_with: as in `__call__`.
            agent: whose experience counts; None: nobody's in particular.
        """
        standing = self._standing
        return plan(
            task,
            self._snapshot(),
            policy,
            explain=explain,
            advantages=self._experience(agent, task.type),
            stays_with=stays_with,
            admit=None if standing is None else standing.admission(),
            prices=None if standing is None else standing.prices(task),
        )

    def _policy(self, request: ChatRequest) -> RoutePolicy:
        prefer_free = self._prefer_free and request.hints.prefer_free
        own_bound = request.hints.max_cost_usd
        bound = self._max_cost_usd if own_bound is None else min(own_bound, self._max_cost_usd)
        key = request.model, prefer_free, own_bound
        policy = self._policies.get(key)
        if policy is None:
            policy = policy_for(
                request.model,
                prefer_free=prefer_free,
                max_cost_usd=bound,
                max_retries=self._max_retries,
            )
            if policy is not None and len(self._policies) < _MOST_POLICIES:
                self._policies[key] = policy
        if policy is not None:
            return policy
        model = self._catalog.find(request.model)
        if model is None:
            raise UnknownModel(
                f"No model, alias or agent is called {request.model!r}.",
                hint=self._nearest(request.model),
                param="model",
            )
        return RoutePolicy(
            name=model.id,
            only_model=model.id,
            prefer_free=prefer_free,
            max_cost_usd=bound,
            max_candidates=1,
        )

    def _nearest(self, name: str) -> str:
        from difflib import get_close_matches

        near = (*get_close_matches(name, ALIASES), *self._catalog.suggest(name))
        if near:
            return f"Did you mean {' or '.join(repr(each) for each in near)}?"
        return f"`ymera models` lists all; {', '.join(ALIASES)} choose by themselves."
