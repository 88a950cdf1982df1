"""The request table as a few statements. Imports SQLAlchemy: import it lazily."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy.orm  # noqa: F401 - dbos loads it in a thread; half loaded, it breaks statements
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Select,
    create_engine,
    delete,
    event,
    insert,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from ymera.core.errors import ConfigError, InvalidRequest, MachineError
from ymera.core.record import RequestRecord
from ymera.storage.migrations import upgrade
from ymera.storage.rows import (
    COLUMNS,
    RequestSummary,
    StoredRequest,
    from_row,
    summary_from_row,
    to_row,
    to_values,
)
from ymera.storage.schema import requests

__all__ = ["Database"]

_BUSY_TIMEOUT_S = 5.0
_AT_ONCE = (64, 8, 1)
"""Rows of one statement. Their values stay far below the number that SQLite takes, 32,766."""

_BODIES = {"detail", "prompt", "answer"}
_SUMMARY = [column for column in requests.c if column.name not in _BODIES]


class Database:
    """An open database with the schema of this version.

    Args:
        location: a SQLite file, created with its folders when missing; or a SQLAlchemy URL.

    Raises:
        ConfigError: the URL is malformed, or its driver is not installed.
        MachineError: the database is unreadable, unwritable, corrupt or of a newer version.
    """

    def __init__(self, location: Path | str) -> None:
        url = _parse(location)
        self._shown = url.database if _is_file(url) else url.render_as_string(hide_password=True)
        with self._explained():
            if _is_file(url):
                _prepare_file(Path(str(url.database)))
            self._engine = _make_engine(url)
            try:
                upgrade(self._engine)
            except BaseException:
                self._engine.dispose()
                raise

    def check_writable(self) -> None:
        """Raise MachineError unless a write would be let in now."""
        with self._explained(), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")

    def insert(self, records: Sequence[RequestRecord]) -> None:
        """Write records in one transaction."""
        if self._engine.dialect.name != "sqlite":
            rows = [to_row(record) for record in records]
            with self._explained(), self._engine.begin() as connection:
                connection.execute(insert(requests), rows)
            return
        values = [to_values(record) for record in records]
        with self._explained(), self._engine.begin() as connection:
            for place, count in _pieces(len(values)):
                row = tuple(chain.from_iterable(values[place : place + count]))
                connection.exec_driver_sql(_insert_of(count), row)

    def newest(self, limit: int, before_id: str | None) -> list[RequestSummary]:
        """Return requests without bodies, last written first, those before `before_id` only.

        Raises:
            InvalidRequest: there is no `before_id`.
        """
        query = select(*_SUMMARY).order_by(requests.c.seq.desc()).limit(limit)
        with self._explained(), self._engine.connect() as connection:
            if before_id is not None:
                seq = connection.execute(_newest_of(before_id).with_only_columns(requests.c.seq))
                cursor = seq.scalar()
                if cursor is None:
                    raise InvalidRequest(
                        f"No request has the id '{before_id}'.",
                        hint="Start with the newest page, or name the id of a stored request.",
                        param="before_id",
                    )
                query = query.where(requests.c.seq < cursor)
            return [summary_from_row(row._asdict()) for row in connection.execute(query)]

    def find(self, id_: str) -> StoredRequest | None:
        """Return the request of an id; the last written one if the id was used twice."""
        with self._explained(), self._engine.connect() as connection:
            row = connection.execute(_newest_of(id_)).first()
            return None if row is None else from_row(row._asdict())

    def delete_before(self, at_us: int, batch: int) -> int:
        """Delete rows of requests that arrived earlier, `batch` per transaction; return how many.

        Small transactions, so that the writer never waits long for its turn.
        """
        old = select(requests.c.seq).where(requests.c.at_us < at_us).limit(batch)
        deleted = 0
        with self._explained():
            while True:
                with self._engine.begin() as connection:
                    result = connection.execute(delete(requests).where(requests.c.seq.in_(old)))
                deleted += result.rowcount
                if result.rowcount < batch:
                    return deleted

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with.

        Raises:
            MachineError: from the block too, whatever the database refuses.
        """
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a transaction that may write from its start; commit it at the end.

        Raises:
            MachineError: from the block too, whatever the database refuses.
        """
        with self._explained(), self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, msgspec.MsgspecError) as error:
            raise _machine_error(self._shown, error) from error


def _pieces(count: int) -> Iterator[tuple[int, int]]:
    """Yield where each piece of a batch begins and how long it is; there are few lengths."""
    place = 0
    for length in _AT_ONCE:
        while count - place >= length:
            yield place, length
            place += length


@cache
def _insert_of(count: int) -> str:
    """Return the statement that inserts so many rows.

    One statement is written while other threads run; many would each wait for their turn twice.
    """
    row = f"({', '.join('?' * len(COLUMNS))})"
    return (
        f"INSERT INTO {requests.name} ({', '.join(COLUMNS)})"  # noqa: S608 - all of it is ours
        f" VALUES {', '.join([row] * count)}"
    )


def _newest_of(id_: str) -> Select[*tuple[Any, ...]]:
    return select(requests).where(requests.c.id == id_).order_by(requests.c.seq.desc()).limit(1)


def _parse(location: Path | str) -> URL:
    if isinstance(location, Path):
        return URL.create("sqlite", database=str(location))
    try:
        url = make_url(location)
        url.get_dialect()
    except (ArgumentError, SQLAlchemyError, ImportError) as error:
        # The URL may hold a password, so neither it nor SQLAlchemy's sentence is shown.
        raise ConfigError(
            "The database URL cannot be used.",
            hint="Write it as postgresql+driver://user:password@host/name, with that driver"
            " installed, or leave it out for SQLite.",
        ) from error
    if url.get_backend_name() == "sqlite" and not _is_file(url):
        raise ConfigError(
            "An in-memory SQLite database cannot hold the request records.",
            hint="Name a file: sqlite:///path/to/records.db",
        )
    return url


def _is_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}


def _prepare_file(path: Path) -> None:
    """Create the file for its owner alone; SQLite gives its side files the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _make_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # an error must not quote a prompt
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        connect_args={"timeout": _BUSY_TIMEOUT_S} if _is_file(url) else {},
    )
    if _is_file(url):
        event.listen(engine, "connect", _tune_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: object) -> None:
    # A power cut may cost the last batches, never the file: the right price for records.
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # The mode belongs to the file. SQLite does not wait here: when it is locked, somebody
        # else who opens it is making the same change.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _machine_error(shown: str | None, error: Exception) -> MachineError:
    original = error.orig if isinstance(error, DBAPIError) else error
    text = f"{type(original).__name__}: {original}".lower()
    if "not a database" in text or "malformed" in text or isinstance(error, msgspec.MsgspecError):
        hint = "The file is damaged: move it away and a new one will be made."
    elif "locked" in text or "busy" in text:
        hint = "Another process holds it: wait, or stop that process."
    elif "full" in text or "no space" in text:
        hint = "Free some disk space."
    else:
        hint = "Check that the directory exists and is writable, or set YMERA_DATA_DIR to another."
    return MachineError(f"The request records in '{shown}' cannot be used ({original}).", hint=hint)
