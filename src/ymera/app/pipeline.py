"""What requests go through under one set of settings, wired from the parts that outlive it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

from ymera.app.embedding import Calls, embedder_of
from ymera.app.securing import Securing
from ymera.app.standing import Standings
from ymera.app.upstreams import Upstreams
from ymera.catalog.catalog import Catalog
from ymera.config.schema import Settings
from ymera.core.ports import EventSink, Throttle
from ymera.core.task import TaskType
from ymera.engine.attempts import Attempts
from ymera.engine.cache import ResponseCache
from ymera.engine.coalesce import Coalescer
from ymera.engine.conversations import Conversations
from ymera.engine.embedding import Embedder
from ymera.engine.gate import CallGate
from ymera.engine.gateway import Gateway
from ymera.engine.router import Router
from ymera.engine.trace import Clock
from ymera.routing.classify import TaskClassifier
from ymera.routing.plan import Snapshot

__all__ = ["Entrances", "Pipeline"]

Experience = Callable[[str | None, TaskType], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Entrances:
    """Where requests for answers and those for vectors go in."""

    gateway: Gateway
    embedder: Embedder


class Pipeline:
    """Builds the pipeline anew for each set of settings.

    What is known of conversations and callers stays; answers that were kept do not, since new
    settings may mean new answers.

    Args:
        clock: wall and monotonic time.
        securing: limiter and guards.
        standings: health, closed providers, quotas.
        snapshot: returns what can be called now.
        experience: see `ymera.engine.router.Router`.
        throttle: slows requests down where the sinks cannot keep up.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        securing: Securing,
        standings: Standings,
        snapshot: Callable[[], Snapshot],
        experience: Experience,
        throttle: Throttle,
    ) -> None:
        self._clock = clock
        self._securing = securing
        self._standings = standings
        self._snapshot = snapshot
        self._experience = experience
        self._throttle = throttle
        self._conversations = Conversations(clock.monotonic)

    def build(
        self,
        settings: Settings,
        catalog: Catalog,
        upstreams: Upstreams,
        sinks: Sequence[EventSink],
    ) -> Entrances:
        """Return what takes requests from now on.

        Args:
            settings: in force.
            catalog: every known model.
            upstreams: makes the calls.
            sinks: are told of every request.
        """
        standing, retry = self._standings.standing, self._standings.retry
        gate = CallGate(settings.performance.max_concurrent_requests)
        embedder = embedder_of(
            settings,
            self._securing,
            Calls(upstreams, gate, standing, retry),
            self._snapshot,
            sinks,
            self._throttle,
        )
        gateway = Gateway(
            limiter=self._securing.limiter(settings),
            guards=self._securing.input_guards(settings),
            router=self._router(settings, catalog),
            attempts=self._attempts(settings, upstreams, gate),
            sinks=sinks,
            clock=self._clock,
            output_guard=self._securing.output_guard(settings),
            cache=_cache(settings, self._clock),
            coalescer=Coalescer(),
            conversations=self._conversations,
            throttle=self._throttle,
            store_text=settings.monitoring.store_prompts,
        )
        return Entrances(gateway=gateway, embedder=embedder)

    def _attempts(self, settings: Settings, upstreams: Upstreams, gate: CallGate) -> Attempts:
        standing, retry = self._standings.standing, self._standings.retry
        after_s = settings.performance.hedge_after_seconds
        if after_s is None:
            return Attempts(call=upstreams.call, gate=gate, standing=standing, retry=retry)
        from ymera.engine.hedging import Hedge, HedgedAttempts

        hedge = Hedge(after_s=float(after_s), pause=asyncio.sleep)
        return HedgedAttempts(
            call=upstreams.call, gate=gate, hedge=hedge, standing=standing, retry=retry
        )

    def _router(self, settings: Settings, catalog: Catalog) -> Router:
        return Router(
            catalog=catalog,
            snapshot=self._snapshot,
            classifier=self._classifier,
            default_complexity=settings.models.default_complexity,
            prefer_free=settings.models.prefer_free,
            max_cost_usd=settings.budget.max_usd_per_request,
            max_retries=settings.models.max_retries,
            experience=self._experience,
            standing=self._standings.standing,
        )

    @cached_property
    def _classifier(self) -> TaskClassifier:
        weights = files("ymera.routing").joinpath("data", "task_model.bin").read_bytes()
        return TaskClassifier.from_bytes(weights)


def _cache(settings: Settings, clock: Clock) -> ResponseCache | None:
    """Return an empty answer cache, None when it is off."""
    ttl_s = settings.performance.cache_ttl_seconds
    if not settings.performance.enable_caching or ttl_s == 0:
        return None
    return ResponseCache(ttl_s, monotonic=clock.monotonic)
