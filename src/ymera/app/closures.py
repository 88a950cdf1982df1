"""Providers that are closed because they billed for what is listed as free, kept in one file."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from ymera.config.files import FileStamp, file_stamp
from ymera.core.errors import MachineError
from ymera.security.private_files import locked, private_directory, read_private, replace_private

__all__ = ["ClosedProviders", "Closure"]

_log = logging.getLogger(__name__)


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """Since when (UTC) and why a provider is closed."""

    at: datetime
    why: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`opened`: when a provider was last opened by hand, so that running servers notice."""

    version: int = 1
    closed: dict[str, Closure] = {}
    opened: dict[str, datetime] = {}


class ClosedProviders:
    """The closed providers of one data directory; see `ymera.engine.standing.Closures`.

    Reading is from memory; the file is read at the beginning and by `refresh`. Nothing but
    `open` takes a provider out. A closing holds for this process at once; under an event loop a
    thread writes it, since a disk may take its time.

    Args:
        path: the file; its directory is created when a provider is first closed.
        now: returns the current time (UTC).

    Raises:
        MachineError: the file is damaged: whoever was closed must not be open by accident.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        self._path = path
        self._now = now
        self._stamp: FileStamp | None = None
        self._held = _File()
        self._unwritten: dict[str, Closure] = {}
        self._sentences: dict[str, str] = {}
        self._memory = threading.Lock()  # for what is held; never while the disk is waited for
        self._disk = threading.Lock()  # for reading or changing the file, and what follows of it
        self._writer: threading.Thread | None = None
        self._read()
        self._reported = self._held.opened

    def why(self, provider: str) -> str | None:
        """Return why a provider is closed, as a sentence; None when it is open."""
        return self._sentences.get(provider)

    def rows(self) -> dict[str, Closure]:
        """Return every closed provider."""
        with self._memory:
            return {**self._unwritten, **self._held.closed}

    def close(self, provider: str, why: str) -> None:
        """Close a provider; what closed it first stays the reason.

        It holds for this process even where the file cannot be written, which is logged; that is
        tried again with every `refresh`.
        """
        with self._memory:
            known = self._held.closed.get(provider) or self._unwritten.get(provider)
            self._unwritten[provider] = known or Closure(at=self._now(), why=why)
            self._tell()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._write()
        else:
            self._write_aside()

    def open(self, provider: str) -> bool:
        """Open a provider; return whether it was closed.

        Servers that run take it as a wish to try the provider and its keys anew in any case.

        Raises:
            MachineError: the file cannot be written.
        """
        with self._disk:
            was_closed = provider in self._sentences

            def opened(closed: dict[str, Closure], times: dict[str, datetime]) -> None:
                closed.pop(provider, None)
                times[provider] = self._now()

            self._change(opened, settles=(provider,))
        return was_closed

    def refresh(self) -> tuple[str, ...]:
        """Take in what other processes wrote; return who was opened since; costs one `stat`.

        While a closing of this process is being written, it is left to the next time.

        Raises:
            MachineError: the file is damaged; what was known stays in force.
        """
        if not self._disk.acquire(blocking=False):
            return ()
        try:
            if file_stamp(self._path) != self._stamp:
                self._read()
            before, self._reported = self._reported, self._held.opened
        finally:
            self._disk.release()
        if self._unwritten:
            self._write_aside()
        return tuple(id for id, at in self._reported.items() if before.get(id) != at)

    async def written(self) -> None:
        """Wait until what was closed here is on the disk, or was found impossible to write."""
        writer = self._writer
        if writer is not None and writer.is_alive():
            await asyncio.to_thread(writer.join)

    def _write_aside(self) -> None:
        """Write in a thread that even the end of this process waits for."""
        writer = threading.Thread(target=self._write, name="ymera-closings", daemon=False)
        try:
            writer.start()
        except RuntimeError:  # the interpreter is about to end, or there are too many
            self._write()
        else:
            self._writer = writer

    def _write(self) -> None:
        with self._disk:
            waiting = dict(self._unwritten)
            if not waiting:
                return
            try:
                self._change(
                    lambda closed, _: [closed.setdefault(*each) for each in waiting.items()],
                    settles=waiting,
                )
            except MachineError as error:
                names = ", ".join(waiting)
                _log.error("Closed, but only here: %s. %s", names, error.message)

    def _change(
        self,
        change: Callable[[dict[str, Closure], dict[str, datetime]], object],
        *,
        settles: Iterable[str],
    ) -> None:
        """Change the file, and take it over as it is then; `settles`: what need not wait any more.

        Raises:
            MachineError: it is damaged, or cannot be written.
        """
        private_directory(self._path.parent)
        with locked(self._path.parent):
            self._read()
            closed, opened = dict(self._held.closed), dict(self._held.opened)
            change(closed, opened)
            held = _File(closed=closed, opened=opened)
            replace_private(self._path, msgspec.json.encode(held))
            self._stamp = file_stamp(self._path)
        self._take(held, settles)

    def _read(self) -> None:
        self._stamp = file_stamp(self._path)
        data = read_private(self._path)
        try:
            self._take(_File() if data is None else msgspec.json.decode(data, type=_File))
        except msgspec.DecodeError as error:
            raise MachineError(
                f"The list of closed providers in '{self._path}' is damaged.",
                hint="Delete it if no provider has billed you; closed ones are open again then.",
            ) from error

    def _take(self, held: _File, settles: Iterable[str] = ()) -> None:
        with self._memory:
            self._held = held
            for provider in settles:
                self._unwritten.pop(provider, None)
            self._tell()

    def _tell(self) -> None:
        self._sentences = {
            id: f"Closed since {closure.at:%Y-%m-%d %H:%M} UTC: {closure.why}"
            for id, closure in {**self._unwritten, **self._held.closed}.items()
        }
