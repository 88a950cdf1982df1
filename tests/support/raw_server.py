"""A loopback server whose every byte a test decides."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["Call", "RawServer", "raw_server"]


@dataclass
class Call:
    """One request that came in, and the way to answer it."""

    head: str
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connection: int

    async def send(self, data: bytes) -> None:
        """Write some bytes of the answer."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"ok", *headers: str, status: int = 200) -> None:
        """Write a whole answer."""
        lines = "".join(f"{header}\r\n" for header in headers)
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
        await self.send(head.encode() + body)

    async def caller_left(self) -> None:
        """Wait until the other side closes."""
        try:
            while await self.reader.read(1000):
                pass
        except ConnectionError:
            pass


@dataclass
class RawServer:
    """Where it listens and how often it was connected to."""

    url: str = ""
    connections: int = 0
    calls: list[Call] = field(default_factory=list)


Behaviour = Callable[[Call], Awaitable[bool | None]]
"""Answers one call; False closes the connection, anything else keeps it."""


@asynccontextmanager
async def raw_server(
    behave: Behaviour, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Serve `behave` while the block lasts."""
    server = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        number = server.connections
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.lower().split("\r\n")
                length = next(line for line in lines if line.startswith("content-length:"))
                body = await reader.readexactly(int(length.partition(":")[2]))
                call = Call(head, body, reader, writer, number)
                server.calls.append(call)
                if await behave(call) is False:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(connection(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=512, ssl=tls)
    scheme = "http" if tls is None else "https"
    server.url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1/x"
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
