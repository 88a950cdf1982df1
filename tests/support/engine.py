"""A gateway over scripted providers, with a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ymera.core.access import LOCAL_OWNER, Principal
from ymera.core.chat import (
    ChatRequest,
    Message,
    RequestHints,
    Role,
    TextPart,
)
from ymera.core.model import FreeTerms, Model
from ymera.core.ports import Deadlines, OutputGuard, Throttle
from ymera.core.record import RequestRecord
from ymera.core.route import Candidate, Exclusion, RoutePlan, RoutePolicy
from ymera.core.task import TaskComplexity, TaskProfile, TaskType
from ymera.engine.attempts import Attempts, Retry
from ymera.engine.cache import ResponseCache
from ymera.engine.coalesce import Coalescer
from ymera.engine.conversations import Conversations
from ymera.engine.gate import CallGate
from ymera.engine.gateway import Gateway
from ymera.engine.hedging import Hedge, HedgedAttempts
from ymera.engine.standing import Standing
from ymera.engine.trace import Clock
from ymera.engine.upstream_call import UpstreamEvents
from ymera.security.guards.size import SizeGuard
from ymera.security.rate_limit import HourlyRateLimiter
from ymera.testing.scripted import ScriptedProvider

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PROFILE = TaskProfile(
    type=TaskType.CHAT,
    complexity=TaskComplexity.SIMPLE,
    est_input_tokens=10,
    est_output_tokens=100,
)


@dataclass
class FakeTime:
    """A clock that moves when told to."""

    seconds: float = 0.0

    def clock(self) -> Clock:
        """Return the clock to inject."""
        return Clock(
            now=lambda: START + timedelta(seconds=self.seconds), monotonic=lambda: self.seconds
        )


@dataclass
class Records:
    """An event sink that keeps what it is told."""

    seen: list[RequestRecord] = field(default_factory=list)

    def emit(self, record: RequestRecord) -> None:
        """Keep it."""
        self.seen.append(record)

    async def close(self) -> None:
        """Hold nothing back."""


def model(provider: str, *, free: bool = True) -> Model:
    """Return a model called `m` of a provider."""
    return Model(
        id=f"{provider}/m",
        provider=provider,
        upstream_id="m",
        name="m",
        free=FreeTerms(free_now=free, may_auto_route=free, reason="test"),
    )


def ask(
    text: str = "Say hello", *, stream: bool = False, hints: RequestHints | None = None
) -> ChatRequest:
    """Return a request of one user turn."""
    return ChatRequest(
        model="auto",
        messages=(Message(role=Role.USER, content=(TextPart(text),)),),
        stream=stream,
        hints=hints or RequestHints(),
    )


@dataclass
class Stage:
    """A gateway whose candidates are the given providers, asked in their order."""

    providers: Mapping[str, ScriptedProvider]
    time: FakeTime = field(default_factory=FakeTime)
    records: Records = field(default_factory=Records)
    max_concurrent: int = 10
    max_waiting: int = 1000
    rate_limit: int = 100
    max_input_length: int = 1000
    store_text: bool = False
    free: bool = True
    exclusions: tuple[Exclusion, ...] = ()
    cache: ResponseCache | None = None
    conversations: Conversations | None = None
    output_guard: OutputGuard | None = None
    throttle: Throttle | None = None
    standing: Standing | None = None
    retry: Retry | None = None
    coalescer: Coalescer | None = None
    hedge: Hedge | None = None
    keys_used: list[str | None] = field(default_factory=list)
    """The key of each upstream call."""

    def gateway(self) -> Gateway:
        """Return the gateway."""
        return Gateway(
            limiter=HourlyRateLimiter(self.rate_limit, now=self.time.clock().now),
            guards=[SizeGuard(self.max_input_length)],
            router=self._route,
            attempts=self._attempts(),
            sinks=[self.records],
            clock=self.time.clock(),
            cache=self.cache,
            conversations=self.conversations,
            coalescer=self.coalescer,
            output_guard=self.output_guard,
            throttle=self.throttle,
            store_text=self.store_text,
        )

    def plan(self) -> RoutePlan:
        """Return the plan every request gets."""
        return RoutePlan(
            profile=PROFILE,
            policy=RoutePolicy(),
            candidates=tuple(
                Candidate(model=model(name, free=self.free), score=1.0, terms={}, reason="test")
                for name in self.providers
            ),
            exclusions=self.exclusions,
        )

    def _attempts(self) -> Attempts:
        gate = CallGate(self.max_concurrent, max_waiting=self.max_waiting)
        standing, retry, hedge = self.standing, self.retry, self.hedge
        if hedge is None:
            return Attempts(call=self._call, gate=gate, standing=standing, retry=retry)
        return HedgedAttempts(
            call=self._call, gate=gate, hedge=hedge, standing=standing, retry=retry
        )

    def _call(self, request: ChatRequest, model: Model, key_id: str | None) -> UpstreamEvents:
        self.keys_used.append(key_id)
        return self.providers[model.provider].stream(request, model, Deadlines())

    def _route(
        self, request: ChatRequest, *, explain: bool, stays_with: str | None = None
    ) -> RoutePlan:
        del request, explain, stays_with
        return self.plan()

    async def answer(
        self, request: ChatRequest | None = None, principal: Principal = LOCAL_OWNER
    ) -> str:
        """Return the text of one plain answer, and let the record arrive."""
        try:
            reply = await self.gateway().handle(request or ask(), principal)
            return (await reply.answer()).text
        finally:
            await asyncio.sleep(0)
