"""The tables of runs as a few statements. Imports SQLAlchemy: import it lazily."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy.orm  # noqa: F401 - dbos loads it in a thread; half loaded, it breaks statements
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Row,
    and_,
    create_engine,
    delete,
    event,
    insert,
    make_url,
    or_,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from ymera.core.errors import ConfigError, MachineError
from ymera.storage.runs import EventRow, NewEvent, RunRow
from ymera.storage.runs_schema import events, phases, runs, upgrade

__all__ = ["RunsDatabase"]

_BUSY_TIMEOUT_S = 30.0
_UNFINISHED = ("pending", "running")
_WITHOUT_SPEC = [column for column in runs.c if column.name != "spec"]


class RunsDatabase:
    """An open database with the tables of this version.

    Methods that take an `owner` change nothing, and say so, when the run has another one by now:
    a process that lost a run cannot write into it.

    What a finished phase cost in time and quota is worth a flush of the disk: outcomes and states
    survive a power cut. Events and spending survive the death of the process alone, which costs
    a tenth of that.
    """

    def __init__(self, location: Path | str) -> None:
        url = _parse(location)
        self._shown = str(location) if isinstance(location, Path) else _shown(url)
        with self._explained():
            if isinstance(location, Path):
                location.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(location, os.O_CREAT | os.O_RDWR, 0o600))
            self._lasting = _make_engine(url, "FULL")
            self._quick = self._lasting
            try:
                upgrade(self._lasting)
            except BaseException:
                self._lasting.dispose()
                raise
            if isinstance(location, Path):
                self._quick = _make_engine(url, "NORMAL")

    def add(self, row: RunRow) -> None:
        """Store a new run."""
        with self._write(self._lasting) as connection:
            connection.execute(insert(runs).values(msgspec.structs.asdict(row)))

    def get(self, id_: str) -> RunRow | None:
        """Return a run with its spec."""
        with self._read() as connection:
            return _run(connection.execute(select(runs).where(runs.c.id == id_)).first())

    def newest(self, limit: int) -> list[RunRow]:
        """Return at most `limit` runs, last made first, without their specs."""
        order = (runs.c.created_at_us.desc(), runs.c.id)
        with self._read() as connection:
            return _runs(connection.execute(select(*_WITHOUT_SPEC).order_by(*order).limit(limit)))

    def unfinished(self) -> list[RunRow]:
        """Return every run that has not ended, oldest first, without their specs."""
        query = select(*_WITHOUT_SPEC).where(runs.c.state.in_(_UNFINISHED))
        with self._read() as connection:
            return _runs(connection.execute(query.order_by(runs.c.created_at_us, runs.c.id)))

    def ended_before(self, at_us: int) -> list[RunRow]:
        """Return runs that ended earlier, and interrupted ones made earlier; without specs."""
        held = and_(runs.c.held, runs.c.owner.is_(None), runs.c.created_at_us < at_us)
        query = select(*_WITHOUT_SPEC).where(or_(runs.c.ended_at_us < at_us, held))
        with self._read() as connection:
            return _runs(connection.execute(query))

    def forgotten(self, ids: Collection[str]) -> None:
        """Note that the durable engine holds nothing more of runs that nobody owns."""
        with self._write(self._quick) as connection:
            connection.execute(
                update(runs)
                .where(runs.c.id.in_(list(ids)), runs.c.owner.is_(None))
                .values(journal=False)
            )

    def claim(
        self, id_: str, owner: str, now_us: int, until_us: int, is_gone: Callable[[str], bool]
    ) -> RunRow | None:
        """Make `owner` the owner of an unfinished run that nobody (alive) owns.

        Args:
            id_: the run.
            owner: name of this process.
            now_us: the present.
            until_us: end of the lease.
            is_gone: tells of another owner's name whether that process is known to have ended;
                one that is not known to have keeps the run until its lease ends.

        Returns:
            The run as it was; None when it has ended or somebody else owns it.
        """
        with self._read() as connection:
            row = _run(connection.execute(select(runs).where(runs.c.id == id_)).first())
        if row is None or row.state not in _UNFINISHED:
            return None
        died = row.owner is not None
        expired = row.lease_until_us is None or row.lease_until_us < now_us
        if row.owner is not None and not (expired or is_gone(row.owner)):
            return None
        same = runs.c.owner.is_(None) if row.owner is None else runs.c.owner == row.owner
        change = (
            update(runs)
            .where(runs.c.id == id_, runs.c.state.in_(_UNFINISHED), same)
            .values(
                owner=owner, lease_until_us=until_us, held=False, deaths=runs.c.deaths + int(died)
            )
        )
        if row.owner is not None and not is_gone(row.owner):
            change = change.where(runs.c.lease_until_us == row.lease_until_us)
        with self._write(self._lasting) as connection:
            return row if connection.execute(change).rowcount else None

    def beat(self, ids: Collection[str], owner: str, until_us: int) -> dict[str, bool]:
        """Extend the leases of runs; return the owner's among them, and whether to cancel each."""
        mine = (runs.c.id.in_(list(ids)), runs.c.owner == owner)
        with self._write(self._quick) as connection:
            connection.execute(update(runs).where(*mine).values(lease_until_us=until_us))
            rows = connection.execute(select(runs.c.id, runs.c.cancel_requested).where(*mine))
            return {row.id: row.cancel_requested for row in rows}

    def update(self, id_: str, owner: str, values: Mapping[str, object]) -> bool:
        """Set columns of a run; return whether it is (still) the owner's."""
        with self._write(self._quick) as connection:
            return _change(connection, id_, owner, values)

    def add_event(self, id_: str, owner: str, new: NewEvent) -> EventRow | None:
        """Store an event with the next number; None when the run is no longer the owner's."""
        with self._write(self._quick) as connection:
            return _number(connection, id_, owner, new, {})

    def finish_phase(
        self, id_: str, owner: str, phase: str, position: int, outcome: str, new: NewEvent
    ) -> tuple[str, EventRow | None] | None:
        """Store a phase's outcome and its event, unless there is an outcome already.

        Returns:
            The outcome that stands, and the event if it was stored now; None when the run is no
            longer the owner's.
        """
        with self._write(self._lasting) as connection:
            if not _change(connection, id_, owner, {"deaths": 0}):  # takes the write lock, too
                return None
            key = (phases.c.run_id == id_, phases.c.phase == phase)
            standing = connection.execute(select(phases.c.outcome).where(*key)).scalar()
            if standing is not None:
                return standing, None
            row = {"run_id": id_, "phase": phase, "position": position, "outcome": outcome}
            connection.execute(insert(phases).values(row))
            return outcome, _number(connection, id_, owner, new, {})

    def end(
        self, id_: str, owner: str, new: NewEvent, values: Mapping[str, object]
    ) -> EventRow | None:
        """Set columns, store an event, and own the run no more; None when it was lost."""
        free = {"owner": None, "lease_until_us": None, "cancel_requested": False}
        with self._write(self._lasting) as connection:
            return _number(connection, id_, owner, new, {**values, **free})

    def restart(
        self, id_: str, owner: str, until_us: int, drop: Collection[str], spec: str
    ) -> RunRow | None:
        """Own a run that nobody owns, forget the outcomes `drop`, and count a new attempt.

        Returns:
            The run as it is now; None when somebody owns it.
        """
        with self._write(self._lasting) as connection:
            changed = connection.execute(
                update(runs)
                .where(runs.c.id == id_, runs.c.owner.is_(None))
                .values(
                    owner=owner,
                    lease_until_us=until_us,
                    state="pending",
                    attempt=runs.c.attempt + 1,
                    spec=spec,
                    deaths=0,
                    held=False,
                    cancel_requested=False,
                    error_code=None,
                    error=None,
                    ended_at_us=None,
                )
            )
            if not changed.rowcount:
                return None
            connection.execute(
                delete(phases).where(phases.c.run_id == id_, phases.c.phase.in_(list(drop)))
            )
            return _run(connection.execute(select(runs).where(runs.c.id == id_)).first())

    def request_cancel(self, id_: str) -> None:
        """Ask whoever owns the run to cancel it."""
        with self._write(self._quick) as connection:
            connection.execute(
                update(runs)
                .where(runs.c.id == id_, runs.c.owner.is_not(None))
                .values(cancel_requested=True)
            )

    def outcomes(self, id_: str) -> dict[str, str]:
        """Return the outcomes of a run's phases in plan order."""
        query = select(phases.c.phase, phases.c.outcome).where(phases.c.run_id == id_)
        with self._read() as connection:
            rows = connection.execute(query.order_by(phases.c.position))
            return {row.phase: row.outcome for row in rows}

    def events(self, id_: str, after: int, limit: int) -> list[EventRow]:
        """Return events with a higher number than `after`, in order."""
        query = (
            select(events)
            .where(events.c.run_id == id_, events.c.seq > after)
            .order_by(events.c.seq)
            .limit(limit)
        )
        with self._read() as connection:
            return [
                EventRow(
                    seq=row.seq,
                    at_us=row.at_us,
                    kind=row.kind,
                    phase=row.phase,
                    detail=row.detail,
                )
                for row in connection.execute(query)
            ]

    def remove(self, ids: Collection[str]) -> int:
        """Delete runs nobody owns, with everything of theirs; return how many."""
        with self._write(self._lasting) as connection:
            free = (runs.c.id.in_(list(ids)), runs.c.owner.is_(None))
            gone = list(connection.scalars(delete(runs).where(*free).returning(runs.c.id)))
            for table in (phases, events):
                connection.execute(delete(table).where(table.c.run_id.in_(gone)))
            return len(gone)

    def close(self) -> None:
        """Close every connection."""
        for engine in {self._lasting, self._quick}:
            engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._explained(), self._quick.connect() as connection:
            yield connection

    @contextmanager
    def _write(self, engine: Engine) -> Iterator[Connection]:
        with self._explained(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            raise _machine_error(self._shown, error) from error


def _change(connection: Connection, id_: str, owner: str, values: Mapping[str, object]) -> bool:
    statement = update(runs).where(runs.c.id == id_, runs.c.owner == owner).values(**values)
    return bool(connection.execute(statement).rowcount)


def _number(
    connection: Connection, id_: str, owner: str, new: NewEvent, values: Mapping[str, object]
) -> EventRow | None:
    """Store an event under the run's next number, changing the run in the same statement."""
    statement = (
        update(runs)
        .where(runs.c.id == id_, runs.c.owner == owner)
        .values(**values, last_seq=runs.c.last_seq + 1)
        .returning(runs.c.last_seq)
    )
    seq = connection.execute(statement).scalar()
    if seq is None:
        return None
    row = {"seq": seq, **msgspec.structs.asdict(new)}
    connection.execute(insert(events).values(run_id=id_, **row))
    return EventRow(seq=seq, at_us=new.at_us, kind=new.kind, phase=new.phase, detail=new.detail)


def _run(row: Row[Any] | None) -> RunRow | None:
    return None if row is None else RunRow(**row._asdict())


def _runs(rows: Any) -> list[RunRow]:
    return [RunRow(**row._asdict()) for row in rows]


def _parse(location: Path | str) -> URL:
    if isinstance(location, Path):
        return URL.create("sqlite", database=str(location))
    try:
        url = make_url(location)
    except ArgumentError as error:
        raise _unusable() from error  # may hold a password, so it is not shown
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise _unusable()
    return url.set(drivername="postgresql+psycopg")


def _unusable() -> ConfigError:
    return ConfigError(
        "The database URL for runs cannot be used.",
        hint="Write it as postgresql://user:password@host/name, or set runs.database_url_env to "
        "null for SQLite.",
        param="runs.database_url_env",
    )


def _shown(url: URL) -> str:
    return url.set(password=None, query={}).render_as_string()


def _make_engine(url: URL, synchronous: str) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_TIMEOUT_S})

    def tune(connection: Any, _record: object) -> None:
        # IMMEDIATE: two writers wait for each other instead of failing half way.
        connection.isolation_level = "IMMEDIATE"
        with suppress(sqlite3.OperationalError):  # another opener is making the same change
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")

    event.listen(engine, "connect", tune)
    return engine


def _machine_error(shown: str, error: Exception) -> MachineError:
    original = error.orig if isinstance(error, DBAPIError) else error
    text = f"{type(original).__name__}: {original}".lower()
    if "not a database" in text or "malformed" in text:
        hint = "The file is damaged: move it away and a new one will be made."
    elif "locked" in text or "busy" in text:
        hint = "Another process holds it: wait, or stop that process."
    elif "full" in text or "no space" in text:
        hint = "Free some disk space."
    elif shown.startswith("postgresql"):
        hint = "Check that the database server runs and lets this user in."
    else:
        hint = "Check that the directory exists and is writable, or set YMERA_DATA_DIR to another."
    reason = type(original).__name__ if shown.startswith("postgresql") else str(original)
    return MachineError(f"The runs in '{shown}' cannot be used ({reason}).", hint=hint)
