"""How bytes reach an upstream: kept connections, deadlines, bounds.

No proxy is taken from the environment, no redirect is followed, TLS certificates are verified
against the system's store, and answers are asked for uncompressed.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import AsyncIterator, Mapping

from ymera.core.errors import (
    ConfigError,
    ProviderError,
    ProviderErrorKind,
    ProviderErrorScope,
)
from ymera.core.ports import Deadlines
from ymera.providers.connections import Pool, Target, parse_target
from ymera.providers.http1 import Exchange, Late

__all__ = ["HttpResponse", "HttpTransport"]


class HttpTransport:
    """HTTP/1.1 over kept connections, as `ymera.core.ports.Transport`.

    May be used from several event loops, one after another or at once in threads: each loop has
    its own connections.

    A kept connection that the upstream closes while a request is on its way, before a single byte
    of an answer, is replaced by a new one and the request is sent once more: that is how an idle
    time-out of the other side looks. A request on a new connection is never sent twice.
    """

    def __init__(self) -> None:
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = (
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
        target = parse_target(url)
        return await self._sent(target, _request(target, headers, body), deadlines)

    async def get(self, url: str, headers: Mapping[str, str], deadlines: Deadlines) -> HttpResponse:
        """Send one GET; like `post` without a body.

        Raises:
            ConfigError: the URL or a header cannot be sent.
            ProviderError: no connection, no answer in time, or no HTTP.
        """
        target = parse_target(url)
        return await self._sent(target, _request(target, headers, None), deadlines)

    async def _sent(self, target: Target, request: bytes, deadlines: Deadlines) -> HttpResponse:
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
        connection = await pool.open(target, clock.connect())
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

    def _pool(self) -> Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            for other, old in list(self._pools.items()):
                if other.is_closed():
                    old.forget()
                    del self._pools[other]
            pool = self._pools[loop] = Pool(loop)
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


def _request(target: Target, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Return the bytes of a POST, of a GET where there is no body."""
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
    if body is None:
        return b"GET%b%b\r\n" % (target.head.removeprefix(b"POST"), encoded)
    return b"%bcontent-length: %d\r\n%b\r\n%b" % (target.head, len(body), encoded, body)
