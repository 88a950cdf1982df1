"""A site of the test's own behind our real server, and a caller who decides each byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from ymera.core.errors import YmeraError
from ymera.server.connections import Connections, listening
from ymera.server.exchange import Exchange, Handler, Header, Site
from ymera.server.run import bind

__all__ = [
    "GET",
    "LINES",
    "Caller",
    "Door",
    "RawSite",
    "Response",
    "Seen",
    "calling",
    "stop_reading",
    "until",
]

GET = b"GET /here HTTP/1.1\r\nhost: localhost\r\n\r\n"
LINES = b"content-type: text/plain\r\n"
"""Of an answer's head."""

_PATIENCE_S = 30


@dataclass(frozen=True)
class Seen:
    """What a handler was given."""

    method: str
    path: str
    headers: tuple[Header, ...]
    body: bytes


@dataclass
class Response:
    """An answer; `complete` says whether it ended as its head promises."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    complete: bool = True


@dataclass
class RawSite:
    """Answers every request with what it saw; refuses those with a header `x-refuse`.

    Attributes:
        behave: what answers; None: an echo.
        limit: bytes of the largest body.
        seen: the requests that reached a handler, in order.
        failures: what was answered with an error.
    """

    behave: Handler | None = None
    limit: int = 100_000
    seen: list[Seen] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hot: Mapping[str, Handler] = {"/hot": self.serve}

    def max_body_bytes(self) -> int:
        return self.limit

    def check(self, method: str, headers: list[Header], fields: Mapping[bytes, bytes]) -> None:
        if fields.get(b"x-refuse"):
            error = YmeraError("Not here.")
            error.http_status = 403
            raise error

    async def serve(self, exchange: Exchange) -> None:
        headers = tuple(exchange.headers)
        self.seen.append(Seen(exchange.method, exchange.path, headers, exchange.body))
        if self.behave is not None:
            await self.behave(exchange)
        else:
            exchange.respond(200, f"{exchange.method} {exchange.path} ".encode() + exchange.body)

    def fail(self, exchange: Exchange, error: Exception) -> None:
        self.failures.append(error)
        status = error.http_status if isinstance(error, YmeraError) else 500
        exchange.respond(status, str(error).encode(), content_type=b"text/plain")


@dataclass
class Caller:
    """One connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connections: Connections

    async def send(self, data: bytes) -> None:
        """Write some bytes of a request."""
        self.writer.write(data)
        await self.writer.drain()

    async def line(self) -> bytes:
        """Read one line."""
        return await asyncio.wait_for(self.reader.readline(), _PATIENCE_S)

    async def answer(self, *, bodiless: bool = False) -> Response:
        """Read a whole answer, or as much of it as comes."""
        status = int((await self.line()).split()[1])
        headers: dict[str, str] = {}
        while (line := await self.line()) != b"\r\n":
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            assert name not in headers, f"{name} comes twice"
            headers[name] = value
        found = Response(status, headers)
        if not bodiless and status not in {204, 304}:
            await asyncio.wait_for(self._body(found), _PATIENCE_S)
        return found

    async def closed(self) -> bytes:
        """Wait until the server closes; return what came before."""
        try:
            return await asyncio.wait_for(self.reader.read(), _PATIENCE_S)
        except ConnectionResetError:
            return b""

    def leave(self) -> None:
        """Hang up."""
        self.writer.transport.abort()

    async def _body(self, found: Response) -> None:
        try:
            if found.headers.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readline(), 16):
                    found.body += (await self.reader.readexactly(size + 2))[:-2]
                assert await self.reader.readexactly(2) == b"\r\n"
            elif "content-length" in found.headers:
                found.body = await self.reader.readexactly(int(found.headers["content-length"]))
            else:
                found.body = await self.reader.read()
        except (asyncio.IncompleteReadError, ValueError, ConnectionResetError):
            found.complete = False


@dataclass
class Door:
    """Where the server listens."""

    port: int
    connections: Connections
    callers: list[Caller] = field(default_factory=list)

    async def call(self) -> Caller:
        """Open a connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.callers.append(Caller(reader, writer, self.connections))
        return self.callers[-1]


@asynccontextmanager
async def calling(site: Site, *, most: int | None = None) -> AsyncIterator[Door]:
    """Serve a site on loopback, to so many at once; hang up on everybody at the end."""
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with listening(site, listener, most=most) as connections:
        door = Door(port, connections)
        try:
            yield door
        finally:
            for caller in door.callers:
                caller.leave()


async def until(true: Callable[[], object]) -> None:
    """Let the loop turn until `true()`, or for 10 seconds."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - no event tells of every turn of the server
            await asyncio.sleep(0)


def stop_reading(caller: Caller) -> asyncio.ReadTransport:
    """Take nothing more of what the server sends; return what could read on."""
    transport = cast("asyncio.ReadTransport", caller.writer.transport)
    transport.pause_reading()
    return transport
