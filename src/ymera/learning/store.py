"""Experience on disk: one JSON file that several processes add to without losing a count."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ymera.core.errors import MachineError
from ymera.learning.math.ema import ModelStats
from ymera.learning.table import CAPACITY, Key, Outcome, Rating, Table

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["ExperienceFile"]

_FORMAT = 1
_NAME = "experience.json"
_log = logging.getLogger(__name__)


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    task_type: str
    model: str
    stats: ModelStats


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    rows: tuple[_Row, ...]


class _Head(msgspec.Struct, frozen=True):
    format: int


class ExperienceFile:
    """`experience.json` in a directory, replaced as a whole and under a lock.

    What is written are events, not totals: `fold` reads the file, applies them and writes it
    back, so that processes that share a directory add up, in the order they came. The system
    ends the lock with the process that holds it. Constructing one touches nothing.

    Args:
        directory: created when missing.
        now: returns the current time (UTC), for the name of a damaged file that is kept.
        capacity: rows held at most.
    """

    def __init__(
        self, directory: Path, *, now: Callable[[], datetime], capacity: int = CAPACITY
    ) -> None:
        self.path = directory / _NAME
        self._now = now
        self._capacity = capacity

    def read(self) -> Table:
        """Return what is stored; empty when there is no file, or a damaged one.

        A damaged file is moved aside with its date in the name, and a warning says so.

        Raises:
            MachineError: the file cannot be read, or is of a newer version of Ymera.
        """
        with self._explained():
            if not self.path.exists():
                return Table(capacity=self._capacity)
            with self._locked():
                return self._read()

    def fold(self, events: Iterable[Outcome | Rating], *, rate: float) -> Table:
        """Add events to what is stored; return all that is stored now.

        Raises:
            MachineError: the file cannot be read or written, or is of a newer version of Ymera;
                it is as it was.
        """
        with self._explained(), self._locked():
            table = self._read()
            table.rate = rate
            for event in events:
                table.apply(event)
            self._write(table)
        return table

    def reset(self) -> None:
        """Forget everything.

        Raises:
            MachineError: the file cannot be removed.
        """
        with self._explained(), self._locked():
            self.path.unlink(missing_ok=True)

    def _read(self) -> Table:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return Table(capacity=self._capacity)
        try:
            return Table(_rows(content), capacity=self._capacity)
        except (msgspec.MsgspecError, RecursionError) as error:
            self._set_aside(error)
            return Table(capacity=self._capacity)

    def _set_aside(self, error: Exception) -> None:
        stamp = self._now().astimezone(UTC).strftime("%Y%m%dT%H%M%S")
        kept = self.path.with_name(f"{_NAME}.damaged-{stamp}")
        self.path.replace(kept)
        _log.warning(
            "What was learned cannot be read (%s); the file is kept as %s and learning starts"
            " anew.",
            error,
            kept,
        )

    def _write(self, table: Table) -> None:
        rows = tuple(
            _Row(agent=key.agent, task_type=key.task_type, model=key.model, stats=stats)
            for key, stats in table.rows.items()
        )
        content = msgspec.json.encode(_Document(format=_FORMAT, rows=rows))
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{_NAME}-")
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - mkstemp gives a descriptor
                file.write(msgspec.json.format(content, indent=1))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_name(f".{_NAME}.lock").open("ab") as file:
            if sys.platform == "win32":
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MachineError(
                f"What was learned cannot be kept in '{self.path}' ({error.strerror}).",
                hint="Make the directory writable, or free some disk space.",
            ) from error


def _rows(content: bytes) -> list[tuple[Key, ModelStats]]:
    """Return the rows of a file.

    Raises:
        MachineError: a newer version of Ymera wrote it.
        msgspec.MsgspecError: it is damaged.
    """
    found = msgspec.json.decode(content, type=_Head).format
    if found > _FORMAT:
        raise MachineError(
            f"What was learned was written by a newer Ymera (format {found}, this one knows"
            f" {_FORMAT}).",
            hint="Upgrade Ymera; until then nothing new is kept.",
        )
    rows = msgspec.json.decode(content, type=_Document).rows
    for row in rows:
        if row.stats.successes > row.stats.executions:
            raise msgspec.ValidationError(f"{row.model} has more successes than executions")
    return [(Key(row.agent, row.task_type, row.model), row.stats) for row in rows]
