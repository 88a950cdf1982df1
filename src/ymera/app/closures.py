"""Providers that are closed because they billed for what is listed as free, kept in one file."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
    `open` takes a provider out.

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
        self._sentences: dict[str, str] = {}
        self._read()

    def why(self, provider: str) -> str | None:
        """Return why a provider is closed, as a sentence; None when it is open."""
        return self._sentences.get(provider)

    def rows(self) -> dict[str, Closure]:
        """Return every closed provider."""
        return dict(self._held.closed)

    def close(self, provider: str, why: str) -> None:
        """Close a provider; what closed it first stays the reason.

        It holds for this process even where the file cannot be written, which is logged.
        """
        closure = self._held.closed.get(provider) or Closure(at=self._now(), why=why)
        try:
            self._change(lambda closed, _: closed.setdefault(provider, closure))
        except MachineError as error:
            _log.error("%s is closed, but only here: %s", provider, error.message)
            closed = {**self._held.closed, provider: closure}
            self._take(msgspec.structs.replace(self._held, closed=closed))

    def open(self, provider: str) -> bool:
        """Open a provider; return whether it was closed.

        Servers that run take it as a wish to try the provider and its keys anew in any case.

        Raises:
            MachineError: the file cannot be written.
        """
        was_closed = provider in self._held.closed

        def opened(closed: dict[str, Closure], times: dict[str, datetime]) -> None:
            closed.pop(provider, None)
            times[provider] = self._now()

        self._change(opened)
        return was_closed

    def refresh(self) -> tuple[str, ...]:
        """Take in what other processes wrote; return who was opened since; costs one `stat`.

        Raises:
            MachineError: the file is damaged; what was known stays in force.
        """
        if file_stamp(self._path) == self._stamp:
            return ()
        before = self._held.opened
        self._read()
        return tuple(id for id, at in self._held.opened.items() if before.get(id) != at)

    def _change(self, change: Callable[[dict[str, Closure], dict[str, datetime]], object]) -> None:
        private_directory(self._path.parent)
        with locked(self._path.parent):
            self._read()
            closed, opened = dict(self._held.closed), dict(self._held.opened)
            change(closed, opened)
            held = _File(closed=closed, opened=opened)
            replace_private(self._path, msgspec.json.encode(held))
            self._stamp = file_stamp(self._path)
        self._take(held)

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

    def _take(self, held: _File) -> None:
        self._held = held
        self._sentences = {
            id: f"Closed since {closure.at:%Y-%m-%d %H:%M} UTC: {closure.why}"
            for id, closure in held.closed.items()
        }
