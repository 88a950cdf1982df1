"""How bytes reach an upstream: kept connections, deadlines, bounds.

No proxy is taken from the environment, no redirect is followed, TLS certificates are verified
against the system's store, and answers are asked for uncompressed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from ymera.core.errors import (
    ConfigError,
    ProviderError,
    ProviderErrorKind,
    ProviderErrorScope,
)
from ymera.core.per_loop import PerLoop
from ymera.core.ports import Deadlines
from ymera.providers.connections import Pool, Target, parse_target
from ymera.providers.http1 import Exchange, Late

__all__ = ["HttpResponse", "HttpTransport"]

_MOST_HEADS = 1024


class HttpTransport:
    """HTTP/1.1 over kept connections, as `ymera.core.ports.Transport`.

    May be used from several event loops, one after another or at once in threads: each loop has
    its own connections.

    A kept connection that the upstream closes while a request is on its way, before a single byte
    of an answer, is replaced by a new one and the request is sent once more: that is how an idle
    time-out of the other side looks. A request on a new connection is never sent twice.
    """

    def __init__(self) -> None:
        self._pools: PerLoop[asyncio.AbstractEventLoop, Pool] = PerLoop(self._new_pool)
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
    ) -> HttpResponse:
        """Send one POST; see `ymera.core.ports.Transport.post`.

        Raises:
            ConfigError: the URL or a header cannot be sent.
            ProviderError: no connection, no answer in time, or no HTTP.
        """
        target = parse_target(url)
        head = self._head(url, target, headers)
        request = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
        return await self._sent(target, request, deadlines)

    async def get(self, url: str, headers: Mapping[str, str], deadlines: Deadlines) -> HttpResponse:
        """Send one GET; like `post` without a body.

        Raises:
            ConfigError: the URL or a header cannot be sent.
            ProviderError: no connection, no answer in time, or no HTTP.
        """
        target = parse_target(url)
        head = self._head(url, target, headers)
        return await self._sent(target, b"GET%b\r\n" % head.removeprefix(b"POST"), deadlines)

    async def _sent(self, target: Target, request: bytes, deadlines: Deadlines) -> HttpResponse:
        loop = asyncio.get_running_loop()
        pool = self._pools.of(loop)
        clock = _Clock(deadlines, loop.time, target.host)
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
        pools = self._pools.items()
        self._pools.clear()
        self._heads.clear()
        for loop, pool in pools:
            if loop is here:
                pool.close()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(pool.close)
            else:
                pool.forget()
        await asyncio.sleep(0)  # lets the transports of this loop finish closing

    def _new_pool(self, _loop: asyncio.AbstractEventLoop) -> Pool:
        for other, old in self._pools.items():
            if other.is_closed():
                old.forget()
                self._pools.drop(other)
        return Pool()

    def _head(self, url: str, target: Target, headers: Mapping[str, str]) -> bytes:
        """Return the head of a POST up to its length; of each client it is always the same."""
        key = url, tuple(headers.items())
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            head = self._heads[key] = target.head + _lines(headers)
        return head


class HttpResponse:
    """An answer whose head has arrived, as `ymera.core.ports.TransportResponse`."""

    __slots__ = ("_clock", "_exchange", "headers", "status")

    def __init__(self, exchange: Exchange, clock: _Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self.status = exchange.status
        self.headers: Mapping[str, str] = exchange.headers

    async def read(self, limit: int) -> bytes:
        """Return the whole body; see `ymera.core.ports.TransportResponse.read`."""
        exchange = self._exchange
        pieces: list[bytes] = []
        size = 0
        while True:
            chunk = exchange.taken() if exchange.complete else await self.next_chunk()
            size += len(chunk)
            if size > limit:
                await self.close()
                raise ProviderError(
                    f"The upstream's answer is larger than {limit} bytes.",
                    kind=ProviderErrorKind.BAD_ANSWER,
                    status=self.status,
                )
            if not chunk:
                return b"".join(pieces)
            pieces.append(chunk)

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; pieces that came meanwhile are joined."""
        return _Chunks(self)

    async def next_chunk(self) -> bytes:
        """Return every byte that came since the last call, b"" at the end.

        Raises:
            ProviderError: the answer was cut, or too late.
        """
        return await self._exchange.next_chunk(self._clock.idle())

    async def close(self) -> None:
        """Drop the connection unless the answer has come whole (then it is already kept)."""
        self._exchange.drop()


class _Chunks:
    """Iterates over the body: unlike a generator it needs no closing when it is left early."""

    __slots__ = ("_response",)

    def __init__(self, response: HttpResponse) -> None:
        self._response = response

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._response.next_chunk()
        if not chunk:
            raise StopAsyncIteration
        return chunk


async def _answered(exchange: Exchange, clock: _Clock) -> HttpResponse:
    try:
        await exchange.head(clock.first_byte())
    except BaseException:
        exchange.drop()  # cancelled, too late, or broken
        raise
    encoding = exchange.headers.get("content-encoding")
    if encoding is not None and encoding.lower() != "identity":
        exchange.drop()
        raise ProviderError(
            f"The upstream compressed its answer ({encoding!r}) although it was asked not to.",
            kind=ProviderErrorKind.BAD_ANSWER,
            scope=ProviderErrorScope.PROVIDER,
        )
    return HttpResponse(exchange, clock)


class _Clock:
    """The deadlines of one call, as points of loop time."""

    __slots__ = ("_deadlines", "_end", "_host", "_time", "expired")

    def __init__(self, deadlines: Deadlines, time: Callable[[], float], host: str) -> None:
        self._deadlines = deadlines
        self._time = time
        self._host = host
        self._end = None if deadlines.total_s is None else time() + deadlines.total_s
        self.expired = False

    def connect(self) -> Late | None:
        return self._stage(self._deadlines.connect_s, "did not accept a connection within {:g} s")

    def first_byte(self) -> Late | None:
        return self._stage(self._deadlines.first_byte_s, "did not begin to answer within {:g} s")

    def idle(self) -> Late | None:
        return self._stage(self._deadlines.idle_s, "fell silent for {:g} s in its answer")

    def late(self, what: str, limit_s: float | None) -> ProviderError:
        """Return the error of a stage that took too long."""
        self.expired = True
        return ProviderError(
            f"{self._host} {what.format(limit_s)}.", kind=ProviderErrorKind.TRANSIENT
        )

    def _stage(self, limit_s: float | None, what: str) -> Late | None:
        end = self._end
        if limit_s is None:
            if end is None:
                return None
        else:
            at = self._time() + limit_s
            if end is None or at <= end:
                return at, self, what, limit_s
        return end, self, "did not finish within {:g} s", self._deadlines.total_s


def _lines(headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\r") != len(headers) or lines.count("\n") != len(headers):
        raise ConfigError(
            "A request header holds a line break.", hint="Check the provider's key and headers."
        )
    try:
        return lines.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ConfigError(
            "A request header holds characters that HTTP cannot carry.",
            hint="Check the provider's key and headers.",
        ) from error
