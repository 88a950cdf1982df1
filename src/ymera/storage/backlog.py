"""Finished requests that wait to be written, and those who wait for them to be fewer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from queue import SimpleQueue

from ymera.core.record import RequestRecord

__all__ = ["Backlog"]

_CHARS_OF_ONE = 1_000


class Backlog:
    """A line of records that one thread writes; anybody may add to it, on any thread.

    A record weighs one, and one more for each thousand characters of stored text: what is held
    is bounded also where prompts are kept.

    Args:
        capacity: weight held at most; more is not taken.
        crowded_at: weight from which on new requests should wait for the writer.
    """

    def __init__(self, capacity: int, crowded_at: int) -> None:
        self._capacity = capacity
        self._crowded_at = crowded_at
        self._records: SimpleQueue[RequestRecord | None] = SimpleQueue()
        self._lock = threading.Lock()  # held for a sum, never for a write
        self._weight = 0
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def put(self, record: RequestRecord) -> bool:
        """Take a record in; return whether there was room. Never blocks."""
        weight = _weight_of(record)
        with self._lock:
            if self._weight >= self._capacity:
                return False
            self._weight += weight
        self._records.put(record)
        return True

    def wake(self) -> None:
        """Let a `first` that waits return without a record."""
        self._records.put(None)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._records.empty()

    def holds(self, count: int) -> bool:
        """Whether so many records wait."""
        return self._records.qsize() >= count

    def crowded(self) -> bool:
        """Whether new requests should wait for the writer."""
        return self._weight >= self._crowded_at

    def first(self) -> list[RequestRecord]:
        """Wait for a record or for `wake`; return it, or nothing."""
        return self._taken([self._records.get()])

    def next(self, count: int) -> list[RequestRecord]:
        """Return the next records, `count` at most, without waiting."""
        here = min(self._records.qsize(), count)
        return self._taken([self._records.get() for _ in range(here)])

    async def thinned(self) -> None:
        """Wait until the line is half as long as a crowded one."""
        entry = (asyncio.get_running_loop(), asyncio.Event())
        while not self._thin():
            with self._lock:
                self._waiting.add(entry)
            try:
                if not self._thin():  # else it may have been told before it could be
                    await entry[1].wait()
                entry[1].clear()
            finally:
                with self._lock:
                    self._waiting.discard(entry)

    def _thin(self) -> bool:
        return self._weight <= self._crowded_at // 2

    def _taken(self, records: Sequence[RequestRecord | None]) -> list[RequestRecord]:
        found = [record for record in records if record is not None]
        with self._lock:
            self._weight -= sum(_weight_of(record) for record in found)
            told = tuple(self._waiting) if self._waiting and self._thin() else ()
        for loop, event in told:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # its loop has ended
                continue
        return found


def _weight_of(record: RequestRecord) -> int:
    if record.prompt is None and record.answer is None:
        return 1
    return 1 + (len(record.prompt or "") + len(record.answer or "")) // _CHARS_OF_ONE
