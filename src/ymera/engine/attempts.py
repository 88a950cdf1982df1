"""The fallback loop: ask the candidates in order until one has answered.

The commit point is the first delta that can reach the caller. Before it, a failure moves on to
the next candidate; after it, the failure is the caller's to see. A plain (not streamed) answer
reaches the caller whole, so its commit point is its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

from ymera.core.answer import (
    AnswerBuilder,
    ChatEvent,
    FinishReason,
    LimitsSeen,
    ReasoningDelta,
    RequestAdapted,
    TextDelta,
    ToolCallDelta,
)
from ymera.core.chat import ChatRequest
from ymera.core.errors import (
    CatalogError,
    ConfigError,
    MachineError,
    NoRoute,
    ProviderError,
    ProviderErrorKind,
    YmeraError,
)
from ymera.core.model import Model
from ymera.core.route import RoutePlan
from ymera.engine.gate import CallGate
from ymera.engine.trace import RequestTrace

__all__ = ["Attempts", "Call", "Commitment"]

_FINAL = frozenset({ProviderErrorKind.MODERATION})
"""Failures that another model must not paper over."""

_FAILURES = (ProviderError, MachineError, ConfigError, CatalogError)
"""What is wrong with one candidate, so that the next one may still answer."""


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """An answer that has begun: the events seen so far and those still to come.

    `resources` holds the upstream call and its slot; closing it cancels what still runs.
    """

    head: tuple[ChatEvent, ...]
    rest: AsyncIterator[ChatEvent]
    resources: AsyncExitStack

    async def events(self) -> AsyncIterator[ChatEvent]:
        """Yield the answer from its beginning; once."""
        for event in self.head:
            yield event
        async for event in self.rest:
            yield event


Call = Callable[[ChatRequest, Model], AbstractAsyncContextManager[AsyncIterator[ChatEvent]]]
"""Starts one upstream call: entering gives its events, leaving ends the call."""


class Attempts:
    """Asks candidates in order.

    Args:
        call: starts one upstream call.
        gate: bounds concurrent upstream calls.
    """

    def __init__(self, *, call: Call, gate: CallGate) -> None:
        self._call = call
        self._gate = gate

    async def commit(
        self, request: ChatRequest, plan: RoutePlan, trace: RequestTrace
    ) -> Commitment:
        """Return the first answer that begins (streamed) or is whole (plain).

        Every upstream call is noted in `trace`.

        Raises:
            ProviderError: the only candidate failed, or one failed in a way that is final.
            MachineError, ConfigError, CatalogError: the only candidate could not be asked at all.
            NoRoute: every one of several candidates failed.
        """
        failures: list[YmeraError] = []
        for candidate in plan.candidates:
            try:
                return await self._attempt(request, candidate.model, trace)
            except _FAILURES as error:
                final = isinstance(error, ProviderError) and error.kind in _FINAL
                if final or len(plan.candidates) == 1:
                    raise
                failures.append(error)
        names = ", ".join(candidate.model.id for candidate in plan.candidates)
        raise NoRoute(
            f"Every model that could be asked failed: {names}. Last error: {failures[-1]}",
            exclusions=plan.exclusions,
            failures=failures,
            hint="`ymera doctor` shows what is wrong; `ymera route` shows what could be asked.",
        ) from failures[-1]

    async def _attempt(self, request: ChatRequest, model: Model, trace: RequestTrace) -> Commitment:
        trace.upstream_starts()
        async with AsyncExitStack() as resources:
            await resources.enter_async_context(self._gate)
            at, started_s = trace.clock.now(), trace.clock.monotonic()
            try:
                events = await resources.enter_async_context(self._call(request, model))
                head = await _read_head(events, request)
            except BaseException as error:
                trace.attempted(model, started_s, at, error)
                raise
            losses = tuple(
                each for event in head if isinstance(event, RequestAdapted) for each in event.losses
            )
            head = tuple(each for each in head if not isinstance(each, RequestAdapted | LimitsSeen))
            trace.attempted(model, started_s, at, None, losses)
            trace.model = model
            return Commitment(head=head, rest=events, resources=resources.pop_all())
        raise AssertionError("unreachable: the stack swallows nothing")


async def _read_head(
    events: AsyncIterator[ChatEvent], request: ChatRequest
) -> tuple[ChatEvent, ...]:
    """Read up to the commit point.

    Raises:
        ProviderError: the answer is empty, cut, or failed before the commit point.
    """
    head: list[ChatEvent] = []
    seen = AnswerBuilder(keep_text=False)
    async for event in events:
        head.append(event)
        seen.add(event)
        if request.stream and _says_something(event):
            return tuple(head)
    seen.require_finish()
    stopped = seen.finish_reason is FinishReason.STOP and request.sampling.stop
    if seen.is_empty and not stopped:  # a stop string may come first of all
        raise ProviderError("The model's answer is empty.", kind=ProviderErrorKind.BAD_ANSWER)
    return tuple(head)


def _says_something(event: ChatEvent) -> bool:
    match event:
        case TextDelta() | ReasoningDelta():
            return event.text != ""
        case ToolCallDelta():
            return True
        case _:
            return False
