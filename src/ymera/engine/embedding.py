"""The path of a request for vectors: admission -> size -> who can -> attempts -> record.

An embedding model is never exchanged for another, since vectors of two models cannot be compared.
A catalogue id pins one host; the bare name of a model (`bge-m3`) lets every host of that same model
serve, in the catalogue's order. Either way the host's other keys are tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from ymera.core.access import Principal
from ymera.core.answer import UsageReport
from ymera.core.chat import ChatRequest, Message, RequestHints, Role, TextPart
from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest
from ymera.core.errors import (
    CatalogError,
    ConfigError,
    InvalidRequest,
    MachineError,
    NoRoute,
    ProviderError,
    TooLong,
    YmeraError,
)
from ymera.core.model import Model
from ymera.core.ports import EventSink, InputGuard, RateLimiter, Throttle
from ymera.core.route import Exclusion, ExclusionReason
from ymera.core.task import TaskProfile
from ymera.engine.attempts import Retry, is_about_key
from ymera.engine.gate import CallGate
from ymera.engine.lease import Lease
from ymera.engine.standing import Standing
from ymera.engine.trace import Clock, RequestTrace
from ymera.routing.embedding import hosts_of, profile_of
from ymera.routing.plan import Snapshot

__all__ = ["Embedded", "Embedder"]

_FAILURES = (ProviderError, MachineError, ConfigError, CatalogError)


class EmbedCall(Protocol):
    """Makes one upstream call."""

    async def __call__(
        self, request: EmbeddingRequest, model: Model, key_id: str | None
    ) -> EmbeddingAnswer:
        """Return the vectors; `key_id` names the key to use, None the provider's first or none."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """An answer and the facts of its request."""

    answer: EmbeddingAnswer
    trace: RequestTrace


@dataclass
class _Asking:
    """What has become of one request so far."""

    request: EmbeddingRequest
    profile: TaskProfile
    trace: RequestTrace
    exclusions: list[Exclusion] = field(default_factory=list)
    failures: list[YmeraError] = field(default_factory=list)


class Embedder:
    """Takes requests for vectors through the pipeline.

    Args:
        limiter: counts requests per caller, together with those for answers.
        guards: look at each text by itself.
        snapshot: returns what can be called now.
        max_cost_usd: most that one request may cost; 0 = nothing.
        call: makes one upstream call.
        gate: bounds concurrent upstream calls.
        sinks: are told of every finished request.
        clock: wall and monotonic time.
        standing: says who can be asked now and takes note of each call; None lets everyone be
            asked and keeps no note.
        retry: tries the last host again; None never does.
        throttle: slows requests down where the sinks cannot keep up; None never does.
        store_text: whether records may hold the texts.
    """

    def __init__(
        self,
        *,
        limiter: RateLimiter,
        guards: Sequence[InputGuard],
        snapshot: Callable[[], Snapshot],
        max_cost_usd: Decimal,
        call: EmbedCall,
        gate: CallGate,
        sinks: Sequence[EventSink],
        clock: Clock,
        standing: Standing | None = None,
        retry: Retry | None = None,
        throttle: Throttle | None = None,
        store_text: bool = False,
    ) -> None:
        self._limiter = limiter
        self._guards = tuple(guards)
        self._snapshot = snapshot
        self._max_cost_usd = max_cost_usd
        self._call = call
        self._gate = gate
        self._sinks = tuple(sinks)
        self._clock = clock
        self._standing = standing
        self._retry = retry
        self._throttle = throttle
        self._store_text = store_text

    async def embed(
        self, request: EmbeddingRequest, principal: Principal, *, request_id: str = ""
    ) -> Embedded:
        """Return one vector per text.

        Raises:
            RateLimited, GuardBlocked, TooLong, InvalidRequest, UnknownModel, Unsupported: refused
                before any model was asked.
            NoRoute: no host of the model can be asked now.
            ProviderError: the only host that could be asked failed.
        """
        trace = RequestTrace(
            request=_as_chat(request),
            principal=principal,
            clock=self._clock,
            id=request_id,
            store_text=self._store_text,
        )
        try:
            if self._throttle is not None and self._throttle.crowded():
                await self._throttle.thinned()
            self._limiter.admit(principal)
            self._pass_guards(request, trace)
            answer = await self._ask(_Asking(request, profile_of(request), trace))
        except BaseException as error:
            self._finish(trace, error)
            raise
        self._finish(trace, None)
        return Embedded(answer=answer, trace=trace)

    def _pass_guards(self, request: EmbeddingRequest, trace: RequestTrace) -> None:
        """Have each text looked at by itself; the body's size bounds them together."""
        if not request.inputs:
            raise InvalidRequest("There is no text.", hint="Give at least one.", param="input")
        for text in request.inputs:
            message = Message(role=Role.USER, content=(TextPart(text),))
            for guard in self._guards:
                guard.check(ChatRequest(model=request.model, messages=(message,)), trace.found)

    async def _ask(self, asking: _Asking) -> EmbeddingAnswer:
        found = hosts_of(asking.request, self._snapshot(), asking.profile, self._max_cost_usd)
        asking.exclusions += found.exclusions
        for model in found.models:
            retry = self._retry if model is found.models[-1] else None
            answer = await self._ask_model(model, asking, retry)
            if answer is not None:
                return answer
        raise _nobody(asking, len(found.models))

    async def _ask_model(
        self, model: Model, asking: _Asking, retry: Retry | None
    ) -> EmbeddingAnswer | None:
        """Ask one host, with its other keys where a key was to blame; None: go on to the next."""
        tried: set[str | None] = set()
        while True:
            started_s = self._clock.monotonic()
            found = await self._ask_once(model, asking, tried)
            if not isinstance(found, YmeraError):
                return found
            asking.failures.append(found)
            if retry is not None and retry.helps(found, self._clock.monotonic() - started_s):
                await retry.wait()
                tried.clear()
                retry = None
            elif self._standing is None or not is_about_key(found):
                return None

    async def _ask_once(
        self, model: Model, asking: _Asking, tried: set[str | None]
    ) -> EmbeddingAnswer | YmeraError | None:
        """Return what came of one call; None: it could not be made now."""
        asking.trace.upstream_starts()
        async with self._gate:
            key_id, lease = None, None
            if self._standing is not None:
                found = self._standing.admit(model, asking.profile, without=tried)
                if isinstance(found, Exclusion):
                    if not tried:
                        asking.exclusions.append(found)
                    return None
                key_id = found
                lease = self._standing.lease(model, key_id, asking.profile)
            tried.add(key_id)
            try:
                return await self._attempt(model, key_id, lease, asking)
            except _FAILURES as error:
                return error

    async def _attempt(
        self, model: Model, key_id: str | None, lease: Lease | None, asking: _Asking
    ) -> EmbeddingAnswer:
        trace = asking.trace
        at, started_s = self._clock.now(), self._clock.monotonic()
        try:
            answer = await self._call(asking.request, model, key_id)
        except BaseException as error:
            trace.attempted(model, started_s, at, error, key_id=key_id)
            if lease is not None:
                lease.end(error, answered=False)
            raise
        trace.attempted(model, started_s, at, None, key_id=key_id)
        trace.model = model
        if answer.usage is not None:
            trace.answer.add(UsageReport(answer.usage, answer.cost_usd))
        if lease is not None:
            lease.learned(answer.limits)
            lease.end(None, usage=trace.answer.usage, cost_usd=answer.cost_usd)
        return answer

    def _finish(self, trace: RequestTrace, error: BaseException | None) -> None:
        """Hand the record to the sinks in the loop's next turn, when the reply has left."""
        if isinstance(error, YmeraError):
            error.request_id = trace.id
        record = trace.record(error)
        loop = asyncio.get_running_loop()
        for sink in self._sinks:
            loop.call_soon(sink.emit, record)


def _as_chat(request: EmbeddingRequest) -> ChatRequest:
    """Return the texts as one turn: what a record knows of a request."""
    parts = tuple(TextPart(text) for text in request.inputs)
    return ChatRequest(
        model=request.model,
        messages=(Message(role=Role.USER, content=parts),),
        hints=RequestHints(private=request.private, no_store=request.no_store),
    )


def _nobody(asking: _Asking, candidates: int) -> YmeraError:
    """Return the error for a request that no host has answered."""
    failures, exclusions = asking.failures, asking.exclusions
    if failures and candidates == 1:
        return failures[-1]
    if not failures and exclusions and all(e.reason is ExclusionReason.CONTEXT for e in exclusions):
        hint = "Cut the text into pieces, or name a model with a larger context."
        return TooLong(exclusions[-1].detail, hint=hint, param="input")
    if failures:
        message = f"Every host of {asking.request.model} failed. Last error: {failures[-1]}"
    else:
        said = " ".join(f"{each.model_id}: {each.detail}" for each in exclusions)
        message = f"{asking.request.model} cannot be asked now. {said}"
    error = NoRoute(
        message,
        exclusions=exclusions,
        failures=failures,
        hint="`ymera models list --all --kind embedding` says what each host needs.",
    )
    error.__cause__ = failures[-1] if failures else None
    return error
