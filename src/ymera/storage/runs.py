"""The store of runs: who carries out what, what its phases made, what happened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ymera.storage.per_process import PerProcess

if TYPE_CHECKING:
    from ymera.storage.runs_database import RunsDatabase

__all__ = ["EventRow", "NewEvent", "RunRow", "SqlRunStore"]


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run as it is stored; times are microseconds since 1970 (UTC).

    Attributes:
        spec: JSON of everything needed to carry it on; None for a private run.
        spent: JSON of what it used so far, reservations included.
        attempt: raised each time phases are dropped to run again.
        deaths: owners that died since a phase was last finished.
        held: interrupted on purpose; no server start carries it on.
        journal: whether the durable engine may still hold rows of it.
        owner: process that carries it out; None when nobody does.
        last_seq: number of its last event.
    """

    id: str
    state: str
    agent: str
    strategy: str
    strategy_reason: str
    principal: str
    private: bool
    format: str
    created_at_us: int
    spec: str | None = None
    spent: str = "{}"
    attempt: int = 1
    deaths: int = 0
    held: bool = False
    journal: bool = False
    owner: str | None = None
    lease_until_us: int | None = None
    cancel_requested: bool = False
    last_seq: int = 0
    error_code: str | None = None
    error: str | None = None
    ended_at_us: int | None = None


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event before it has a number; `detail` is JSON."""

    at_us: int
    kind: str
    phase: str | None = None
    detail: str = "{}"


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is stored."""

    seq: int
    at_us: int
    kind: str
    phase: str | None
    detail: str


class SqlRunStore:
    """Where runs are kept. Constructing one touches nothing.

    What it returns may block, be called from any thread, and raise MachineError (the database is
    unreadable, unwritable, corrupt or newer) or ConfigError (bad URL).

    Args:
        location: a SQLite file (Path), or the URL of a PostgreSQL database.
    """

    def __init__(self, location: Path | str) -> None:
        self._location = location
        self._databases = PerProcess(self._open)

    def exists(self) -> bool:
        """Return whether there can be runs; costs nothing, SQLAlchemy is not loaded."""
        return not isinstance(self._location, Path) or self._location.exists()

    def find(self, id_: str) -> RunRow | None:
        """Return a run."""
        return self.open().get(id_) if self.exists() else None

    def newest(self, limit: int) -> list[RunRow]:
        """Return at most `limit` runs, last made first, without their specs."""
        return self.open().newest(limit) if self.exists() else []

    def unfinished(self) -> list[RunRow]:
        """Return every run that has not ended, oldest first, without their specs."""
        return self.open().unfinished() if self.exists() else []

    def open(self) -> RunsDatabase:
        """Return the database, opened (and made or upgraded) at the first call."""
        return self._databases.get()

    def close(self) -> None:
        """Close the connections of this process; a later call opens them again."""
        self._databases.close()

    def _open(self) -> RunsDatabase:
        from ymera.storage.runs_database import RunsDatabase  # costs 0.2 s

        return RunsDatabase(self._location)
