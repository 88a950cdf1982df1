"""What a running server does not ask for a while, for commands of other processes to show.

Breakers live in a server's memory. Each server keeps one small file of those that are open, under
`providers/cooling/` of the data directory, written by a thread when they change. Nobody decides by
it: a file that its server no longer renews is not shown.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex

import msgspec

from ymera.core.errors import MachineError
from ymera.routing.health import HealthRow, HealthTable
from ymera.security.private_files import private_directory, read_private, replace_private

__all__ = ["CoolingFile", "cooling_now"]

_log = logging.getLogger(__name__)
_RENEWED_EVERY = timedelta(seconds=30)
_BELIEVED_FOR = timedelta(seconds=90)
_SWEPT_AFTER = timedelta(days=1)


class _File(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    rows: tuple[HealthRow, ...] = ()


class CoolingFile:
    """Says which breakers of this process are open.

    Args:
        folder: where the files of all processes lie; made when there is something to say.
        health: the breakers.
        now: returns the current time (UTC).

    Attributes:
        writing: the last writing, if there was one.
    """

    def __init__(self, folder: Path, health: HealthTable, *, now: Callable[[], datetime]) -> None:
        self._path = folder / f"{os.getpid()}-{token_hex(4)}.json"
        self._health = health
        self._now = now
        self._told: tuple[HealthRow, ...] = ()
        self._told_at: datetime | None = None
        self.writing: asyncio.Future[None] | None = None

    def note(self) -> None:
        """Have a thread write what has changed; for an event loop, about once a second."""
        now = self._now()
        rows = tuple(row for row in self._health.rows(now) if row.state == "open")
        due = bool(rows) and self._told_at is not None and now - self._told_at >= _RENEWED_EVERY
        if (rows == self._told and not due) or (self.writing and not self.writing.done()):
            return
        self._told, self._told_at = rows, now
        loop = asyncio.get_running_loop()
        self.writing = loop.run_in_executor(None, self._write, _File(at=now, rows=rows))

    async def close(self) -> None:
        """Take the file away."""
        writing, self.writing = self.writing, None
        if writing is not None:
            with suppress(RuntimeError):  # it was begun in a loop that has ended
                await writing
        if self._told_at is None:
            return
        self._told, self._told_at = (), None
        with suppress(OSError):
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def _write(self, file: _File) -> None:
        try:
            private_directory(self._path.parent)
            replace_private(self._path, msgspec.json.encode(file))
            for path, other in _files(self._path.parent):
                if file.at - other.at > _SWEPT_AFTER:  # of servers that were killed
                    path.unlink(missing_ok=True)
        except (MachineError, OSError) as error:
            _log.debug("cooling providers are not shown elsewhere: %s", error)


def cooling_now(folder: Path, now: datetime) -> Sequence[HealthRow]:
    """Return what running servers do not ask at this moment, by provider; blocks.

    Args:
        folder: of the files.
        now: UTC.
    """
    rows: dict[tuple[str, str | None, str | None, str], HealthRow] = {}
    for _, file in _files(folder):
        if now - file.at <= _BELIEVED_FOR:
            for row in file.rows:
                if row.until is None or row.until > now:
                    rows[row.provider, row.model_id, row.key_id, row.scope] = row
    return sorted(rows.values(), key=lambda row: (row.provider, row.model_id or "", row.scope))


def _files(folder: Path) -> Iterator[tuple[Path, _File]]:
    for path in sorted(folder.glob("*.json")):
        with suppress(MachineError, msgspec.DecodeError):  # of another version, or just taken away
            yield path, msgspec.json.decode(read_private(path) or b"{}", type=_File)
