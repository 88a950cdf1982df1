"""One open database for each process of a fork family."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

__all__ = ["PerProcess"]


class _Closable(Protocol):
    def close(self) -> None: ...


_Database = TypeVar("_Database", bound=_Closable)


class PerProcess(Generic[_Database]):
    """Opens a database at the first use in each process; from any thread.

    A connection may not be used, nor even closed, on the other side of a fork.

    Args:
        open_database: opens it; may block and raise.
    """

    def __init__(self, open_database: Callable[[], _Database]) -> None:
        self._open = open_database
        self._databases: dict[int, _Database] = {}

    def get(self) -> _Database:
        """Return the open database of this process."""
        database = self._databases.get(os.getpid())
        if database is not None:
            return database
        opened = self._open()
        database = self._databases.setdefault(os.getpid(), opened)
        if database is not opened:
            opened.close()  # another thread was faster
        return database

    def close(self) -> None:
        """Close that of this process; `get` opens it again."""
        database = self._databases.pop(os.getpid(), None)
        if database is not None:
            database.close()
