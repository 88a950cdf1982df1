"""All connections of one listening socket: counted, bounded, timed, and ended together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from socket import socket

from ymera.server.exchange import Site
from ymera.server.http1 import Connection

__all__ = ["Connections", "listening"]

_SWEEP_S = 1.0
_UNWINDING_S = 5.0
"""Within which what was cancelled should have ended."""
_BACKLOG = 1024
_MOST_CONNECTIONS = 4096
_FILES_SPARED = 128
"""Of the files a process may open: upstream connections, databases, logs."""


class Connections:
    """The open connections.

    Args:
        site: answers their requests.
        most: open at once; above it the one that idles longest makes room, or the newcomer goes.

    Attributes:
        now_s: a clock that ticks with each sweep; good enough for bounds of many seconds.
        stopping: no connection outlasts the request it is at.
    """

    def __init__(self, site: Site, *, most: int | None = None) -> None:
        self._site = site
        self._loop = asyncio.get_running_loop()
        self._most = most if most is not None else _most_connections()
        self._open: set[Connection] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self.now_s = 0
        self.stopping = False

    def __len__(self) -> int:
        return len(self._open)

    def new(self) -> Connection:
        """Return the protocol of a connection that was just accepted."""
        return Connection(self._site, self, self._loop)

    def add(self, connection: Connection) -> None:
        """Keep an open connection, if there is room."""
        if len(self._open) >= self._most:
            idle = [each for each in self._open if each.idle]
            min(idle, key=lambda each: each.seen_s, default=connection).abort()
        self._open.add(connection)
        self._empty.clear()

    def remove(self, connection: Connection, task: asyncio.Task[None] | None) -> None:
        """Forget a closed connection; `task` is cancelled and takes a while to end."""
        self._open.discard(connection)
        if task is not None:
            self._leaving.add(task)
            task.add_done_callback(self._left)
        self._tell()

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving.discard(task)
        self._tell()

    def _tell(self) -> None:
        if not self._open and not self._leaving:
            self._empty.set()

    async def accept(self, listener: socket) -> None:
        """Begin to take connections, and to look after them."""
        self._server = await self._loop.create_server(self.new, sock=listener, backlog=_BACKLOG)
        self._timer = self._loop.call_later(_SWEEP_S, self._sweep_again)

    def _sweep_again(self) -> None:
        self._timer = self._loop.call_later(_SWEEP_S, self._sweep_again)
        self.sweep(1)

    def sweep(self, passed_s: int) -> None:
        """End what takes too long."""
        self.now_s += passed_s
        for connection in tuple(self._open):
            connection.check_time(self.now_s)

    async def stop(self, within_s: float, hurry: asyncio.Event | None = None) -> None:
        """Accept no more, close what is idle, wait for requests under way, cut off what is left.

        Args:
            within_s: longest wait.
            hurry: ends the wait when it is set.
        """
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._open):
            connection.finish()
        waits = [asyncio.ensure_future(self._empty.wait())]
        if hurry is not None:
            waits.append(asyncio.ensure_future(hurry.wait()))
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for connection in tuple(self._open):
            connection.abort()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), _UNWINDING_S)
        for wait in waits:
            wait.cancel()
        if self._timer is not None:
            self._timer.cancel()


@asynccontextmanager
async def listening(
    site: Site, listener: socket, *, most: int | None = None
) -> AsyncGenerator[Connections, None]:
    """Accept connections on a socket while the block runs; whoever leaves it stops them."""
    connections = Connections(site, most=most)
    await connections.accept(listener)
    try:
        yield connections
    finally:
        if not connections.stopping:
            await connections.stop(0.0)


def _most_connections() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return _MOST_CONNECTIONS
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    # A request under way needs a second file, for its upstream.
    return min(_MOST_CONNECTIONS, max(16, (files - _FILES_SPARED) // 2))
