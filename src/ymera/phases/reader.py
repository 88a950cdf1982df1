"""Reading runs: as they stand, and as they go on, from this process or another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import msgspec

from ymera.core.errors import UnknownRun
from ymera.phases.custody import UNFINISHED, Custody
from ymera.phases.run_log import PrivateLog, decode_outcomes, decode_spec, event_of, result_of
from ymera.phases.types import RunEvent, RunResult, RunSpec
from ymera.phases.watch import Watchers, either
from ymera.storage.runs import RunRow, SqlRunStore

__all__ = ["RunReader"]

_POLL_S = 0.5
_PAGE = 500
_MOST_PRIVATE = 100
_CANCELLED_WITHIN_S = 5.0


class RunReader:
    """What `RunService` tells of runs.

    Args:
        store: where runs are kept.
        custody: ends private runs whose process has ended.
        watchers: those who wait for events.
        wait: sleeps for some seconds.

    Attributes:
        private: private runs of this process, by id.
        era: raised when the service closes.
    """

    def __init__(
        self,
        store: SqlRunStore,
        custody: Custody,
        watchers: Watchers,
        wait: Callable[[float], Awaitable[None]],
    ) -> None:
        self._store = store
        self._custody = custody
        self._watchers = watchers
        self._wait = wait
        self.private: dict[str, tuple[RunSpec, PrivateLog]] = {}
        self.era = 0

    def keep_private(self, spec: RunSpec, log: PrivateLog) -> None:
        """Keep a private run that begins; the oldest that have ended make room."""
        self.private[spec.id] = (spec, log)
        ended = [id_ for id_, (_, each) in self.private.items() if each.ended]
        for id_ in ended[: max(0, len(self.private) - _MOST_PRIVATE)]:
            del self.private[id_]

    async def events(self, run_id: str, after: int) -> AsyncGenerator[RunEvent, None]:
        """Yield events; see `RunService.events`."""
        era = self.era
        with self._watchers.watching(run_id) as woken:
            await self.require(run_id)
            while era == self.era:
                row = await asyncio.to_thread(self._store.find, run_id)
                events = await self._events_after(run_id, after)
                for event in events:
                    after = event.seq
                    yield event
                if events:
                    continue
                if row is None or row.owner is None:
                    return
                await either(woken, self._wait, _POLL_S)

    async def get(self, run_id: str) -> RunResult:
        """Return a run; see `RunService.get`."""
        row = await self.require(run_id)
        if row.private:
            spec, log = self.private.get(run_id, (None, None))
            if spec is None or log is None:
                return result_of(row, {}, None)
            done = {p.name: log.outcomes[p.name] for p in spec.phases if p.name in log.outcomes}
            result = result_of(row, done, spec.result_phase)
            return msgspec.structs.replace(result, error=log.error or row.error)
        stored = await asyncio.to_thread(self._store.open().outcomes, run_id)
        return result_of(row, decode_outcomes(run_id, stored), decode_spec(row).result_phase)

    async def last_event(self, run_id: str) -> int:
        """Return the number of a run's last event so far."""
        row = await self.require(run_id)
        private = self.private.get(run_id)
        return row.last_seq if private is None else len(private[1].events)

    async def list(self, limit: int) -> tuple[RunResult, ...]:
        """Return the newest runs, without what their phases made."""
        rows = await asyncio.to_thread(self._store.newest, limit)
        return tuple(result_of(row, {}, None) for row in rows)

    async def require(self, run_id: str) -> RunRow:
        """Return a run's row.

        Raises:
            UnknownRun: there is no such run.
        """
        row = await asyncio.to_thread(self._store.find, run_id)
        if row is None:
            raise UnknownRun(f"No run has the id {run_id!r}.", hint="`ymera runs` lists them.")
        if row.private and row.state in UNFINISHED and run_id not in self.private:
            # Nobody can carry it on; if its process has ended, say so.
            self._custody.take_over(run_id)
            row = await asyncio.to_thread(self._store.find, run_id) or row
        return row

    async def _events_after(self, run_id: str, after: int) -> Sequence[RunEvent]:
        private = self.private.get(run_id)
        if private is not None:
            return private[1].events[after:]
        rows = await asyncio.to_thread(self._store.open().events, run_id, after, _PAGE)
        return [event_of(row) for row in rows]

    async def cancel_elsewhere(self, run_id: str) -> None:
        """Ask the process that carries a run out to cancel it, and wait a little."""
        await asyncio.to_thread(self._store.open().request_cancel, run_id)
        for _ in range(round(_CANCELLED_WITHIN_S / _POLL_S)):
            await self._wait(_POLL_S)
            row = await asyncio.to_thread(self._store.find, run_id)
            if row is None or row.state not in UNFINISHED:
                return
