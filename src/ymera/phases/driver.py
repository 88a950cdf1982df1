"""Drives a run that this process owns from its first phase to its end, whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING

from ymera.core.errors import BudgetExceeded, YmeraError
from ymera.engine.trace import CANCELLED, INTERNAL_ERROR
from ymera.phases.ending import Ending, ending_of
from ymera.phases.interpreter import walk
from ymera.phases.live import LiveRun, Stop
from ymera.phases.run_log import Detail, LostError
from ymera.phases.types import RunState

if TYPE_CHECKING:
    from ymera.phases.durable import DurableEngine

__all__ = ["Driver"]

_log = logging.getLogger(__name__)


class Driver:
    """Drives runs, on the event loop that calls it.

    Args:
        engine: returns the durable engine, started at the first call; blocks.
        forgotten: told, in a thread, of a run that ended and that the engine has forgotten.
    """

    def __init__(
        self, engine: Callable[[], DurableEngine], forgotten: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._forgotten = forgotten

    async def drive(self, live: LiveRun, slot: AbstractAsyncContextManager[object]) -> None:
        """Carry `live` to its end, once `slot` lets it; it always leaves a state behind."""
        try:
            ended = await self._guarded(live, slot)
        finally:
            live.ended.set_result(None)
        if ended and live.journal:
            await self._forget(live)

    async def _guarded(self, live: LiveRun, slot: AbstractAsyncContextManager[object]) -> bool:
        """Return whether the run ended (or rests, or is somebody else's)."""
        try:
            try:
                async with slot:
                    live.log.begin(*_beginning(live))
                    ending = await self._to_end(live)
            except asyncio.CancelledError:
                return _stopped(live)
            except LostError:
                raise
            except YmeraError as error:
                ending = Ending(RunState.FAILED, error.code, error.message)
            except Exception:  # noqa: BLE001 - outermost: a run never ends without a state
                _log.exception("run %s met a bug", live.spec.id)
                ending = Ending(
                    RunState.FAILED, INTERNAL_ERROR, "Ymera met a bug; its log says where."
                )
            live.log.end(f"run.{ending.state.value}", ending, live.spend, journal=live.journal)
        except LostError:
            _log.warning("run %s is carried out by another process now", live.spec.id)
            return False
        except YmeraError as error:  # the store itself: the lease ends, and another may try
            _log.error("run %s: %s %s", live.spec.id, error.message, error.hint or "")
            return False
        return True

    async def _to_end(self, live: LiveRun) -> Ending:
        timer = asyncio.timeout(live.ledger().remaining_s())
        try:
            async with timer:
                await self._carry(live)
        except TimeoutError:
            if not timer.expired():
                raise
        ending = ending_of(live.spec, live.outcomes)
        if timer.expired() and ending.state is not RunState.DONE:
            live.cut_off()
            error = f"The run's budget of {live.spec.budget.seconds:g} seconds was used up."
            state = ending_of(live.spec, live.outcomes).state
            return Ending(state, BudgetExceeded.code, f"{error} {ending.error}", quotes=True)
        return ending

    async def _carry(self, live: LiveRun) -> None:
        if live.complete:
            return
        if live.spec.private:
            await walk(live.plan, live.perform)
            return
        engine = await asyncio.to_thread(self._engine)
        live.log.keeps_journal()
        live.journal = True
        loop = asyncio.get_running_loop()

        def perform(name: str) -> Future[None]:
            if loop.is_closed():
                raise RuntimeError("the event loop of this run has ended")
            return asyncio.run_coroutine_threadsafe(live.perform(name), loop)

        carried = asyncio.wrap_future(engine.carry(live.workflow_id, live.plan, perform))
        try:
            await asyncio.shield(carried)
        except BaseException:
            # Nothing of it goes on behind our back; what stopped us is what is told.
            await asyncio.wrap_future(engine.stop(live.workflow_id))
            await live.settle()
            with suppress(BaseException):
                await carried
            raise

    async def _forget(self, live: LiveRun) -> None:
        """Have the engine forget a run that ended; another time if that fails."""
        try:
            engine = await asyncio.to_thread(self._engine)
            names = [f"{live.spec.id}.{number + 1}" for number in range(live.attempt)]
            await asyncio.wrap_future(engine.forget(names))
            await asyncio.to_thread(self._forgotten, live.spec.id)
        except Exception as error:  # noqa: BLE001 - it is only tidying up
            _log.warning("run %s leaves rows behind: %s", live.spec.id, type(error).__name__)


def _beginning(live: LiveRun) -> tuple[str, Detail]:
    spec = live.spec
    detail: dict[str, str | int | float | bool | None] = {
        "agent": spec.agent.name,
        "strategy": spec.strategy.value,
        "strategy_reason": spec.strategy_reason,
        "plan": ", ".join(phase.name for phase in spec.phases),
        "resumable": not spec.private,
    }
    if spec.private:
        detail["note"] = "private: artefacts are kept in memory only, so it cannot be resumed"
    if live.resumed:
        detail["kept"] = ", ".join(live.in_order()) or None
    return ("run.resumed" if live.resumed else "run.started"), detail


def _stopped(live: LiveRun) -> bool:
    """Write down what became of a run that was stopped; return whether it ended."""
    match live.stop or Stop.CLOSE:
        case Stop.LOST:
            raise LostError
        case Stop.CANCEL:
            ending = Ending(RunState.CANCELLED, CANCELLED, "It was cancelled.")
        case _ if live.spec.private:
            error = "It was interrupted; a private run cannot be resumed."
            ending = Ending(RunState.CANCELLED, CANCELLED, error)
        case why:
            rests = Ending(RunState.PENDING)
            held = why is Stop.HOLD
            live.log.end("run.interrupted", rests, live.spend, held=held, journal=live.journal)
            return False
    live.log.end(f"run.{ending.state.value}", ending, live.spend, journal=live.journal)
    return True
