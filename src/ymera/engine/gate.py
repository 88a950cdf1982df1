"""How many upstream calls run at once; the others wait in line."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ymera.core.errors import NoRoute
from ymera.core.per_loop import PerLoop

__all__ = ["CallGate"]


class _Line:
    """The slots of one event loop and how many wait for them."""

    def __init__(self, slots: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self.waiting = 0


class CallGate:
    """Lets `limit` upstream calls run at once; further ones queue, `max_waiting` at most.

    Used as `async with gate:` around one upstream call, or by `enter` and `leave` where the call
    outlives the block. Each event loop has its own slots: loops
    that follow each other share nothing, and loops at the same time are bounded one by one.
    """

    def __init__(self, limit: int, *, max_waiting: int = 1000) -> None:
        self._limit = limit
        self._max_waiting = max_waiting
        self._lines: PerLoop[asyncio.AbstractEventLoop, _Line] = PerLoop(lambda _loop: _Line(limit))

    async def enter(self) -> bool:
        """Wait for a slot; return whether others ran meanwhile.

        Raises:
            NoRoute: more than `max_waiting` calls are already in line.
        """
        line = self._lines.of(asyncio.get_running_loop())
        if not line.slots.locked():
            await line.slots.acquire()  # at once
            return False
        if line.waiting >= self._max_waiting:
            raise NoRoute(
                f"{line.waiting} requests are already waiting for one of {self._limit} slots.",
                hint="Try again later, or raise performance.max_concurrent_requests.",
            )
        line.waiting += 1
        try:
            await line.slots.acquire()
        finally:
            line.waiting -= 1
        return True

    def is_full(self) -> bool:
        """Return whether the next to enter would have to wait."""
        return self._lines.of(asyncio.get_running_loop()).slots.locked()

    def leave(self) -> None:
        """Give the slot to the next in line."""
        self._lines.of(asyncio.get_running_loop()).slots.release()

    async def __aenter__(self) -> None:
        """Wait for a slot; see `enter`."""
        await self.enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the slot to the next in line."""
        self.leave()
