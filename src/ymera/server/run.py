"""Running the server: its socket, signals, a graceful end, and the live reload of settings."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator

from ymera.app import App
from ymera.core.errors import MachineError, YmeraError
from ymera.server.connections import listening
from ymera.server.origin import refuse_open_address
from ymera.server.site import AppSite

__all__ = ["bind", "serve"]

_log = logging.getLogger(__name__)
_RELOAD_PERIOD_S = 1.0
_SHUTDOWN_S = 10.0
_GC_THRESHOLDS = (25_000, 20, 20)
"""By default the collector runs every 700 new objects, several times a request; most of what a
request leaves behind is freed without it."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 picks a free one.

    Raises:
        ConfigError: an address that others could reach.
        MachineError: the port is in use or may not be used.
    """
    refuse_open_address(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        why = {
            errno.EADDRINUSE: "is already in use",
            errno.EACCES: "may not be used by this user",
        }.get(error.errno or 0, f"cannot be used: {error.strerror}")
        raise MachineError(
            f"Port {port} on {host} {why}.",
            hint="Choose another with --port, or stop what listens there.",
        ) from error
    listener.setblocking(False)
    return listener


async def serve(
    app: App, listener: socket.socket, *, on_ready: Callable[[str], None] = lambda url: None
) -> signal.Signals | None:
    """Serve `app` on `listener` until SIGINT or SIGTERM, then finish open requests.

    A second signal does not wait for them.

    Returns:
        The signal that ended it.
    """
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    await asyncio.to_thread(app.quotas.load)  # the first request would read it on this thread
    app.observing.maintenance.start()
    await app.running.resume_pending()
    stop = _Stop()
    with _collecting_garbage_seldom(), stop.catching():
        async with _reloading(app), listening(AppSite(app), listener) as connections:
            on_ready(url)
            await stop.asked.wait()
            await connections.stop(_SHUTDOWN_S, hurry=stop.pressed)
    return stop.first


@contextlib.contextmanager
def _collecting_garbage_seldom() -> Generator[None, None, None]:
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # the catalogue and the code live as long as the server
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class _Stop:
    """What signals ask for.

    Attributes:
        first: the signal that came first.
        asked: to stop.
        pressed: to stop without waiting for anybody.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.asked = asyncio.Event()
        self.pressed = asyncio.Event()

    @contextlib.contextmanager
    def catching(self) -> Generator[None, None, None]:
        """Take signals while the block runs."""
        with contextlib.ExitStack() as caught:
            for number in (signal.SIGINT, signal.SIGTERM):
                caught.callback(_on_signal(number, self._caught))
            yield

    def _caught(self, number: signal.Signals) -> None:
        if self.first is None:
            self.first = number
            self.asked.set()
        else:
            self.pressed.set()


def _on_signal(
    number: signal.Signals, act: Callable[[signal.Signals], None]
) -> Callable[[], object]:
    """Have the running loop call `act` on a signal; return what undoes it."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, act, number)
    except NotImplementedError:  # the loops of Windows have no signal handlers
        before = signal.signal(number, lambda *_: loop.call_soon_threadsafe(act, number))
        return lambda: signal.signal(number, before)
    return lambda: loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _reloading(app: App) -> AsyncGenerator[None, None]:
    """Take in changed settings, keys and models while the block runs."""
    task = asyncio.create_task(_watch(app))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(app: App) -> None:
    told = ""
    while True:
        await asyncio.sleep(_RELOAD_PERIOD_S)
        try:
            if app.reload():
                _log.info("settings reloaded")
            told = ""
        except YmeraError as error:
            _log.error("settings not reloaded: %s %s", error, error.hint or "")
        except Exception as error:  # noqa: BLE001 - outermost here: later edits must still be seen
            if repr(error) != told:  # what lasts is told once, not every second
                told = repr(error)
                _log.exception("settings not reloaded")
