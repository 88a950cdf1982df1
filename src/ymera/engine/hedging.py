"""Hedging: while a call is slow to answer, the next candidate is asked as well.

Two lanes take candidates from one line. The first begins at once, the second when the call at hand
has been silent for long enough; whichever commits first answers, and the other lane's call is
cancelled and settled before the answer goes on. A lane that is through leaves the rest of the line
to the other, so that in the end nobody was asked out of turn and the errors are the usual ones.

Beside another call only free hosted models are asked, and only with a slot that is free: a hedge
spends quota, but never money, never the cores an embedded model runs on, and nobody's turn.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from ymera.core.answer import AnswerBuilder
from ymera.core.chat import ChatRequest
from ymera.core.route import Candidate, Exclusion, RoutePlan
from ymera.engine.attempts import Asking, Attempts, Call, Commitment, Retry
from ymera.engine.gate import CallGate
from ymera.engine.standing import Standing
from ymera.engine.trace import CANCELLED, RequestTrace
from ymera.engine.upstream_call import UpstreamCall

__all__ = ["Hedge", "HedgedAttempts"]


@dataclass(frozen=True, kw_only=True)
class Hedge:
    """When a second candidate is asked.

    Attributes:
        after_s: seconds a call may be silent before.
        pause: waits for seconds.
    """

    after_s: float
    pause: Callable[[float], Awaitable[None]]


class HedgedAttempts(Attempts):
    """Asks candidates in order, two of them at a time where one is slow.

    Args:
        call: starts one upstream call.
        gate: bounds concurrent upstream calls; a second call never waits in its line.
        hedge: when a second candidate is asked.
        standing: as in `Attempts`.
        retry: as in `Attempts`.
    """

    def __init__(
        self,
        *,
        call: Call,
        gate: CallGate,
        hedge: Hedge,
        standing: Standing | None = None,
        retry: Retry | None = None,
    ) -> None:
        super().__init__(call=call, gate=gate, standing=standing, retry=retry)
        self._hedge = hedge

    async def commit(
        self, request: ChatRequest, plan: RoutePlan, trace: RequestTrace, *, waited: bool = False
    ) -> Commitment:
        """Return the first answer that begins (streamed) or is whole (plain); as `Attempts`."""
        if len(plan.candidates) < 2 or not _may_run_beside(*plan.candidates[:2]):
            return await super().commit(request, plan, trace, waited=waited)
        trace.upstream_starts()
        return await _Race(self._ask, Asking(request, plan, trace), self._hedge).commit()

    async def _attempt(self, candidate: Candidate, asking: Asking) -> Commitment:
        # Nothing runs between this look and the taking of the slot.
        if isinstance(asking, _Lane) and asking.has_company() and self._gate.is_full():
            raise _NoSlot
        return await super()._attempt(candidate, asking)

    def _begun(self, candidate: Candidate, asking: Asking, losses: tuple[str, ...]) -> UpstreamCall:
        call = super()._begun(candidate, asking, losses)
        if isinstance(asking, _Lane):
            asking.called()
        return call


class _NoSlot(Exception):
    """A second call would have to wait for its slot."""


class _Lane(Asking):
    """One of the two that ask; what failed and who was asked they know together.

    Each has a trace of its own until it is known whose answer is the caller's.

    Attributes:
        candidate: who is being asked; None: nobody.
        place: of who was asked last, in the plan.
        task: asks.
    """

    task: asyncio.Task[Commitment | None]

    def __init__(self, race: _Race, asking: Asking) -> None:
        trace = copy.copy(asking.trace)
        trace.attempts = []
        trace.answer = AnswerBuilder(keep_text=asking.trace.answer.keep_text)
        super().__init__(asking.request, asking.plan, trace)
        self.failures, self.asked = asking.failures, asking.asked
        self.fresh = False  # other tasks may run before this one's first turn
        self.candidate: Candidate | None = None
        self.place = len(asking.plan.candidates)
        self._race = race
        self._asking = asking
        self._given_back = False

    def pass_over(self, exclusion: Exclusion) -> None:
        """Note why a candidate is not asked, for both."""
        self._asking.pass_over(exclusion)

    def has_company(self) -> bool:
        """Return whether the other is asking somebody."""
        return self._race.other(self).candidate is not None

    def called(self) -> None:
        """Note that a call begins."""
        self._race.called(self)

    async def give_back(self) -> None:
        """End the answer of a lane that came second, if it had one."""
        if self.task.cancelled() or self.task.exception() is not None:
            return
        commitment = self.task.result()
        if commitment is None or commitment.end is None or self._given_back:
            return
        self._given_back = True
        for event in commitment.head:  # it was read, so it is to be counted
            self.trace.answer.add(event)
        await commitment.end(asyncio.CancelledError())


class _Race:
    """The two lanes of one request.

    Args:
        ask: asks one candidate; None: the next one is to be asked.
        asking: what both know.
        hedge: when the second begins.
    """

    def __init__(
        self,
        ask: Callable[[Candidate, Asking], Awaitable[Commitment | None]],
        asking: Asking,
        hedge: Hedge,
    ) -> None:
        self._ask = ask
        self._asking = asking
        self._hedge = hedge
        self._line = deque(enumerate(asking.plan.candidates))
        self._first, self._second = _Lane(self, asking), _Lane(self, asking)
        self._called = asyncio.Event()
        self._called_s = 0.0
        self._hedged = False
        self._closed = False

    def other(self, lane: _Lane) -> _Lane:
        """Return the lane beside this one."""
        return self._second if lane is self._first else self._first

    def called(self, lane: _Lane) -> None:
        """Note that a lane's call begins: how long the first is silent counts from here."""
        if lane is self._first:
            self._called_s = lane.trace.clock.monotonic()
            self._called.set()

    async def commit(self) -> Commitment:
        """Return the answer of the lane that commits first; raises as `Attempts.commit`."""
        self._first.task = asyncio.create_task(self._run(self._first))
        self._second.task = asyncio.create_task(self._run_late())
        winner: _Lane | None = None
        try:
            winner, commitment = await self._won()
            await self._end(self.other(winner))
        except BaseException:
            winner = None
            await self._end(self._first, self._second)
            raise
        finally:
            self._tell(winner)
        return commitment

    async def _run(self, lane: _Lane) -> Commitment | None:
        """Ask one after the other; None: this lane is through."""
        while (candidate := self._next(lane)) is not None:
            try:
                commitment = await self._ask(candidate, lane)
            except _NoSlot:
                lane.candidate = None
                self._line.appendleft((lane.place, candidate))  # the other's, in its turn
                return None
            if commitment is not None:
                return commitment
        return None

    async def _run_late(self) -> Commitment | None:
        """Ask as well once the first lane's call has been silent for too long."""
        hedge, clock = self._hedge, self._asking.trace.clock
        await self._called.wait()
        while (left_s := hedge.after_s - (clock.monotonic() - self._called_s)) > 0:
            await hedge.pause(left_s)  # a new call may have begun meanwhile
        self._hedged = True
        return await self._run(self._second)

    def _next(self, lane: _Lane) -> Candidate | None:
        """Take the next in line, unless it is to be left to the other lane."""
        lane.candidate = None
        if self._closed or not self._line:
            return None
        place, candidate = self._line[0]
        running = self.other(lane).candidate
        if running is not None and not _may_run_beside(candidate, running):
            return None
        self._line.popleft()
        lane.candidate, lane.place = candidate, place
        return candidate

    async def _won(self) -> tuple[_Lane, Commitment]:
        """Return the lane whose answer it is; of two in the same turn the earlier in the plan.

        A failure that is final ends the request, but not while an earlier candidate may answer:
        without a hedge nobody would have met it.
        """
        lanes = self._first, self._second
        running = {lane.task for lane in lanes}
        while running and (self._hedged or not self._first.task.done()):
            _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for lane in sorted(lanes, key=lambda lane: lane.place):
                if not lane.task.done():
                    continue
                error, other = lane.task.exception(), self.other(lane)
                if error is None:
                    commitment = lane.task.result()
                    if commitment is not None:
                        return lane, commitment
                elif other.task.done() or other.place > lane.place:
                    raise error
                else:
                    self._closed = True
        raise self._asking.error()

    async def _end(self, *lanes: _Lane) -> None:
        """End lanes that are not, or no longer, to answer; whatever they hold is given back."""
        self._closed = True
        for lane in lanes:
            lane.task.cancel()
        await asyncio.wait([lane.task for lane in lanes])
        for lane in lanes:
            await lane.give_back()

    def _tell(self, winner: _Lane | None) -> None:
        """Note in the request's trace what both did, the call that answers last."""
        trace = self._asking.trace
        answering = [] if winner is None else [winner.trace.attempts.pop()]
        ended = (*self._first.trace.attempts, *self._second.trace.attempts)
        for attempt in sorted(ended, key=lambda attempt: attempt.started_at):
            # One that was about to answer, too, but came second.
            given_up = attempt.error_code is None
            trace.attempts.append(
                msgspec.structs.replace(attempt, error_code=CANCELLED) if given_up else attempt
            )
        trace.attempts += answering
        if winner is not None:
            winner.trace.attempts = trace.attempts  # where a break of the answer will be noted
            trace.model, trace.answer = winner.trace.model, winner.trace.answer


def _may_run_beside(*candidates: Candidate) -> bool:
    """Return whether all of these may be asked at the same time: they are free, and elsewhere."""
    return all(each.model.free.may_auto_route and each.model.weights is None for each in candidates)
