"""HTTP/1.1 to an upstream: a connection, and one exchange (request and answer) at a time over it.

httptools parses. Why this and no client library: docs/decisions/0002-upstream-http-client.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from ymera.core.errors import ProviderError, ProviderErrorKind, ProviderErrorScope

__all__ = ["Connection", "Exchange", "Late"]

_HEAD_LIMIT_BYTES = 64 * 1024
_PAUSE_ABOVE_BYTES = 512 * 1024


class Clock(Protocol):
    """Whose deadline it is."""

    def late(self, what: str, limit_s: float | None) -> ProviderError:
        """Return the error of a stage that took too long."""


Late = tuple[float, Clock, str, float | None]
"""A deadline: the loop time at which it passes, and what its clock is then asked for the error."""

_names: dict[bytes, str] = {}
_MOST_NAMES = 512


class Connection(asyncio.Protocol):
    """An open connection; serves one exchange after another.

    Args:
        loop: the loop it lives on.
        on_free: called when an answer is complete and another request may be sent.
        on_lost: called once when the connection is gone.

    Attributes:
        served: complete answers so far.
        idle_since: loop time of the last one.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        on_free: Callable[[Connection], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self.loop = loop
        self._on_free = on_free
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_s = 0.0
        self.served = 0
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Open, and no answer is under way."""
        transport = self._transport
        return transport is not None and self._exchange is None and not transport.is_closing()

    def send(self, request: bytes) -> Exchange:
        """Write a whole request; the exchange gives its answer. Only while `usable`."""
        exchange = Exchange(self)
        if self._transport is None or self._transport.is_closing():
            exchange.lost()
        else:
            self._exchange = exchange
            self._transport.write(request)
        return exchange

    def abort(self) -> None:
        """Drop the connection at once; the upstream sees it close."""
        if self._transport is not None:
            self._transport.abort()

    def forget(self) -> None:
        """Let go of a transport whose loop is closed already."""
        self._transport = None

    def pause(self, wanted: bool) -> None:
        """Stop or go on reading, so that a slow reader bounds what is held in memory."""
        if wanted != self._paused and self._transport is not None:
            self._paused = wanted
            if wanted:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def wake_by(self, at_s: float) -> None:
        """Have the exchange look at its deadline at a loop time, or at an earlier one.

        A timer per wait would cost more than the wait itself: this one is set again only when it
        has gone off, or when an earlier deadline than its own comes.
        """
        if self._timer is not None:
            if self._timer_at_s <= at_s:
                return
            self._timer.cancel()
        self._timer_at_s = at_s
        self._timer = self.loop.call_at(at_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._exchange is not None:
            at_s = self._exchange.expire(self.loop.time())
            if at_s is not None:
                self.wake_by(at_s)

    def completed(self, *, reusable: bool) -> None:
        """Take note that the present answer is complete."""
        self._exchange = None
        self.served += 1
        self.idle_since = self.loop.time()
        if reusable:
            self._on_free(self)
        else:
            self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand on what came; bytes that nobody asked for end the trust in this connection."""
        if self._exchange is None:
            self.abort()
        else:
            self._exchange.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever reads."""
        del exc
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        exchange, self._exchange = self._exchange, None
        self._on_lost(self)
        if exchange is not None:
            exchange.lost()


class Exchange:
    """The answer to one request, as it comes.

    Attributes:
        status: 0 until the head has come.
        headers: names in lower case; repeated ones joined by a comma.
        untouched: no byte of the answer has come yet.
        complete: the whole answer has come; some of it may still be unread.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._held_bytes = 0
        self._head_bytes = 0
        self._ends_with_connection = False
        self._waiter: asyncio.Future[None] | None = None
        self._late: Late | None = None
        self._failure: ProviderError | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.untouched = True
        self.complete = False

    # --- reading -----------------------------------------------------------------------------

    async def head(self, late: Late | None) -> None:
        """Wait until `status` and `headers` are known.

        Raises:
            ProviderError: no answer, no HTTP, or too late.
        """
        while not self.status:
            await self._wait(late)

    async def next_chunk(self, late: Late | None) -> bytes:
        """Return every byte of the body that came since the last call; b"" at the end.

        Raises:
            ProviderError: the answer was cut, or too late.
        """
        while not self._chunks:
            if self.complete:
                return b""
            await self._wait(late)
        return self.taken()

    def taken(self) -> bytes:
        """Return every byte of the body that came since the last call, without waiting."""
        chunks, self._chunks = self._chunks, []
        self._held_bytes = 0
        if not self.complete:
            self._connection.pause(wanted=False)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def drop(self) -> None:
        """Give up the rest of the answer: the connection closes unless the answer is complete."""
        if not self.complete:
            self._fail(_cut("was hung up on"))

    async def _wait(self, late: Late | None) -> None:
        if self._failure is not None:
            raise self._failure
        loop = self._connection.loop
        waiter = self._waiter = loop.create_future()
        self._late = late
        if late is not None:
            self._connection.wake_by(late[0])
        try:
            await waiter
        finally:
            self._waiter = None

    def expire(self, now_s: float) -> float | None:
        """Fail whoever waits for too long; return when it is too long for one who still waits."""
        waiter, late = self._waiter, self._late
        if waiter is None or late is None or waiter.done():
            return None
        if now_s < late[0]:
            return late[0]
        waiter.set_exception(late[1].late(late[2], late[3]))
        return None

    # --- what comes in -----------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take in bytes from the connection."""
        self.untouched = False
        if not self.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(_no_http())
            return
        if not self.status and self._head_bytes > _HEAD_LIMIT_BYTES:
            self._fail(_no_http())
        elif self._held_bytes > _PAUSE_ABOVE_BYTES and not self.complete:
            self._connection.pause(wanted=True)
        self._wake()

    def lost(self) -> None:
        """Take note that the connection is gone."""
        if self._failure is None and not self.complete:
            if self.status and self._ends_with_connection:
                self.complete = True
            elif self.untouched:
                self._failure = _cut("closed the connection without an answer")
            else:
                self._failure = _cut("cut the connection in the middle of its answer")
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header (parser)."""
        if self.complete:
            return
        key = _names.get(name) or _lowered(name)
        text = value.decode("latin-1").strip()
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        """Take the head (parser); a second answer to one request ends the trust in the sender."""
        if self.complete:
            self._connection.abort()
            return
        status = self._parser.get_status_code()
        if status < 200:  # it only announces the real one
            self.headers = {}
            return
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        self._ends_with_connection = not framed and status not in {204, 304}
        self.status = status

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body (parser)."""
        if self.complete:
            return
        self._chunks.append(body)
        self._held_bytes += len(body)

    def on_message_complete(self) -> None:
        """Free the connection (parser)."""
        if self.status and not self.complete:
            self.complete = True
            self._connection.completed(reusable=self._parser.should_keep_alive())

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if self._failure is not None and not self._chunks:
                waiter.set_exception(self._failure)
            else:
                waiter.set_result(None)

    def _fail(self, failure: ProviderError) -> None:
        if not self.complete and self._failure is None:
            self._failure = failure
        self._connection.abort()
        self._wake()


def _lowered(name: bytes) -> str:
    """Return a header's name in lower case; the usual ones are turned into text once."""
    text = name.decode("latin-1").lower()
    if len(_names) < _MOST_NAMES:
        _names[name] = text
    return text


def _cut(what: str) -> ProviderError:
    # About the model: behind one address each may run on machines of its own.
    return ProviderError(f"The upstream {what}.", kind=ProviderErrorKind.TRANSIENT)


def _no_http() -> ProviderError:
    return ProviderError(
        "The upstream sent something that is no HTTP answer.",
        kind=ProviderErrorKind.BAD_ANSWER,
        scope=ProviderErrorScope.PROVIDER,
        hint="Check the base URL.",
    )
