"""How bytes reach an upstream: kept connections, deadlines, bounds.

No proxy is taken from the environment, no redirect is followed, TLS certificates are verified
against the system's store, and answers are asked for uncompressed.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import warnings
import weakref
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from ymera.core.errors import (
    ConfigError,
    ProviderError,
    ProviderErrorKind,
    ProviderErrorScope,
)
from ymera.core.ports import Deadlines
from ymera.providers.http1 import Connection, Exchange, Late

__all__ = ["HttpResponse", "HttpTransport"]

_KEEP_IDLE_S = 55.0
_KEEP_IDLE_CONNECTIONS = 64


class _Target(NamedTuple):
    host: str
    port: int
    tls: bool
    head: bytes
    """Request line and the headers that are always the same."""

    @property
    def origin(self) -> tuple[str, int, bool]:
        return self.host, self.port, self.tls


class HttpTransport:
    """HTTP/1.1 over kept connections, as `ymera.core.ports.Transport`.

    May be used from several event loops, one after another or at once in threads: each loop has
    its own connections.

    A kept connection that the upstream closes while a request is on its way, before a single byte
    of an answer, is replaced by a new one and the request is sent once more: that is how an idle
    time-out of the other side looks. A request on a new connection is never sent twice.
    """

    def __init__(self) -> None:
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = (
            weakref.WeakKeyDictionary()
        )

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
    ) -> HttpResponse:
        """Send one POST; see `ymera.core.ports.Transport.post`.

        Raises:
            ConfigError: the URL or a header cannot be sent.
            ProviderError: no connection, no answer in time, or no HTTP.
        """
        target = _target(url)
        request = _request(target, headers, body)
        clock = _Clock(deadlines, asyncio.get_running_loop(), target.host)
        pool = self._pool()
        kept = pool.take(target)
        if kept is not None:
            exchange = kept.send(request)
            try:
                return await _answered(exchange, clock)
            except ProviderError:
                # Dropped by us (a deadline) or by them? Only the latter, untouched, is stale.
                if not exchange.untouched or clock.expired:
                    raise
        connection = await pool.open(target, clock)
        return await _answered(connection.send(request), clock)

    async def close(self) -> None:
        """Close every connection; answers still being read break off."""
        here = asyncio.get_running_loop()
        pools = list(self._pools.items())
        self._pools.clear()
        for loop, pool in pools:
            if loop is here:
                pool.close()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(pool.close)
            else:
                pool.forget()
        await asyncio.sleep(0)  # lets the transports of this loop finish closing

    def _pool(self) -> _Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            for other, old in list(self._pools.items()):
                if other.is_closed():
                    old.forget()
                    del self._pools[other]
            pool = self._pools[loop] = _Pool(loop)
        return pool


class HttpResponse:
    """An answer whose head has arrived, as `ymera.core.ports.TransportResponse`."""

    def __init__(self, exchange: Exchange, clock: _Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self.status = exchange.status
        self.headers: Mapping[str, str] = exchange.headers

    async def read(self, limit: int) -> bytes:
        """Return the whole body; see `ymera.core.ports.TransportResponse.read`."""
        pieces: list[bytes] = []
        size = 0
        while chunk := await self._exchange.next_chunk(self._clock.idle()):
            size += len(chunk)
            if size > limit:
                await self.close()
                raise ProviderError(
                    f"The upstream's answer is larger than {limit} bytes.",
                    kind=ProviderErrorKind.BAD_ANSWER,
                    status=self.status,
                )
            pieces.append(chunk)
        return b"".join(pieces)

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; pieces that came meanwhile are joined."""
        return _Chunks(self._exchange, self._clock)

    async def close(self) -> None:
        """Drop the connection unless the answer has come whole (then it is already kept)."""
        self._exchange.drop()


class _Chunks:
    """Iterates over the body: unlike a generator it needs no closing when it is left early."""

    def __init__(self, exchange: Exchange, clock: _Clock) -> None:
        self._exchange = exchange
        self._clock = clock

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._exchange.next_chunk(self._clock.idle())
        if not chunk:
            raise StopAsyncIteration
        return chunk


async def _answered(exchange: Exchange, clock: _Clock) -> HttpResponse:
    try:
        await exchange.head(clock.first_byte())
    except BaseException:
        exchange.drop()  # cancelled, too late, or broken
        raise
    encoding = exchange.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        exchange.drop()
        raise ProviderError(
            f"The upstream compressed its answer ({encoding!r}) although it was asked not to.",
            kind=ProviderErrorKind.BAD_ANSWER,
            scope=ProviderErrorScope.PROVIDER,
        )
    return HttpResponse(exchange, clock)


class _Clock:
    """The deadlines of one call, as points of loop time."""

    def __init__(self, deadlines: Deadlines, loop: asyncio.AbstractEventLoop, host: str) -> None:
        self._deadlines = deadlines
        self._time = loop.time
        self._host = host
        self._end = None if deadlines.total_s is None else loop.time() + deadlines.total_s
        self.expired = False

    def connect(self) -> Late | None:
        return self._stage(self._deadlines.connect_s, "did not accept a connection within {:g} s")

    def first_byte(self) -> Late | None:
        return self._stage(self._deadlines.first_byte_s, "did not begin to answer within {:g} s")

    def idle(self) -> Late | None:
        return self._stage(self._deadlines.idle_s, "fell silent for {:g} s in its answer")

    def _stage(self, limit_s: float | None, what: str) -> Late | None:
        at = None if limit_s is None else self._time() + limit_s
        if self._end is not None and (at is None or self._end < at):
            return self._end, functools.partial(
                self._late, "did not finish within {:g} s", self._deadlines.total_s
            )
        return None if at is None else (at, functools.partial(self._late, what, limit_s))

    def _late(self, what: str, limit_s: float | None) -> ProviderError:
        self.expired = True
        return ProviderError(
            f"{self._host} {what.format(limit_s)}.", kind=ProviderErrorKind.TRANSIENT
        )


class _Pool:
    """The connections of one event loop; the one used last is reused first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weak, or the pool would keep its own key in the transport's table alive.
        self._loop = weakref.ref(loop)
        self._idle: dict[tuple[str, int, bool], list[Connection]] = {}
        self._all: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None

    def take(self, target: _Target) -> Connection | None:
        """Return a kept connection that is still open and not older than upstreams allow."""
        idle = self._idle.get(target.origin)
        while idle:
            connection = idle.pop()
            fresh = connection.loop.time() - connection.idle_since < _KEEP_IDLE_S
            if fresh and connection.usable:
                return connection
            connection.abort()
        return None

    async def open(self, target: _Target, clock: _Clock) -> Connection:
        """Return a new connection.

        Raises:
            ProviderError: refused, unknown host, bad certificate, or too late.
        """
        loop = asyncio.get_running_loop()
        free = functools.partial(self._keep, target.origin)

        def make() -> Connection:
            return Connection(loop, on_free=free, on_lost=self._lost)

        late = clock.connect()
        try:
            async with asyncio.timeout_at(None if late is None else late[0]):
                _, connection = await loop.create_connection(
                    make, target.host, target.port, ssl=self._context() if target.tls else None
                )
        except TimeoutError as error:
            raise (late[1]() if late is not None else _unreachable(target, "timed out")) from error
        except OSError as error:
            raise _unreachable(target, _reason(error)) from error
        if connection.usable:
            self._all.add(connection)
        return connection

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._all):
            connection.abort()
        self._idle.clear()

    def forget(self) -> None:
        """Let go of connections whose loop is closed already; nothing can be said to them."""
        with warnings.catch_warnings():
            # The sockets close as they are collected here, which asyncio would complain about.
            warnings.simplefilter("ignore", ResourceWarning)
            for connection in self._all:
                connection.forget()
            self._all.clear()
            self._idle.clear()

    def _keep(self, origin: tuple[str, int, bool], connection: Connection) -> None:
        idle = self._idle.setdefault(origin, [])
        if len(idle) < _KEEP_IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.abort()

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


def _unreachable(target: _Target, reason: str) -> ProviderError:
    return ProviderError(
        f"No connection to {target.host}:{target.port}: {reason}.",
        kind=ProviderErrorKind.TRANSIENT,
        scope=ProviderErrorScope.PROVIDER,
        hint="Check the network, and that the server there is running.",
    )


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake failed"
    return (error.strerror or str(error) or type(error).__name__).rstrip(".")


@functools.lru_cache(maxsize=256)
def _target(url: str) -> _Target:
    parts = urlsplit(url)
    try:
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:  # UnicodeError is one
        raise _bad_url(url) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise _bad_url(url)
    path = parts.path or "/"
    if parts.query:
        path += "?" + parts.query
    authority = parts.netloc
    if not (path + authority).isascii() or not (path + authority).isprintable() or " " in path:
        raise _bad_url(url)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: ymera\r\n"
        "accept-encoding: identity\r\n"
    )
    tls = parts.scheme == "https"
    return _Target(parts.hostname, port or (443 if tls else 80), tls, head.encode())


def _bad_url(url: str) -> ConfigError:
    return ConfigError(
        f"{url.partition('?')[0].rpartition('@')[2]!r} is no address that can be called.",
        hint="Use http:// or https://, a host name, and neither user name nor spaces.",
    )


def _request(target: _Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\r") != len(headers) or lines.count("\n") != len(headers):
        raise ConfigError(
            "A request header holds a line break.", hint="Check the provider's key and headers."
        )
    try:
        encoded = lines.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ConfigError(
            "A request header holds characters that HTTP cannot carry.",
            hint="Check the provider's key and headers.",
        ) from error
    return b"%bcontent-length: %d\r\n%b\r\n%b" % (target.head, len(body), encoded, body)
