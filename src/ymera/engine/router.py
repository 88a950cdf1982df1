"""From a request to a route plan: names to policies, then the pure decision over a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ymera.catalog.catalog import Catalog
from ymera.core.chat import ChatRequest
from ymera.core.errors import UnknownModel
from ymera.core.route import RoutePlan, RoutePolicy
from ymera.core.task import TaskComplexity
from ymera.routing.classify import TaskClassifier
from ymera.routing.plan import Snapshot, plan
from ymera.routing.policies import ALIASES, policy_for
from ymera.routing.profile import profile

__all__ = ["Router", "Routes"]


class Routes(Protocol):
    """What the gateway asks: `Router`, or a test's own."""

    def __call__(self, request: ChatRequest, *, explain: bool) -> RoutePlan:
        """Return the plan."""


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
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        snapshot: Callable[[], Snapshot],
        classifier: TaskClassifier,
        default_complexity: TaskComplexity,
        prefer_free: bool,
        max_cost_usd: float,
        max_retries: int,
    ) -> None:
        self._catalog = catalog
        self._snapshot = snapshot
        self._classifier = classifier
        self._default_complexity = default_complexity
        self._prefer_free = prefer_free
        self._max_cost_usd = max_cost_usd
        self._max_retries = max_retries

    def __call__(self, request: ChatRequest, *, explain: bool) -> RoutePlan:
        """Return the plan; no candidates is a valid plan.

        Args:
            request: what to route.
            explain: whether to say of every model why it is left out (see `routing.plan`).

        Raises:
            UnknownModel: the request names no model, alias or agent of ours.
        """
        policy = self._policy(request)
        task = profile(request, self._classifier, self._default_complexity)
        return plan(task, self._snapshot(), policy, explain=explain)

    def _policy(self, request: ChatRequest) -> RoutePolicy:
        prefer_free = self._prefer_free and request.hints.prefer_free
        policy = policy_for(
            request.model,
            prefer_free=prefer_free,
            max_cost_usd=self._max_cost_usd,
            max_retries=self._max_retries,
        )
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
            max_cost_usd=self._max_cost_usd,
            max_candidates=1,
        )

    def _nearest(self, name: str) -> str:
        from difflib import get_close_matches

        near = (*get_close_matches(name, ALIASES), *self._catalog.suggest(name))
        if near:
            return f"Did you mean {' or '.join(repr(each) for each in near)}?"
        return f"`ymera models` lists all; {', '.join(ALIASES)} choose by themselves."
