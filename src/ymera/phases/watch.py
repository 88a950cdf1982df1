"""Wakes those who wait for a run's next event, on whatever event loop they wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["Watchers", "either"]


class Watchers:
    """Who waits for which run; `tell` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}

    @contextmanager
    def watching(self, run_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever something happened in the run."""
        entry = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.setdefault(run_id, set()).add(entry)
        try:
            yield entry[1]
        finally:
            waiting = self._waiting.get(run_id, set())
            waiting.discard(entry)
            if not waiting:
                self._waiting.pop(run_id, None)

    def tell(self, run_id: str) -> None:
        """Wake those who watch a run."""
        for loop, event in tuple(self._waiting.get(run_id, ())):
            with suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(event.set)

    def tell_all(self) -> None:
        """Wake everybody."""
        for run_id in tuple(self._waiting):
            self.tell(run_id)


async def either(
    woken: asyncio.Event, wait: Callable[[float], Awaitable[None]], seconds: float
) -> None:
    """Wait until `woken` is set, `seconds` at most; clears it."""
    tasks = (
        asyncio.ensure_future(woken.wait()),
        asyncio.ensure_future(wait(seconds)),
    )
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    woken.clear()
