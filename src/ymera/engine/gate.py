"""How many upstream calls run at once; the others wait in line."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ymera.core.errors import NoRoute

__all__ = ["CallGate"]


class CallGate:
    """Lets `limit` upstream calls run at once; further ones queue, `max_waiting` at most.

    Used as `async with gate:` around one upstream call. Works from any event loop, one at a time.
    """

    def __init__(self, limit: int, *, max_waiting: int = 1000) -> None:
        self._limit = limit
        self._max_waiting = max_waiting
        self._waiting = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore(limit)

    async def __aenter__(self) -> None:
        """Wait for a slot.

        Raises:
            NoRoute: more than `max_waiting` calls are already in line.
        """
        slots = self._slots_of_this_loop()
        if slots.locked() and self._waiting >= self._max_waiting:
            raise NoRoute(
                f"{self._waiting} requests are already waiting for one of {self._limit} slots.",
                hint="Try again later, or raise performance.max_concurrent_requests.",
            )
        self._waiting += 1
        try:
            await slots.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the slot to the next in line."""
        self._slots_of_this_loop().release()

    def _slots_of_this_loop(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a new loop: whoever held a slot in the old one is gone
            self._loop, self._slots, self._waiting = loop, asyncio.Semaphore(self._limit), 0
        return self._slots
