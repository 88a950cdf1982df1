"""One thread that writes finished requests in batches, so that no request waits for a disk."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from weakref import WeakSet

from ymera.core.errors import YmeraError
from ymera.core.record import RequestRecord
from ymera.storage.backlog import Backlog

__all__ = ["BatchWriter", "BatchingSink"]

BatchWriter = Callable[[Sequence[RequestRecord]], None]
"""Writes records in order, all or none; may block and raise. Called by one thread at a time."""

_log = logging.getLogger(__name__)


class BatchingSink:
    """Hands finished requests to its writers in batches (an `EventSink` and a `Throttle`).

    Constructing one costs nothing: the thread starts with the first record and sleeps while
    there is none. What a writer cannot write, however often it tries, is lost to that writer alone,
    and counted. The sink belongs to no event loop; it may be used again after `close`; a forked
    child starts with an empty queue, because its parent writes what was held at the fork. What is
    still held when the interpreter exits is written then.

    Args:
        writers: what is done with each batch, in this order.
        capacity: records held at most; more are dropped and counted. One with stored text
            counts as several, see `Backlog`.
        crowded_at: records held from which on new requests wait for the writers, so that a disk
            that stalls slows callers down and loses nothing.
        patience_s: how long a request waits for that; then it goes on, for a disk that stands
            still must not stop answers.
        max_batch: records handed over at once, at least 1.
        interval_s: how long a record waits for others to share its batch.
        retries_s: how long to wait before each further try of a writer that failed (a locked
            file, a full disk); one that failed them all gets a single try until it works again.
        close_timeout_s: how long `close` and the interpreter's exit wait for the writers.

    Attributes:
        dropped: records not taken because `capacity` was reached.
        failed: records that a writer could not write, added up over all writers.
    """

    def __init__(
        self,
        writers: Sequence[BatchWriter],
        *,
        capacity: int = 50_000,
        crowded_at: int = 10_000,
        patience_s: float = 10.0,
        max_batch: int = 2_000,
        interval_s: float = 0.1,
        retries_s: Sequence[float] = (0.2, 0.5, 1, 2, 4, 8),
        close_timeout_s: float = 30.0,
    ) -> None:
        self._writers = tuple(writers)
        self._capacity = capacity
        self._crowded_at = crowded_at
        self._patience_s = patience_s
        self._max_batch = max_batch
        self._interval_s = interval_s
        self._retries_s = tuple(retries_s)
        self._close_timeout_s = close_timeout_s
        self._failing: set[int] = set()
        self._slowing = False
        self.dropped = 0
        self.failed = 0
        self._forget()
        _sinks.add(self)

    def emit(self, record: RequestRecord) -> None:
        """Take the record; never blocks, never raises."""
        if not self._backlog.put(record):
            self._drop()
            return
        if self._thread is None:
            self._start()

    def crowded(self) -> bool:
        """Whether a new request should wait with `thinned` before it begins."""
        return self._backlog.crowded()

    async def thinned(self) -> None:
        """Wait until far fewer records are held, `patience_s` at most.

        The log says so once, and again only after everything was written in between.
        """
        if not self._slowing:
            self._slowing = True
            _log.warning("Requests wait: their records come faster than they can be written.")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                await self._backlog.thinned()

    async def close(self) -> None:
        """Write out whatever is held; waits `close_timeout_s` at most."""
        if self._thread is not None or not self._backlog.empty():
            await asyncio.to_thread(self._stop)

    def _forget(self) -> None:
        self._lock = threading.Lock()  # guards starting and stopping, never a record
        self._renew()

    def _renew(self) -> None:
        # Each thread has a line of its own, so that one that outlives its `_stop` disturbs none.
        self._thread: threading.Thread | None = None
        self._backlog = Backlog(self._capacity, self._crowded_at)
        self._stopping = threading.Event()

    def _drop(self) -> None:
        if not self.dropped:
            _log.warning("Request records come faster than they can be written; some are lost.")
        self.dropped += 1

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            atexit.register(self._stop)
            thread = threading.Thread(
                target=self._run,
                args=(self._backlog, self._stopping),
                name="ymera-records",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:
                return  # no thread to be had (exiting, or out of them): `_stop` writes instead
            self._thread = thread

    def _stop(self) -> None:
        with self._lock:
            thread, backlog, stopping = self._thread, self._backlog, self._stopping
            self._renew()
        atexit.unregister(self._stop)
        stopping.set()
        if thread is None:
            self._run(backlog, stopping)
            return
        backlog.wake()
        thread.join(self._close_timeout_s)
        if thread.is_alive():
            _log.warning(
                "Request records were not written within %.1f s; the last ones may be lost.",
                self._close_timeout_s,
            )

    def _run(self, backlog: Backlog, stopping: threading.Event) -> None:
        while not (stopping.is_set() and backlog.empty()):
            first = backlog.first()
            if not backlog.holds(self._max_batch):
                stopping.wait(self._interval_s)
            self._write([*first, *backlog.next(self._max_batch - 1)], stopping)
            self._slowing = self._slowing and not backlog.empty()

    def _write(self, records: Sequence[RequestRecord], stopping: threading.Event) -> None:
        if not records:
            return
        for index, writer in enumerate(self._writers):
            retries_s = iter(() if index in self._failing else self._retries_s)
            while (error := _error_of(writer, records)) is not None:
                delay_s = next(retries_s, None)
                if delay_s is None or stopping.is_set():
                    self.failed += len(records)
                    self._report(index, error)
                    break
                stopping.wait(delay_s)
            else:
                self._failing.discard(index)

    def _report(self, index: int, error: Exception) -> None:
        if index in self._failing:
            return  # said already; said again only after it has worked in between
        self._failing.add(index)
        hint = error.hint if isinstance(error, YmeraError) and error.hint else ""
        reason = error.message if isinstance(error, YmeraError) else type(error).__name__
        _log.warning("Request records could not be written: %s %s", reason, hint)


def _error_of(writer: BatchWriter, records: Sequence[RequestRecord]) -> Exception | None:
    try:
        writer(records)
    except Exception as error:  # noqa: BLE001 - outermost: the thread must live on
        return error
    return None


_sinks: WeakSet[BatchingSink] = WeakSet()


def _forget_parent() -> None:
    for sink in list(_sinks):
        atexit.unregister(sink._stop)
        sink._forget()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_parent)
