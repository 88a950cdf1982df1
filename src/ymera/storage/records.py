"""The store of request records: read back newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ymera.core.record import RequestRecord
from ymera.storage.per_process import PerProcess
from ymera.storage.rows import RequestSummary, StoredRequest, utc_microseconds
from ymera.storage.totals import RequestTotals

if TYPE_CHECKING:
    from ymera.storage.database import Database

__all__ = ["SqlRecordStore"]


class SqlRecordStore:
    """Request records in SQL; `write_batch` is a `BatchWriter` for `BatchingSink`.

    Constructing one touches nothing; the database is opened (and made or upgraded) by the first
    call that needs it. Every method may block, be called from any thread, and raise MachineError
    (the database is unreadable, unwritable, corrupt, full or newer) or ConfigError (bad URL).

    Args:
        location: a SQLite file (Path), or a SQLAlchemy URL.
    """

    def __init__(self, location: Path | str) -> None:
        self._location = location
        self._databases = PerProcess(self._open)

    def open(self) -> None:
        """Open the database now and make sure that it can be written, to fail early."""
        self.database().check_writable()

    def write_batch(self, records: Sequence[RequestRecord]) -> None:
        """Store records in one transaction."""
        if records:
            self.database().insert(records)

    def recent(self, limit: int = 50, *, before_id: str | None = None) -> list[RequestSummary]:
        """Return at most `limit` requests without bodies, last finished first.

        Args:
            limit: at least 1.
            before_id: request id of the last one on the previous page; None for the first page.

        Raises:
            InvalidRequest: no stored request has the id `before_id`.
        """
        return self.database().newest(limit, before_id)

    def get(self, id_: str) -> StoredRequest | None:
        """Return one request with everything stored, or None when there is none of that id."""
        return self.database().find(id_)

    def totals(self, since: datetime | None = None) -> RequestTotals:
        """Return what the stored requests that arrived since then (None: all) add up to."""
        from ymera.storage.totals_sql import totals

        return totals(self.database(), since)

    def delete_before(self, at: datetime, *, batch: int = 1_000) -> int:
        """Delete what arrived before `at` (UTC), `batch` rows per transaction; return how many."""
        return self.database().delete_before(utc_microseconds(at), batch)

    def close(self) -> None:
        """Close the connections of this process; a later call opens them again."""
        self._databases.close()

    def database(self) -> Database:
        """Return the open database of this process, for the other stores of its file."""
        return self._databases.get()

    def _open(self) -> Database:
        from ymera.storage.database import Database  # costs 0.2 s, so not before it is needed

        return Database(self._location)
