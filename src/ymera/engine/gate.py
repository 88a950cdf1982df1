"""How many upstream calls run at once; the others wait in line."""

from __future__ import annotations

import asyncio
import weakref
from types import TracebackType

from ymera.core.errors import NoRoute

__all__ = ["CallGate"]


class _Line:
    """The slots of one event loop and how many wait for them."""

    def __init__(self, slots: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self.waiting = 0


class CallGate:
    """Lets `limit` upstream calls run at once; further ones queue, `max_waiting` at most.

    Used as `async with gate:` around one upstream call. Each event loop has its own slots: loops
    that follow each other share nothing, and loops at the same time are bounded one by one.
    """

    def __init__(self, limit: int, *, max_waiting: int = 1000) -> None:
        self._limit = limit
        self._max_waiting = max_waiting
        self._lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = (
            weakref.WeakKeyDictionary()
        )

    async def __aenter__(self) -> None:
        """Wait for a slot.

        Raises:
            NoRoute: more than `max_waiting` calls are already in line.
        """
        line = self._line()
        if line.slots.locked() and line.waiting >= self._max_waiting:
            raise NoRoute(
                f"{line.waiting} requests are already waiting for one of {self._limit} slots.",
                hint="Try again later, or raise performance.max_concurrent_requests.",
            )
        line.waiting += 1
        try:
            await line.slots.acquire()
        finally:
            line.waiting -= 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the slot to the next in line."""
        self._line().slots.release()

    def _line(self) -> _Line:
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(self._limit)
        return line
