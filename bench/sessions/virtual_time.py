"""An event loop whose clock jumps to the next thing that happens: a day passes in seconds."""

from __future__ import annotations

import asyncio
import selectors
from datetime import datetime, timedelta

from ymera.engine.trace import Clock

__all__ = ["VirtualLoop"]


class _Selector(selectors.DefaultSelector):
    """Moves the loop's time on instead of waiting for it."""

    ahead_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # nothing is timed: a thread has to finish
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.ahead_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time starts at 0 and passes only while every task waits for it.

    Args:
        start: wall time at second 0, UTC.
    """

    def __init__(self, start: datetime) -> None:
        self._jumps = _Selector()
        self._start = start
        super().__init__(self._jumps)

    def time(self) -> float:
        """Return the seconds since the start."""
        return self._jumps.ahead_s

    def now(self) -> datetime:
        """Return the wall time."""
        return self._start + timedelta(seconds=self.time())

    def clock(self) -> Clock:
        """Return both, to be injected."""
        return Clock(now=self.now, monotonic=self.time)
