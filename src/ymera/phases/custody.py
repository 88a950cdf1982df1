"""Owning runs: exactly one process works on a run, and a dead one loses it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from ymera.core.errors import InvalidRequest, MachineError, YmeraError
from ymera.engine.trace import INTERNAL_ERROR
from ymera.phases.dag import downstream
from ymera.phases.ending import Ending
from ymera.phases.owner import is_gone, new_owner
from ymera.phases.run_log import (
    PrivateLog,
    StoredLog,
    decode_outcomes,
    decode_spec,
    decode_spent,
    us,
)
from ymera.phases.types import (
    PLAN_FORMAT,
    Budget,
    PhaseOutcome,
    PhaseState,
    RunSpec,
    RunState,
    Spend,
)
from ymera.storage.runs import RunRow, SqlRunStore

__all__ = ["UNFINISHED", "Custody", "raised", "require_resumable", "to_drop"]

UNFINISHED = frozenset({RunState.PENDING.value, RunState.RUNNING.value})
_MOST_DEATHS = 3


class Custody:
    """This process's claims to runs. Methods block for a few ms.

    Args:
        store: where runs are kept.
        now: wall time.
        lease: after which a silent process loses its runs.
        told: called with the id of a run after each of its events.
    """

    def __init__(
        self,
        store: SqlRunStore,
        *,
        now: Callable[[], datetime],
        lease: timedelta,
        told: Callable[[str], None],
    ) -> None:
        self.owner = new_owner()
        self._store = store
        self._now = now
        self._lease = lease
        self._told = told

    def until(self) -> datetime:
        """Return when a claim made now ends unless it is renewed."""
        return self._now() + self._lease

    def log(self, run_id: str, *, private: bool) -> StoredLog:
        """Return where an owned run leaves what it made."""
        kind = PrivateLog if private else StoredLog
        return kind(
            self._store.open(),
            run_id,
            self.owner,
            now=self._now,
            told=lambda: self._told(run_id),
        )

    def claim(self, run_id: str) -> RunRow | None:
        """Own an unfinished run that nobody alive owns; return it as it was, None if not."""
        return self._store.open().claim(
            run_id, self.owner, us(self._now()), us(self.until()), is_gone
        )

    def release(self, run_id: str) -> None:
        """Own a run no more."""
        self._store.open().update(run_id, self.owner, {"owner": None, "lease_until_us": None})

    def restart(self, spec: RunSpec, drop: Collection[str]) -> RunRow | None:
        """Own a run that nobody owns, to do phases again; None when somebody owns it."""
        return self._store.open().restart(
            spec.id,
            self.owner,
            us(self.until()),
            drop,
            msgspec.json.encode(spec).decode(),
        )

    def require(self, run_id: str) -> RunRow:
        """Own an unfinished run; return it as it was.

        Raises:
            InvalidRequest: somebody else owns it.
        """
        row = self.claim(run_id)
        if row is None:
            raise InvalidRequest(
                f"The run {run_id} is carried out by another process.",
                hint="`runs cancel` ends it there; a dead process loses it within seconds.",
            )
        return row

    def again(self, row: RunRow, spec: RunSpec, drop: Collection[str]) -> RunRow:
        """Own a run to do its phases `drop` again; return it as it is now.

        Raises:
            InvalidRequest: somebody else owns it, or there is nothing to do again.
        """
        if row.state in UNFINISHED:
            self.require(row.id)
            self.release(row.id)
        elif not drop:
            raise InvalidRequest(
                f"The run {row.id} is done.",
                hint="Name the phase to run again from: --from PHASE.",
                param="from_phase",
            )
        again = self.restart(spec, drop)
        if again is None:
            raise InvalidRequest(f"The run {row.id} is carried out by another process.")
        return again

    def renew(self, run_ids: Collection[str]) -> dict[str, bool]:
        """Renew claims; return which still stand, and whether each run is to be cancelled."""
        return self._store.open().beat(run_ids, self.owner, us(self.until()))

    def end(self, row: RunRow, ending: Ending) -> None:
        """End an owned run that nobody works on."""
        try:
            spent = decode_spent(row)
        except MachineError:
            spent = Spend(usd=None)  # damaged: it ends all the same
        log = self.log(row.id, private=row.private)
        log.end(f"run.{ending.state.value}", ending, spent, journal=row.journal)

    def outcomes(self, run_id: str) -> dict[str, PhaseOutcome]:
        """Return how the phases of a run that have ended did.

        Raises:
            MachineError: one cannot be read.
        """
        return decode_outcomes(run_id, self._store.open().outcomes(run_id))

    def take_over(self, run_id: str) -> tuple[RunRow, RunSpec, dict[str, PhaseOutcome]] | None:
        """Own what a dead process left behind, and end it if it cannot be carried on.

        Returns:
            The run and its phases that have ended; None when it is not ours, or was ended.
        """
        row = self.claim(run_id)
        if row is None:
            return None
        deaths = row.deaths + (row.owner is not None)
        problem = None
        if row.private:
            problem = "The process that held this private run in memory has ended."
        elif row.format != PLAN_FORMAT:
            problem = "It was begun by a version of Ymera whose plans this one cannot carry on."
        elif deaths > _MOST_DEATHS:
            problem = f"{deaths} processes ended in the middle of it, in the same phases."
        if problem is None:
            try:
                decode_spent(row)
                return row, decode_spec(row), self.outcomes(run_id)
            except YmeraError as error:
                problem = error.message
        self.end(row, Ending(RunState.FAILED, INTERNAL_ERROR, problem))
        return None


def require_resumable(row: RunRow) -> None:
    """Check that a run may be carried on.

    Raises:
        InvalidRequest: it was private, or is of another version.
    """
    if row.private:
        raise InvalidRequest(
            f"The run {row.id} was private: its artefacts were kept in memory only.",
            hint="Run the task again.",
        )
    if row.format != PLAN_FORMAT:
        raise InvalidRequest(
            f"The run {row.id} was begun by a version of Ymera whose plans this one cannot "
            "carry on.",
            hint="Run the task again, or resume it with that version.",
        )


def to_drop(
    spec: RunSpec, outcomes: Mapping[str, PhaseOutcome], from_phase: str | None
) -> frozenset[str]:
    """Return the phases that are to run (again): those not done, `from_phase`, and their users.

    Raises:
        InvalidRequest: there is no phase `from_phase`.
    """
    names = [phase.name for phase in spec.phases]
    if from_phase is not None and from_phase not in names:
        raise InvalidRequest(
            f"The run {spec.id} has no phase {from_phase!r}.",
            hint=f"Phases: {', '.join(names)}.",
            param="from_phase",
        )
    first = [
        name
        for name in names
        if name == from_phase or name not in outcomes or outcomes[name].state is not PhaseState.DONE
    ]
    return frozenset(each for name in first for each in downstream(spec.phases, name))


def raised(
    budget: Budget, given: Mapping[str, int | float | Decimal], most: Budget | None
) -> Budget:
    """Return a budget with new bounds, none of them over `most`."""
    if most is not None:
        given = {name: min(bound, getattr(most, name)) for name, bound in given.items()}
    return msgspec.structs.replace(budget, **given)
