"""How many upstream calls run at once; the others wait in line."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType

from ymera.core.errors import NoRoute
from ymera.core.per_loop import PerLoop

__all__ = ["CallGate"]


class _Line:
    """The free slots of one event loop, and who waits for one."""

    __slots__ = ("free", "waiting")

    def __init__(self, slots: int) -> None:
        self.free = slots
        self.waiting: deque[asyncio.Future[None]] = deque()

    def give(self) -> None:
        """Hand a slot to the next in line who is still there."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.free += 1


class CallGate:
    """Lets `limit` upstream calls run at once; further ones queue, `max_waiting` at most.

    Used as `async with gate:` around one upstream call, or by `enter` and `leave` where the call
    outlives the block. Each event loop has its own slots: loops that follow each other share
    nothing, and loops at the same time are bounded one by one.
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
        loop = asyncio.get_running_loop()
        line = self._lines.of(loop)
        if line.free:
            line.free -= 1
            return False
        if len(line.waiting) >= self._max_waiting:
            raise NoRoute(
                f"{len(line.waiting)} requests are already waiting for one of {self._limit} slots.",
                hint="Try again later, or raise performance.max_concurrent_requests.",
            )
        waiter: asyncio.Future[None] = loop.create_future()
        line.waiting.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                line.give()  # it was handed a slot in the moment it went away
            else:
                with suppress(ValueError):  # a slot may have passed it by already
                    line.waiting.remove(waiter)  # its place is another's
            raise
        return True

    def is_full(self) -> bool:
        """Return whether a call would have to wait for its slot."""
        return not self._lines.of(asyncio.get_running_loop()).free

    def leave(self) -> None:
        """Give the slot to the next in line."""
        self._lines.of(asyncio.get_running_loop()).give()

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
