"""Runs: begun, watched, stopped, carried on after a crash or an edit, removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from ymera.core.errors import InvalidRequest, YmeraError
from ymera.engine.trace import CANCELLED, Clock
from ymera.phases.custody import (
    UNFINISHED,
    Custody,
    raised,
    require_resumable,
    to_drop,
)
from ymera.phases.dag import in_order
from ymera.phases.driver import Driver
from ymera.phases.ending import Ending
from ymera.phases.home import Engine, Home
from ymera.phases.live import LiveRun, RunsPhases, Stop
from ymera.phases.reader import RunReader
from ymera.phases.run_log import PrivateLog, decode_spec, decode_spent, new_row, us
from ymera.phases.types import (
    Budget,
    PhaseOutcome,
    RunEvent,
    RunResult,
    RunSpec,
    RunState,
)
from ymera.phases.watch import Watchers
from ymera.storage.runs import RunRow, SqlRunStore

__all__ = ["RunService"]

_log = logging.getLogger(__name__)

_TIDY_PERIOD_S = 3_600.0
_CANCELLED = Ending(RunState.CANCELLED, CANCELLED, "It was cancelled.")


class RunService:
    """Everything that can be done with runs. Works from any event loop, one after another.

    Constructing one touches nothing: the store is opened at the first use, the durable engine
    when a run begins or is carried on.

    Args:
        runner: returns what carries out phases; called at each phase.
        store: where runs are kept.
        engine_location: SQLite file or PostgreSQL URL of the durable engine.
        clock: wall and monotonic time.
        most: returns the bounds that no budget may be raised over, if there are any.
        max_parallel: returns how many runs may be under way at once; others wait.
        retention: returns how long a finished run is kept.
        wait: sleeps for some seconds.
        lease_s: seconds after which a silent process loses its runs.
        beat_s: seconds between two signs of life; also how soon a cancel from elsewhere is seen.
    """

    def __init__(
        self,
        *,
        runner: Callable[[], RunsPhases],
        store: SqlRunStore,
        engine_location: Path | str,
        clock: Clock,
        most: Callable[[], Budget | None] = lambda: None,
        max_parallel: Callable[[], int] = lambda: 4,
        retention: Callable[[], timedelta] = lambda: timedelta(days=30),
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        lease_s: float = 15.0,
        beat_s: float = 1.0,
    ) -> None:
        self._runner = runner
        self._store = store
        self._engine = Engine(engine_location)
        self._clock = clock
        self._most = most
        self._max_parallel = max_parallel
        self._retention = retention
        self._wait = wait
        self._lease_s = lease_s
        self._beat_s = beat_s
        self._watchers = Watchers()
        self._custody = Custody(
            store, now=clock.now, lease=timedelta(seconds=lease_s), told=self._watchers.tell
        )
        self._driver = Driver(self._engine.get, lambda id_: store.open().forgotten([id_]))
        self._lives: dict[str, LiveRun] = {}
        self._home: Home | None = None
        self._reader = RunReader(store, self._custody, self._watchers, wait)

    # --- beginning and watching

    async def submit(self, spec: RunSpec) -> str:
        """Begin a run and return its id; it goes on as long as the running event loop does.

        Raises:
            ConfigError: the phases do not fit together.
            MachineError: the store cannot be used.
        """
        in_order(spec.phases)
        database = await asyncio.to_thread(self._store.open)
        # Here and not in a thread: a caller that is cancelled now leaves no run nobody drives.
        custody = self._custody
        row = new_row(spec, custody.owner, now=self._clock.now(), until=custody.until())
        database.add(row)
        self._start(row, spec, outcomes={}, resumed=False)
        self._here().keep("tidy", self._tidy)
        return spec.id

    async def run(self, spec: RunSpec) -> RunResult:
        """Carry a run out and return what came of it.

        Cancelling the call interrupts the run; `resume` carries it on.

        Raises:
            ConfigError: the phases do not fit together.
            MachineError: the store cannot be used.
        """
        return await self.wait(await self.submit(spec))

    async def wait(self, run_id: str) -> RunResult:
        """Return what came of a run once nobody works on it any more.

        Cancelling the call interrupts a run of this process; `resume` carries it on.

        Raises:
            UnknownRun: there is no such run.
        """
        live = self._live(run_id)
        if live is None:
            async for _ in self.events(run_id):
                pass
            return await self.get(run_id)
        try:
            await asyncio.shield(asyncio.wrap_future(live.ended))
        except asyncio.CancelledError:
            await self.interrupt(run_id)
            raise
        return await self.get(run_id)

    def events(self, run_id: str, after: int = 0) -> AsyncGenerator[RunEvent, None]:
        """Yield a run's events in order, waiting for more until nobody works on it any more.

        Args:
            run_id: the run; it may be carried out by another process.
            after: number of the last event that is known already.

        Raises:
            UnknownRun: there is no such run.
        """
        return self._reader.events(run_id, after)

    async def get(self, run_id: str) -> RunResult:
        """Return a run as it stands; a private one of another process without its phases.

        Raises:
            UnknownRun: there is no such run.
            MachineError: it cannot be read.
        """
        return await self._reader.get(run_id)

    async def last_event(self, run_id: str) -> int:
        """Return the number of a run's last event so far.

        Raises:
            UnknownRun: there is no such run.
        """
        return await self._reader.last_event(run_id)

    async def list(self, limit: int = 20) -> tuple[RunResult, ...]:
        """Return the newest runs, without what their phases made."""
        return await self._reader.list(limit)

    # --- stopping and carrying on

    async def cancel(self, run_id: str) -> RunResult:
        """End a run now, wherever it is carried out; one that has ended stays as it is.

        Raises:
            UnknownRun: there is no such run.
        """
        live = self._live(run_id)
        if live is not None:
            live.interrupt(Stop.CANCEL)
            await asyncio.wrap_future(live.ended)
            return await self.get(run_id)
        row = await self._reader.require(run_id)
        if row.state in UNFINISHED:
            if self._custody.claim(run_id) is not None:
                self._custody.end(row, _CANCELLED)
            else:
                await self._reader.cancel_elsewhere(run_id)
        return await self.get(run_id)

    async def interrupt(self, run_id: str) -> None:
        """Stop a run of this process and keep it for `resume`; no server start carries it on."""
        live = self._live(run_id)
        if live is not None:
            live.interrupt(Stop.HOLD)
            await asyncio.wrap_future(live.ended)

    async def resume(
        self,
        run_id: str,
        from_phase: str | None = None,
        *,
        calls: int | None = None,
        tokens: int | None = None,
        usd: Decimal | None = None,
        seconds: float | None = None,
    ) -> str:
        """Carry a run on: after a crash, an interruption, a failure or an edit.

        Phases that are done are kept. Phases that failed or were skipped run again, and so do
        `from_phase` and all that use what runs again. What was spent stays spent.

        Args:
            run_id: the run.
            from_phase: the first phase to run again though it is done; None: none of them.
            calls: a new bound of its budget, all attempts together; None: as it was. Like the
                other bounds it cannot be over the configuration's.
            tokens: likewise.
            usd: likewise.
            seconds: likewise.

        Returns:
            `run_id`, once it is under way.

        Raises:
            UnknownRun: there is no such run.
            InvalidRequest: it is under way, was private, is done, or has no such phase.
            MachineError: it cannot be read.
        """
        row = await self._reader.require(run_id)
        if self._live(run_id) is not None:
            raise InvalidRequest(
                f"The run {run_id} is under way.", hint="`runs cancel` ends it; `runs show` tells."
            )
        require_resumable(row)
        spec = decode_spec(row)
        bounds = {"calls": calls, "tokens": tokens, "usd": usd, "seconds": seconds}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        outcomes = self._custody.outcomes(run_id)  # before it is owned: this may fail
        if row.state in UNFINISHED and from_phase is None and not given:
            row = self._custody.require(run_id)
            self._start(row, spec, outcomes=self._custody.outcomes(run_id))
            return run_id
        spec = msgspec.structs.replace(spec, budget=raised(spec.budget, given, self._most()))
        drop = to_drop(spec, outcomes, from_phase)
        row = self._custody.again(row, spec, drop)
        kept = {name: each for name, each in outcomes.items() if name not in drop}
        self._start(row, spec, outcomes=kept)
        return run_id

    async def resume_pending(self, *, watch: bool = False) -> tuple[str, ...]:
        """Carry on what dead processes left behind; return the ids of those runs.

        Plain SQL, and none at all where there never was a run: the durable engine starts only
        when there is something to carry on.

        Args:
            watch: do so again and again, until `close`, and remove old runs now and then.
        """
        if watch:
            self._here().keep("pending", self._watch_pending)
            self._here().keep("tidy", self._tidy)
        rows = await asyncio.to_thread(self._store.unfinished)
        left = [row for row in rows if not row.held and self._live(row.id) is None]
        return tuple(row.id for row in left if self._take_over(row.id))

    # --- removing

    async def remove(self, run_id: str) -> None:
        """Remove a run with everything of it, ours and the durable engine's.

        Raises:
            UnknownRun: there is no such run.
            InvalidRequest: it is under way.
        """
        row = await self._reader.require(run_id)
        if row.owner is not None:
            if self._live(run_id) is not None or self._custody.claim(run_id) is None:
                raise InvalidRequest(
                    f"The run {run_id} is under way.", hint=f"`ymera runs cancel {run_id}` ends it."
                )
            self._custody.end(row, _CANCELLED)
            row = await self._reader.require(run_id)
        await self._remove([row])

    async def prune(self, older_than: timedelta) -> int:
        """Remove runs that ended, or were interrupted for good, longer ago; return how many."""
        if not self._store.exists():
            return 0
        before = us(self._clock.now() - older_than)
        rows = await asyncio.to_thread(self._store.open().ended_before, before)
        return await self._remove(rows)

    async def close(self) -> None:
        """Stop what is under way (it is carried on at the next start) and release everything.

        May be used again after.
        """
        self._reader.era += 1
        lives = tuple(self._lives.values())
        for live in lives:
            live.interrupt(Stop.CLOSE)
        here = asyncio.get_running_loop()
        for live in lives:
            if live.task is not None and live.task.get_loop() is here:
                await asyncio.wait([live.task])
            elif not live.orphaned:
                await asyncio.wrap_future(live.ended)
        self._watchers.tell_all()
        if self._home is not None:
            home, self._home = self._home, None
            await home.close()
        self._lives.clear()
        self._reader.private.clear()
        await asyncio.to_thread(self._engine.close)
        self._store.close()

    # --- inside

    def _here(self) -> Home:
        """Return what belongs to the running event loop."""
        loop = asyncio.get_running_loop()
        if self._home is None or self._home.loop is not loop:
            self._home = Home(loop, self._max_parallel())
        return self._home

    def _live(self, run_id: str) -> LiveRun | None:
        live = self._lives.get(run_id)
        return None if live is None or live.ended.done() or live.orphaned else live

    def _start(
        self,
        row: RunRow,
        spec: RunSpec,
        *,
        outcomes: Mapping[str, PhaseOutcome],
        resumed: bool = True,
    ) -> None:
        """Drive a run that this process owns."""
        home = self._here()
        log = self._custody.log(spec.id, private=spec.private)
        live = LiveRun(
            spec,
            row.attempt,
            runner=self._runner,
            log=log,
            outcomes=outcomes,
            spent=decode_spent(row),
            clock=self._clock,
            resumed=resumed,
            journal=row.journal,
        )
        if isinstance(log, PrivateLog):
            self._reader.keep_private(spec, log)
        self._lives[spec.id] = live
        live.task = home.loop.create_task(self._driver.drive(live, home.slots), name=spec.id)
        live.task.add_done_callback(lambda _: self._forget_live(live))
        home.keep("beat", self._beat)

    def _forget_live(self, live: LiveRun) -> None:
        if self._lives.get(live.spec.id) is live:
            del self._lives[live.spec.id]

    def _take_over(self, run_id: str) -> bool:
        taken = self._custody.take_over(run_id)
        if taken is None:
            return False
        row, spec, outcomes = taken
        self._start(row, spec, outcomes=outcomes)
        return True

    async def _beat(self) -> None:
        """Renew this process's claims while it has runs; see what others want of them."""
        while self._lives:
            await self._wait(self._beat_s)
            lives = dict(self._lives)
            try:
                owned = await asyncio.to_thread(self._custody.renew, tuple(lives))
            except YmeraError as error:
                _log.warning("claims to runs not renewed: %s", error.message)
                continue
            for run_id, live in lives.items():
                if live.ended.done():
                    continue
                if run_id not in owned:
                    live.interrupt(Stop.LOST)
                elif owned[run_id]:
                    live.interrupt(Stop.CANCEL)

    async def _watch_pending(self) -> None:
        while True:
            await self._wait(self._lease_s)
            try:
                await self.resume_pending()
            except YmeraError as error:
                _log.warning("runs left behind not looked for: %s", error.message)

    async def _tidy(self) -> None:
        while True:
            try:
                await self.prune(self._retention())
            except YmeraError as error:
                _log.warning("old runs not removed: %s", error.message)
            await self._wait(_TIDY_PERIOD_S)

    async def _remove(self, rows: Sequence[RunRow]) -> int:
        if not rows:
            return 0
        workflows = [
            f"{row.id}.{number + 1}" for row in rows if row.journal for number in range(row.attempt)
        ]
        if workflows:
            engine = await asyncio.to_thread(self._engine.get)
            await asyncio.wrap_future(engine.forget(workflows))
        for row in rows:
            self._reader.private.pop(row.id, None)
        return await asyncio.to_thread(self._store.open().remove, [row.id for row in rows])
