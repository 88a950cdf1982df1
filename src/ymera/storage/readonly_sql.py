"""Reading from other people's databases: one statement, no change, little time, few rows.

Four locks on SQLite (statement kind, file opened read-only, `query_only`, an authorizer) and
three on PostgreSQL (statement kind, read-only transaction, one statement by protocol). Imports
SQLAlchemy: import it lazily.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool, PoolProxiedConnection

from ymera.core.errors import ConfigError, InvalidRequest, MachineError
from ymera.storage.sql_check import require_reading

__all__ = ["ReadOnlySql", "SqlTable"]

_PROGRESS_STEPS = 2000
_MAX_CELL_CHARS = 500
_MAX_VALUE_BYTES = 1_000_000
_MAX_ERROR_CHARS = 300
_DENIED_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})


class SqlTable(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement gave: cells as text, None for NULL; `more` when rows were left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    more: bool = False


class ReadOnlySql:
    """One database, for reading only. Blocks: call it from a thread. Holds no connection.

    Args:
        url: SQLAlchemy URL: `sqlite:///file.db`, or `postgresql://user:password@host/name`.
        timeout_s: seconds one statement may take.
        max_rows: rows of one answer.
        max_chars: characters of one answer, all cells together.
        monotonic: seconds that only grow.

    Raises:
        ConfigError: the URL is malformed or names another kind of database.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 10.0,
        max_rows: int = 100,
        max_chars: int = 20_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = _parse(url)
        self._timeout_s = timeout_s
        self._max_rows = max_rows
        self._max_chars = max_chars
        self._monotonic = monotonic
        self.dialect = "sqlite" if _is_sqlite(self._url) else "postgres"

    def query(self, sql: str, values: Sequence[str | int | float] = ()) -> SqlTable:
        """Return the rows of one reading statement.

        Args:
            sql: one SELECT, WITH, VALUES or EXPLAIN.
            values: for its `?` (SQLite) or `%s` (PostgreSQL).

        Raises:
            InvalidRequest: not one reading statement, wrong names, or over the time limit.
            MachineError: the database cannot be reached.
        """
        text = require_reading(sql, self.dialect)
        if self.dialect == "sqlite":
            return self._query_sqlite(text, values)
        return self._query_postgres(text, values)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Lend an engine whose connections cannot write; for reading the schema.

        Raises:
            MachineError: the database cannot be reached.
        """
        made = self._postgres() if self.dialect == "postgres" else _sqlite_engine(self._open)
        try:
            yield made
        except SQLAlchemyError as error:
            raise self._unreachable(error) from error
        finally:
            made.dispose()

    def _query_sqlite(self, sql: str, values: Sequence[str | int | float]) -> SqlTable:
        with closing(self._open()) as connection:
            deadline = self._monotonic() + self._timeout_s
            connection.set_authorizer(_authorize)
            connection.set_progress_handler(
                lambda: int(self._monotonic() > deadline), _PROGRESS_STEPS
            )
            try:
                cursor = connection.execute(sql, tuple(values))
                columns = tuple(str(column[0]) for column in cursor.description or ())
                return self._table(columns, cursor)
            except sqlite3.Error as error:
                if self._monotonic() > deadline:
                    raise self._too_slow() from error
                raise InvalidRequest(_said(error), hint="Look at the schema again.") from error

    def _query_postgres(self, sql: str, values: Sequence[str | int | float]) -> SqlTable:
        import psycopg

        with self.engine() as engine, closing(self._connected(engine)) as connection:
            driver: Any = connection.driver_connection
            cursor = driver.cursor()
            try:
                # `stream` sends one statement by the extended protocol, row by row.
                rows = cursor.stream(sql, tuple(values) or None)
                first = next(rows, None)
                columns = tuple(str(column.name) for column in cursor.description or ())
                with closing(rows):
                    return self._table(columns, () if first is None else _chain(first, rows))
            except psycopg.errors.QueryCanceled as error:
                raise self._too_slow() from error
            except psycopg.Error as error:
                raise InvalidRequest(_said(error), hint="Look at the schema again.") from error
            finally:
                driver.rollback()

    def _connected(self, engine: Engine) -> PoolProxiedConnection:
        import psycopg

        try:
            return engine.raw_connection()
        except psycopg.Error as error:  # SQLAlchemy passes on what the driver raises here
            raise self._unreachable(error) from None

    def _open(self) -> sqlite3.Connection:
        path = Path(str(self._url.database))
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=self._timeout_s,
                check_same_thread=False,
            )
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
        except sqlite3.Error as error:
            raise self._unreachable(error) from error
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        return connection

    def _postgres(self) -> Engine:
        options = (
            "-c default_transaction_read_only=on"
            f" -c statement_timeout={max(1, int(self._timeout_s * 1000))}"
        )
        return create_engine(
            self._url.set(drivername="postgresql+psycopg"),
            poolclass=NullPool,
            connect_args={"options": options, "connect_timeout": max(1, int(self._timeout_s))},
        )

    def _table(self, columns: tuple[str, ...], rows: Any) -> SqlTable:
        kept: list[tuple[str | None, ...]] = []
        chars = 0
        for row in rows:
            shown = tuple(_cell(value) for value in row)
            chars += sum(len(cell or "") for cell in shown)
            if len(kept) >= self._max_rows or chars > self._max_chars:
                return SqlTable(columns=columns, rows=tuple(kept), more=True)
            kept.append(shown)
        return SqlTable(columns=columns, rows=tuple(kept))

    def _too_slow(self) -> InvalidRequest:
        return InvalidRequest(
            f"The statement took longer than {self._timeout_s:g} s.", hint="Ask for less."
        )

    def _unreachable(self, error: Exception) -> MachineError:
        shown = self._url.render_as_string(hide_password=True)
        return MachineError(
            f"The database {shown} cannot be read ({type(error).__name__}).",
            hint="Check its url or url_env under tools.databases, and that it is there.",
        )


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            "The URL of a database is malformed.", hint="Such as sqlite:///sales.db."
        ) from None
    if _is_sqlite(parsed) and parsed.database not in {None, "", ":memory:"}:
        return parsed
    if parsed.get_backend_name() == "postgresql":
        return parsed
    raise ConfigError(
        f"A database of kind {parsed.drivername!r} cannot be read here.",
        hint="Use a SQLite file (sqlite:///sales.db) or PostgreSQL (postgresql://...).",
    )


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _sqlite_engine(connect: Callable[[], sqlite3.Connection]) -> Engine:
    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _authorize(
    action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
) -> int:
    """Let SQLite itself refuse whatever does not read, however it was written."""
    del database, trigger
    if action in {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _DENIED_FUNCTIONS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first == "data_version":  # full-text search asks it
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _chain(first: tuple[object, ...], rest: Iterator[tuple[object, ...]]) -> Iterator[Any]:
    yield first
    yield from rest


def _cell(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(bytes(value))} bytes]"
    text = str(value)
    return text if len(text) <= _MAX_CELL_CHARS else f"{text[:_MAX_CELL_CHARS]}..."


def _said(error: Exception) -> str:
    return f"The database refused: {str(error).strip().splitlines()[0][:_MAX_ERROR_CHARS]}"
