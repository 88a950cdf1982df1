"""What a run leaves behind while it is carried out: in the store, or of a private run in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ymera.core.errors import MachineError
from ymera.phases.ending import Ending, result_text
from ymera.phases.types import (
    PhaseOutcome,
    RunEvent,
    RunResult,
    RunSpec,
    RunState,
    Spend,
    Strategy,
)
from ymera.storage.runs import EventRow, NewEvent, RunRow

if TYPE_CHECKING:
    from ymera.storage.runs_database import RunsDatabase

__all__ = [
    "Detail",
    "LostError",
    "PrivateLog",
    "StoredLog",
    "decode_outcomes",
    "decode_spec",
    "decode_spent",
    "event_of",
    "from_us",
    "new_row",
    "result_of",
    "us",
]

_T = TypeVar("_T")

Detail = Mapping[str, str | int | float | bool | None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_DETAIL_CHARS = 1_000
_NOT_STORED = "A phase failed; the reason of a private run is kept in memory only."


class LostError(Exception):
    """Another process owns the run by now; this one must not go on with it."""


class StoredLog:
    """Writes a run that this process owns into the store. Methods block for a few ms.

    Args:
        database: the store.
        run_id, owner: which run, and as whom.
        now: wall time.
        told: called after each event.

    Every method raises LostError when the run is no longer the owner's.
    """

    def __init__(
        self,
        database: RunsDatabase,
        run_id: str,
        owner: str,
        *,
        now: Callable[[], datetime],
        told: Callable[[], None],
    ) -> None:
        self._database = database
        self._run_id = run_id
        self._owner = owner
        self._now = now
        self._told = told

    def event(self, kind: str, phase: str | None = None, detail: Detail | None = None) -> None:
        """Store an event."""
        self._kept(
            self._database.add_event(self._run_id, self._owner, self._new(kind, phase, detail))
        )
        self._told()

    def finish(self, outcome: PhaseOutcome, position: int, detail: Detail) -> PhaseOutcome:
        """Store how a phase ended; return the outcome that stands if there was one already."""
        kind = f"phase.{outcome.state.value}"
        stored = self._database.finish_phase(
            self._run_id,
            self._owner,
            outcome.phase,
            position,
            _encode(outcome),
            self._new(kind, outcome.phase, detail),
        )
        standing, _ = self._kept(stored)
        self._told()
        return msgspec.json.decode(standing, type=PhaseOutcome)

    def spent(self, spend: Spend) -> None:
        """Store what the run used and reserved so far."""
        self._keep(spent=_encode(spend))

    def begin(self, kind: str, detail: Detail) -> None:
        """Store that it is being carried out."""
        self._keep(state=RunState.RUNNING.value)
        self.event(kind, detail=detail)

    def end(
        self, kind: str, ending: Ending, spend: Spend, *, held: bool = False, journal: bool = False
    ) -> None:
        """Store how it ended or that it rests, and own it no more."""
        detail: Detail = {"error_code": ending.error_code, "error": ending.error}
        new = self._new(kind, None, {k: v for k, v in detail.items() if v is not None})
        values = end_values(ending, spend, self._now(), held=held, journal=journal)
        self._kept(self._database.end(self._run_id, self._owner, new, values))
        self._told()

    def keeps_journal(self) -> None:
        """Store that the durable engine holds rows of it from now on."""
        self._keep(journal=True)

    def _keep(self, **values: object) -> None:
        if not self._database.update(self._run_id, self._owner, values):
            raise LostError

    @staticmethod
    def _kept(value: _T | None) -> _T:
        if value is None:
            raise LostError
        return value

    def _new(self, kind: str, phase: str | None, detail: Detail | None) -> NewEvent:
        return NewEvent(
            at_us=us(self._now()), kind=kind, phase=phase, detail=_encode(_bounded(detail or {}))
        )


class PrivateLog(StoredLog):
    """Keeps a private run in memory; the store has a row of it, without any text.

    Attributes:
        events: what happened.
        outcomes: of its phases.
        ended: whether it has.
        error: why it is not done.
    """

    def __init__(
        self,
        database: RunsDatabase,
        run_id: str,
        owner: str,
        *,
        now: Callable[[], datetime],
        told: Callable[[], None],
    ) -> None:
        super().__init__(database, run_id, owner, now=now, told=told)
        self.events: list[RunEvent] = []
        self.outcomes: dict[str, PhaseOutcome] = {}
        self.ended = False
        self.error: str | None = None

    def event(self, kind: str, phase: str | None = None, detail: Detail | None = None) -> None:
        """Keep an event."""
        event = RunEvent(
            seq=len(self.events) + 1,
            at=self._now(),
            kind=kind,
            phase=phase,
            detail=dict(_bounded(detail or {})),
        )
        self.events.append(event)
        self._told()

    def finish(self, outcome: PhaseOutcome, position: int, detail: Detail) -> PhaseOutcome:
        """Keep how a phase ended."""
        self.outcomes[outcome.phase] = outcome
        self.event(f"phase.{outcome.state.value}", outcome.phase, detail)
        return outcome

    def end(
        self, kind: str, ending: Ending, spend: Spend, *, held: bool = False, journal: bool = False
    ) -> None:
        """Store that it ended, and why if that sentence is ours alone."""
        self.ended, self.error = True, ending.error
        told = replace(ending, error=_NOT_STORED) if ending.quotes else ending
        values = end_values(told, spend, self._now(), held=held, journal=journal)
        self._keep(**values, owner=None, lease_until_us=None, cancel_requested=False)
        self.event(kind, detail={"error_code": ending.error_code, "error": ending.error})


def end_values(
    ending: Ending, spend: Spend, now: datetime, *, held: bool, journal: bool
) -> dict[str, object]:
    """Return the columns of a run that ended, or rests (`pending`)."""
    ended = ending.state not in {RunState.PENDING, RunState.RUNNING}
    return {
        "state": ending.state.value,
        "spent": _encode(spend),
        "held": held,
        "journal": journal,
        "error_code": ending.error_code,
        "error": ending.error,
        "ended_at_us": us(now) if ended else None,
    }


# --- between rows and nouns


def new_row(spec: RunSpec, owner: str, *, now: datetime, until: datetime) -> RunRow:
    """Return the row of a run that begins; that of a private one holds no text."""
    return RunRow(
        id=spec.id,
        state=RunState.PENDING.value,
        agent=spec.agent.name,
        strategy=spec.strategy.value,
        strategy_reason=spec.strategy_reason,
        principal=spec.principal.id,
        private=spec.private,
        format=spec.format,
        created_at_us=us(now),
        spec=None if spec.private else _encode(spec),
        spent=_encode(Spend()),
        owner=owner,
        lease_until_us=us(until),
    )


def decode_spec(row: RunRow) -> RunSpec:
    """Return the run a row holds.

    Raises:
        MachineError: it cannot be read: damaged, or of another version.
    """
    try:
        return msgspec.json.decode(row.spec or "", type=RunSpec)
    except msgspec.MsgspecError as error:
        raise _unreadable(row.id, error) from error


def decode_spent(row: RunRow) -> Spend:
    """Return what a run used.

    Raises:
        MachineError: it cannot be read.
    """
    try:
        return msgspec.json.decode(row.spent, type=Spend)
    except msgspec.MsgspecError as error:
        raise _unreadable(row.id, error) from error


def decode_outcomes(run_id: str, stored: Mapping[str, str]) -> dict[str, PhaseOutcome]:
    """Return outcomes by phase name.

    Raises:
        MachineError: one cannot be read.
    """
    try:
        return {name: msgspec.json.decode(text, type=PhaseOutcome) for name, text in stored.items()}
    except msgspec.MsgspecError as error:
        raise _unreadable(run_id, error) from error


def event_of(row: EventRow) -> RunEvent:
    """Return the event a row holds."""
    return RunEvent(
        seq=row.seq,
        at=from_us(row.at_us),
        kind=row.kind,
        phase=row.phase,
        detail=msgspec.json.decode(row.detail),
    )


def result_of(
    row: RunRow, outcomes: Mapping[str, PhaseOutcome], result_phase: str | None
) -> RunResult:
    """Return a run as callers see it; `result_phase` None: its outcomes are not at hand."""
    return RunResult(
        run_id=row.id,
        agent=row.agent,
        state=RunState(row.state),
        strategy_type=Strategy(row.strategy),
        strategy_reason=row.strategy_reason,
        phases=dict(outcomes),
        result="" if result_phase is None else result_text(result_phase, outcomes),
        spend=decode_spent(row),
        private=row.private,
        created_at=from_us(row.created_at_us),
        error_code=row.error_code,
        error=row.error,
    )


def us(at: datetime) -> int:
    """Return a time as whole microseconds since 1970 (UTC)."""
    return (at - _EPOCH) // _MICROSECOND


def from_us(at_us: int) -> datetime:
    """Return the time of `us`."""
    return _EPOCH + at_us * _MICROSECOND


def _unreadable(run_id: str, error: Exception) -> MachineError:
    return MachineError(
        f"The stored run {run_id} cannot be read ({error}).",
        hint=f"`ymera runs remove {run_id}` removes it; run the task again.",
    )


def _encode(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # a lone surrogate, which is no text that could be stored
        return msgspec.json.encode(_clean(msgspec.to_builtins(value))).decode()


def _clean(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_clean(key): _clean(each) for key, each in value.items()}
        case list() | tuple():
            return [_clean(each) for each in value]
        case _:
            return value


def _bounded(detail: Detail) -> Detail:
    return {
        name: value[:_MAX_DETAIL_CHARS] if isinstance(value, str) else value
        for name, value in detail.items()
    }
