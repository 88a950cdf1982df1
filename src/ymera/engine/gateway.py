"""The request pipeline, start to finish: the story of Ymera on one screen.

admission -> input guards -> cache -> route -> attempts with fallback -> output guard -> record
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from ymera.core.access import Principal
from ymera.core.chat import ChatRequest
from ymera.core.errors import YmeraError
from ymera.core.ports import EventSink, InputGuard, OutputGuard, RateLimiter, Throttle
from ymera.core.record import RequestRecord
from ymera.core.route import RoutePlan
from ymera.engine.attempts import Attempts, Commitment
from ymera.engine.cache import ResponseCache, cache_key, whole
from ymera.engine.coalesce import Coalescer, shared_key
from ymera.engine.conversations import Conversations
from ymera.engine.reply import Reply
from ymera.engine.router import Routes, nothing_to_ask
from ymera.engine.trace import Clock, RequestTrace

__all__ = ["Gateway"]


class Gateway:
    """Takes a request through the pipeline. One instance serves every door and every phase.

    Args:
        limiter: counts requests per caller.
        guards: look at the request, in order.
        router: turns a request into a plan; raises UnknownModel.
        attempts: asks the plan's candidates.
        sinks: are told of every finished request, after its reply has left.
        clock: wall and monotonic time.
        output_guard: looks at answers on their way out; None lets them pass as they are.
        cache: answers of earlier requests; None keeps none.
        coalescer: lets equal requests share one upstream call; None never does.
        conversations: who answered their last turns; None remembers none.
        throttle: slows requests down where the sinks cannot keep up; None never does.
        store_text: whether records may hold prompt and answer.
    """

    def __init__(
        self,
        *,
        limiter: RateLimiter,
        guards: Sequence[InputGuard],
        router: Routes,
        attempts: Attempts,
        sinks: Sequence[EventSink],
        clock: Clock,
        output_guard: OutputGuard | None = None,
        cache: ResponseCache | None = None,
        coalescer: Coalescer | None = None,
        conversations: Conversations | None = None,
        throttle: Throttle | None = None,
        store_text: bool = False,
    ) -> None:
        self._limiter = limiter
        self._guards = tuple(guards)
        self._router = router
        self._attempts = attempts
        self._emits = tuple(sink.emit for sink in sinks)
        self._clock = clock
        self._output_guard = output_guard
        self._cache = cache
        self._coalescer = coalescer
        self._conversations = conversations
        self._throttle = throttle
        self._store_text = store_text

    async def handle(
        self, request: ChatRequest, principal: Principal, *, request_id: str = ""
    ) -> Reply:
        """Return the reply once an answer has begun (streamed) or is whole (plain).

        Raises:
            RateLimited, GuardBlocked, TooLong, InvalidRequest, UnknownModel, Unsupported: refused
                before any model was asked.
            NoRoute: no model can serve this now.
            ProviderError: the only model that could serve this failed.
        """
        trace = RequestTrace(
            request=request,
            principal=principal,
            clock=self._clock,
            id=request_id,
            store_text=self._store_text,
        )
        try:
            if self._throttle is not None and self._throttle.crowded():
                await self._throttle.thinned()
            self._limiter.admit(principal)
            trace.request = request = self._pass_guards(request, trace)
            commitment = self._recall(trace) or await self._ask(trace)
        except BaseException as error:
            self._finish(trace, error)
            raise
        return Reply(trace, commitment, self._finish, self._output_guard)

    def route(self, request: ChatRequest) -> RoutePlan:
        """Return what would be asked and why, and why not the others; asks nothing."""
        return self._router(request, explain=True)

    def _pass_guards(self, request: ChatRequest, trace: RequestTrace) -> ChatRequest:
        for guard in self._guards:
            request = guard.check(request, trace.found)
        return request

    def _recall(self, trace: RequestTrace) -> Commitment | None:
        """Return the answer an equal request was given, if it is still held."""
        if self._cache is None:
            return None
        trace.may_be_cached_as(cache_key(trace.request, trace.principal))
        cached = self._cache.get(trace.cache_key) if trace.cache_key else None
        if cached is None:
            return None
        trace.cached, trace.model, trace.plan = True, cached.model, cached.plan
        return whole(cached.answer)

    async def _ask(self, trace: RequestTrace) -> Commitment:
        known = self._conversations
        stays_with = None if known is None else known.last_model(trace)
        plan = self._router(trace.request, explain=False, stays_with=stays_with)
        trace.plan = plan
        if not plan.candidates:
            raise nothing_to_ask(plan, lambda: self.route(trace.request))

        key = None if self._coalescer is None else shared_key(trace, plan)
        if key is None or self._coalescer is None:
            return await self._attempts.commit(trace.request, plan, trace)

        def call(waited: bool) -> Awaitable[Commitment]:
            return self._attempts.commit(trace.request, plan, trace, waited=waited)

        return await self._coalescer.ask(key, trace, call)

    def _finish(self, trace: RequestTrace, error: BaseException | None) -> None:
        """Hand the record to the sinks in the loop's next turn, when the reply has left."""
        if isinstance(error, YmeraError):
            error.request_id, error.route = trace.id, trace.plan
        if error is None and self._cache is not None:
            self._cache.keep(trace)
        if error is None and self._conversations is not None:
            self._conversations.answered(trace)
        asyncio.get_running_loop().call_soon(self._tell, trace.record(error))

    def _tell(self, record: RequestRecord) -> None:
        for emit in self._emits:
            emit(record)
