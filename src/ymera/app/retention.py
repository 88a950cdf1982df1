"""Removes what is older than `monitoring.metrics_retention_days`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from ymera.core.errors import MachineError

__all__ = ["Prunable", "Retention"]

_DAY = timedelta(days=1)
_AUDIT_FILE = re.compile(r"audit-(\d{4}-\d{2}-\d{2})\.jsonl")
_STAMP = "retention.json"


class Prunable(Protocol):
    """A store whose oldest rows can go."""

    def delete_before(self, at: datetime) -> int:
        """Delete what is older than `at` (UTC); return how many rows."""


class _Stamp(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    days: int


class Retention:
    """Prunes stores and audit files once a day, whichever process comes first.

    What is not older than the configured days stays, and so do the audit files of today and of
    any later date: a clock that is a little wrong costs nothing that is being written.

    Args:
        root: data directory; holds `retention.json`, which tells when it was last done.
        database: the file of the stores; where there is none yet, none is made.
        stores: what to prune in it.
        audit_logs: directory of the audit files.
        days: returns how many days are kept, at least 1.
        now: returns the current time (UTC).
    """

    def __init__(
        self,
        *,
        root: Path,
        database: Path,
        stores: Sequence[Prunable],
        audit_logs: Path,
        days: Callable[[], int],
        now: Callable[[], datetime],
    ) -> None:
        self._stamp = root / _STAMP
        self._database = database
        self._stores = tuple(stores)
        self._audit_logs = audit_logs
        self._days = days
        self._now = now

    def prune_when_due(self) -> bool:
        """Prune unless it was done within a day for the same number of days; return whether.

        Raises:
            MachineError: a store or file cannot be pruned; what could be is.
        """
        now, days = self._now().astimezone(UTC), self._days()
        last = self._last()
        if last is not None and last.days == days and now - _DAY < last.at <= now:
            return False
        self.prune(now - days * _DAY)
        self._note(_Stamp(at=now, days=days))
        return True

    def prune(self, before: datetime) -> int:
        """Remove what is older than `before` (UTC); return the number of rows and files.

        Raises:
            MachineError: a store or file cannot be pruned.
        """
        removed = sum(self._prune_file(path, day, before) for path, day in self._audit_files())
        if self._database.exists():
            removed += sum(store.delete_before(before) for store in self._stores)
        return removed

    def _audit_files(self) -> list[tuple[Path, date]]:
        found = []
        for path in sorted(self._audit_logs.glob("audit-*.jsonl")):
            if named := _AUDIT_FILE.fullmatch(path.name):
                try:
                    found.append((path, date.fromisoformat(named[1])))
                except ValueError:
                    continue  # no date, so not one of ours
        return found

    def _prune_file(self, path: Path, day: date, before: datetime) -> bool:
        """Remove a file whose whole day lies before `before`."""
        if day >= min(before.date(), self._now().astimezone(UTC).date()):
            return False
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise MachineError(
                f"The old audit log '{path}' cannot be removed ({error.strerror}).",
                hint="Make its directory writable.",
            ) from error
        return True

    def _last(self) -> _Stamp | None:
        try:
            return msgspec.json.decode(self._stamp.read_bytes(), type=_Stamp)
        except (OSError, msgspec.MsgspecError):
            return None  # never done, or nobody can tell

    def _note(self, stamp: _Stamp) -> None:
        try:
            self._stamp.write_bytes(msgspec.json.encode(stamp))
        except OSError as error:
            raise MachineError(
                f"'{self._stamp}' cannot be written ({error.strerror}).",
                hint="Make the data directory writable, or free some disk space.",
            ) from error
