"""One run while this process carries it out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from enum import StrEnum
from typing import Protocol

from ymera.core.errors import BudgetExceeded
from ymera.engine.trace import Clock
from ymera.phases.budget import BudgetLedger
from ymera.phases.executor import Report
from ymera.phases.interpreter import ancestors, plan_of
from ymera.phases.run_log import Detail, StoredLog
from ymera.phases.types import PhaseOutcome, PhaseSpec, PhaseState, RunSpec, Spend

__all__ = ["LiveRun", "RunsPhases", "Stop"]


class RunsPhases(Protocol):
    """Carries out one phase; `PhaseRunner` is one."""

    async def run(
        self,
        spec: RunSpec,
        phase: PhaseSpec,
        outcomes: Mapping[str, PhaseOutcome],
        budget: BudgetLedger,
        report: Report,
    ) -> PhaseOutcome:
        """Return how the phase ended; a failed phase is an outcome, not an exception."""


class Stop(StrEnum):
    """Why a run is stopped."""

    CANCEL = "cancel"
    HOLD = "hold"
    CLOSE = "close"
    LOST = "lost"


class LiveRun:
    """A run that this process owns.

    Args:
        spec: the run.
        attempt: which attempt of it.
        runner: returns what carries out phases; called at each phase.
        log: where it leaves what it made.
        outcomes: of phases that ended in an earlier process.
        spent: what it used before.
        clock: wall and monotonic time.
        resumed: whether it began in an earlier process or attempt.
        journal: whether the durable engine may hold rows of it.

    Attributes:
        stop: why it was stopped; None while nobody did.
        ended: done once this process does nothing for it any more.
        task: what drives it.
    """

    def __init__(
        self,
        spec: RunSpec,
        attempt: int,
        *,
        runner: Callable[[], RunsPhases],
        log: StoredLog,
        outcomes: Mapping[str, PhaseOutcome],
        spent: Spend,
        clock: Clock,
        resumed: bool,
        journal: bool,
    ) -> None:
        self.spec = spec
        self.attempt = attempt
        self.log = log
        self.outcomes = dict(outcomes)
        self.resumed = resumed
        self.journal = journal
        self.stop: Stop | None = None
        self.ended: Future[None] = Future()
        self.task: asyncio.Task[None] | None = None
        self._runner = runner
        self._clock = clock
        self._spent = spent
        self._ledger: BudgetLedger | None = None
        self.plan = plan_of(spec.phases)
        self._ancestors = ancestors(self.plan)
        self._position = {phase.name: place for place, phase in enumerate(spec.phases)}
        self._phases = {phase.name: phase for phase in spec.phases}
        self._performing: dict[str, asyncio.Task[None]] = {}
        self._cut: list[str] = []

    @property
    def workflow_id(self) -> str:
        """Name of this attempt in the durable engine."""
        return f"{self.spec.id}.{self.attempt}"

    @property
    def spend(self) -> Spend:
        """What it used and reserved so far, in all processes."""
        return self._spent if self._ledger is None else self._ledger.spend

    @property
    def orphaned(self) -> bool:
        """Whether its event loop ended without a word."""
        return self.task is not None and self.task.get_loop().is_closed()

    @property
    def complete(self) -> bool:
        """Whether every phase has ended."""
        return self.outcomes.keys() >= self._phases.keys()

    def ledger(self) -> BudgetLedger:
        """Return what pays for its calls; its time begins to count at the first call."""
        if self._ledger is None:
            self._ledger = BudgetLedger(
                self.spec.budget, self._spent, self.log.spent, monotonic=self._clock.monotonic
            )
        return self._ledger

    def interrupt(self, why: Stop) -> None:
        """Stop it; may be called from any thread. The first reason counts."""
        if self.stop is not None:
            return  # cancelled again, it could not wait for the end of its phases
        self.stop = why
        if self.task is not None and not self.ended.done():
            self.task.get_loop().call_soon_threadsafe(self.task.cancel)

    async def perform(self, name: str) -> None:
        """Carry out one phase, unless it ended before."""
        if name in self.outcomes:
            return
        current = asyncio.current_task()
        if current is not None:
            self._performing[name] = current
        try:
            self.log.event("phase.started", name)
            outcome = await self._runner().run(
                self.spec,
                self._phases[name],
                {each: self.outcomes[each] for each in self._position if self._bears(each, name)},
                self.ledger(),
                lambda kind, detail: self.log.event(kind, name, detail),
            )
            place = self._position[name]
            self.outcomes[name] = await asyncio.to_thread(
                self.log.finish, outcome, place, _facts(outcome)
            )
        except asyncio.CancelledError:
            self._cut.append(name)
            raise
        finally:
            self._performing.pop(name, None)

    async def settle(self) -> None:
        """Cancel the phases under way and wait for their end."""
        performing = tuple(self._performing.values())
        for task in performing:
            if not task.cancelling():  # a second time would cut its tidying up short
                task.cancel()
        if performing:
            await asyncio.wait(performing)

    def cut_off(self) -> None:
        """Note that the phases under way failed because the time of the run was used up."""
        error = f"The run's budget of {self.spec.budget.seconds:g} seconds was used up."
        for name in self._cut:
            outcome = PhaseOutcome(
                phase=name,
                state=PhaseState.FAILED,
                error_code=BudgetExceeded.code,
                error=error,
                ended_at=self._clock.now(),
            )
            place = self._position[name]
            self.outcomes[name] = self.log.finish(outcome, place, _facts(outcome))

    def in_order(self) -> dict[str, PhaseOutcome]:
        """Return the outcomes in plan order."""
        return {name: self.outcomes[name] for name in self._position if name in self.outcomes}

    def _bears(self, earlier: str, name: str) -> bool:
        return earlier in self._ancestors[name] and earlier in self.outcomes


def _facts(outcome: PhaseOutcome) -> Detail:
    """Return what an event tells of a phase that ended: facts, not what it made."""
    cost = outcome.spend.usd
    facts: dict[str, str | int | float | bool | None] = {
        "model": outcome.model,
        "calls": outcome.spend.calls,
        "tokens": outcome.spend.tokens,
        "seconds": round(outcome.spend.seconds, 3),
        "cost_usd": None if cost is None else str(cost),
    }
    if outcome.error is not None:
        facts |= {"error_code": outcome.error_code, "error": outcome.error}
    return facts
