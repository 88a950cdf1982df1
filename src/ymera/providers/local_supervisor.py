"""Keeps the child processes of embedded models: started at first use, shared, replaced.

Nothing here belongs to an event loop: a start is a thread and a `concurrent.futures.Future`, so
the same supervisor serves one loop after another, and two at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from pathlib import Path

import msgspec

from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.providers.local_process import LocalProcess, refused_by_the_system
from ymera.providers.local_settings import LocalSettings

__all__ = ["Launch", "LocalSupervisor"]

_CRASH_LIMIT = 3
_CRASH_WINDOW_S = 60.0
_STOP_WITHIN_S = 15.0
_log = logging.getLogger(__name__)

Launch = Callable[[Path, LocalSettings], LocalProcess]
"""Starts a child and returns it while it loads."""


class _Running:
    """One model file's child, starting or started, and how many answers use it."""

    def __init__(self) -> None:
        self.started: Future[LocalProcess] = Future()
        self.started.set_running_or_notify_cancel()  # no impatient waiter may cancel it for all
        self.users = 0
        self.last_used = 0.0
        self._process: LocalProcess | None = None
        self._stopped = False

    @property
    def broken(self) -> bool:
        """The start failed, or the process has ended since."""
        if not self.started.done():
            return False
        return self.started.exception() is not None or not self.started.result().alive

    def start(self, launch: Launch, model_path: Path, settings: LocalSettings) -> LocalProcess:
        """Start the process and wait until it serves. Blocks."""
        self._process = process = launch(model_path, settings)
        if self._stopped:  # before there was a process to stop
            process.stop()
        process.wait_ready()
        return process

    def stop(self) -> None:
        """End the process, also one that still loads, and wait for its start to end. Blocks."""
        self._stopped = True
        if self._process is not None:
            self._process.stop()
        wait_for([self.started], timeout=_STOP_WITHIN_S)


class LocalSupervisor:
    """Lends out child processes, one per model file.

    Args:
        settings: the bounds.
        launch: how a child is started.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        settings: LocalSettings,
        *,
        launch: Launch = LocalProcess.launch,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._launch = launch
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._running: dict[Path, _Running] = {}
        self._crashes: dict[Path, deque[float]] = {}
        self._last_words: dict[Path, str] = {}
        self._waiting: list[Future[None]] = []

    @contextlib.asynccontextmanager
    async def lend(
        self, model_path: Path, *, window_tokens: int | None = None
    ) -> AsyncIterator[LocalProcess]:
        """Lend the child that serves `model_path`, starting it if need be.

        Args:
            model_path: the GGUF file.
            window_tokens: the model's own context window; None when not known.

        Raises:
            ProviderError: kind transient: it does not start, or crashes again and again; kind
                upstream_busy: as many other models as may run were in use all the time.
        """
        running = await self._take(model_path, window_tokens)
        try:
            yield await asyncio.wrap_future(running.started)
        finally:
            self._give_back(running)

    async def close(self) -> None:
        """End every child, also those that still load. A later request starts a new one."""
        with self._lock:
            ending = list(self._running.values())
            self._running.clear()
        stops = (asyncio.to_thread(running.stop) for running in ending)
        for failure in await asyncio.gather(*stops, return_exceptions=True):
            if failure is not None:  # it ends with this process at the latest
                _log.warning("An embedded model could not be ended: %s", failure)

    def serves(self, model_path: Path) -> bool:
        """Whether the file's child runs or starts already."""
        running = self._running.get(model_path)
        return running is not None and not running.broken

    async def _take(self, model_path: Path, window_tokens: int | None) -> _Running:
        deadline = self._monotonic() + self._settings.answer_timeout_s
        while True:
            with self._lock:
                running = self._find_or_start(model_path, window_tokens)
                if running is not None:
                    running.users += 1
                    return running
                room: Future[None] = Future()
                self._waiting.append(room)
            try:
                async with asyncio.timeout(max(0.0, deadline - self._monotonic())):
                    await asyncio.wrap_future(room)
            except TimeoutError:
                raise ProviderError(
                    "Other embedded models were in use all the time.",
                    kind=ProviderErrorKind.UPSTREAM_BUSY,
                    hint="Raise local.max_running_models, if memory allows.",
                ) from None

    def _give_back(self, running: _Running) -> None:
        with self._lock:
            running.users -= 1
            running.last_used = self._monotonic()
            waiting, self._waiting = self._waiting, []
        for room in waiting:
            if room.set_running_or_notify_cancel():
                room.set_result(None)

    def _find_or_start(self, model_path: Path, window_tokens: int | None) -> _Running | None:
        """Return the file's child, possibly still starting; None when there is no room for it."""
        running = self._running.get(model_path)
        if running is not None and not running.broken:
            return running
        if running is not None:
            del self._running[model_path]
            self._note_crash(model_path, running)
        self._refuse_crash_loop(model_path)
        leaving: list[_Running] = []
        while len(self._running) - len(leaving) >= self._settings.max_running_models:
            idle = [one for one in self._running.values() if not one.users and one not in leaving]
            if not idle:
                return None
            leaving.append(min(idle, key=lambda one: one.last_used))
        started = _Running()
        work = functools.partial(self._start, started, model_path, window_tokens, leaving)
        _begin(work, model_path)
        self._running = {p: one for p, one in self._running.items() if one not in leaving}
        self._running[model_path] = started
        return started

    def _start(
        self,
        running: _Running,
        model_path: Path,
        window_tokens: int | None,
        leaving: list[_Running],
    ) -> None:
        settings = self._settings
        if window_tokens is not None and window_tokens < settings.context_tokens:
            settings = msgspec.structs.replace(settings, context_tokens=window_tokens)
        try:
            for one in leaving:  # their memory first
                one.stop()
            process = running.start(self._launch, model_path, settings)
        except BaseException as error:  # noqa: BLE001 - it is raised again for those who wait
            running.started.set_exception(error)
        else:
            running.started.set_result(process)

    def _note_crash(self, model_path: Path, running: _Running) -> None:
        crashes = self._crashes.setdefault(model_path, deque(maxlen=_CRASH_LIMIT))
        crashes.append(self._monotonic())
        error = running.started.exception()
        self._last_words[model_path] = (
            str(error) if error else running.started.result().last_words()
        )

    def _refuse_crash_loop(self, model_path: Path) -> None:
        crashes = self._crashes.get(model_path, deque[float]())
        if len(crashes) < _CRASH_LIMIT:
            return
        wait_s = crashes[0] + _CRASH_WINDOW_S - self._monotonic()
        if wait_s > 0:
            raise ProviderError(
                f"The embedded model {model_path.stem!r} ended {_CRASH_LIMIT} times within "
                f"{_CRASH_WINDOW_S:.0f} seconds; the last time: {self._last_words[model_path]}.",
                kind=ProviderErrorKind.TRANSIENT,
                retry_after_s=wait_s,
                hint="Choose a smaller model, lower local.context_tokens, or pull the file again.",
            )


def _begin(work: Callable[[], None], model_path: Path) -> None:
    try:
        threading.Thread(target=work, name="ymera-local-start", daemon=True).start()
    except RuntimeError as error:
        raise refused_by_the_system(model_path, error) from error
