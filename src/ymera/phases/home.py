"""What the run service holds: of the running event loop, and of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ymera.phases.durable import DurableEngine

__all__ = ["Engine", "Home"]

Work = Callable[[], Coroutine[Any, Any, None]]


class Home:
    """Tasks of one event loop.

    Attributes:
        loop: whose tasks they are.
        slots: how many runs may be under way at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, slots: int) -> None:
        self.loop = loop
        self.slots = asyncio.Semaphore(slots)
        self._kept: dict[str, asyncio.Task[None]] = {}

    def keep(self, name: str, work: Work) -> None:
        """Do `work` beside everything else, unless that is being done already."""
        task = self._kept.get(name)
        if task is None or task.done():
            self._kept[name] = self.loop.create_task(work(), name=f"runs: {name}")

    async def close(self) -> None:
        """End what is kept going."""
        if self.loop is not asyncio.get_running_loop():
            return  # its loop has ended, and its tasks with it
        for task in self._kept.values():
            task.cancel()
        await asyncio.gather(*self._kept.values(), return_exceptions=True)


class Engine:
    """The durable engine, opened at first use; every method blocks.

    Args:
        location: SQLite file or PostgreSQL URL.
    """

    def __init__(self, location: Path | str) -> None:
        self._location = location
        self._lock = threading.Lock()
        self._open: DurableEngine | None = None

    def get(self) -> DurableEngine:
        """Return it.

        Raises:
            ConfigError: the process has a DBOS for another location, or one that is not ours.
            MachineError: its database cannot be used.
        """
        with self._lock:
            if self._open is None:
                from ymera.phases.durable import open_engine  # costs most of a second

                self._open = open_engine(self._location)
            return self._open

    def close(self) -> None:
        """Give it back; a later use opens it again."""
        with self._lock:
            if self._open is not None:
                from ymera.phases.durable import close_engine

                engine, self._open = self._open, None
                close_engine(engine)
