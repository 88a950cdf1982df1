"""What is done now and then, off the path of every request: one thread for all of it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ymera.core.errors import YmeraError
from ymera.core.record import RequestRecord

__all__ = ["Job", "Maintenance"]

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Job:
    """Something to be done at the start and then every `period_s` seconds.

    Attributes:
        name: for the log.
        period_s: seconds from one start to the next, above 0.
        action: what to do; may block. What it raises is logged, once until it works again.
    """

    name: str
    period_s: float
    action: Callable[[], object]
    due_s: float = field(default=float("-inf"), init=False)
    failing: bool = field(default=False, init=False)


class Maintenance:
    """Runs jobs in a thread of its own, from the first request on (an `EventSink`).

    A process that answers nothing starts no thread; `start` starts it anyway. May be used again
    after `close`, and in a forked child.

    Args:
        jobs: what to do.
        monotonic: returns seconds; decides what is due.
    """

    def __init__(self, jobs: Iterable[Job], *, monotonic: Callable[[], float]) -> None:
        self._jobs = list(jobs)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process = 0
        self._stopping = threading.Event()

    def emit(self, _record: RequestRecord) -> None:
        """Start the thread unless it runs."""
        if self._thread is None or self._process != os.getpid():
            self.start()

    def start(self) -> None:
        """Start the thread unless it runs; what is due is done at once, there."""
        if self._process != os.getpid():  # threads do not survive a fork, and locks may be held
            self._lock, self._thread = threading.Lock(), None
        with self._lock:
            if self._thread is not None:
                return
            self._process = os.getpid()
            self._stopping = threading.Event()
            thread = threading.Thread(
                target=self._run, args=(self._stopping,), name="ymera-maintenance", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                return  # no thread to be had; the next request tries again
            self._thread = thread

    def run_due(self) -> float:
        """Do what is due now, in this thread; return the seconds until something is due again."""
        now = self._monotonic()
        for job in self._jobs:
            if job.due_s <= now:
                job.due_s = now + job.period_s
                _perform(job)
        return min((job.due_s - now for job in self._jobs), default=float("inf"))

    async def close(self) -> None:
        """End the thread; a job under way is waited for."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopping.set()
        if thread is not None and self._process == os.getpid():
            await asyncio.to_thread(thread.join)

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            wait_s = self.run_due()
            stopping.wait(min(max(wait_s, 0.0), threading.TIMEOUT_MAX))


def _perform(job: Job) -> None:
    try:
        job.action()
    except Exception as error:  # noqa: BLE001 - outermost: one job must not end the others
        if not job.failing:
            hint = error.hint if isinstance(error, YmeraError) and error.hint else ""
            _log.warning("%s failed: %s %s", job.name, error, hint)
        job.failing = True
    else:
        job.failing = False
