"""The floor: the least that a gateway in Python can do, as the yardstick of a run.

uvloop, httptools on both sides, msgspec. It reads the model's name, sends the bytes on over a kept
connection and hands the answer back, piece by piece where it is streamed. No keys, limits, routing,
records or metrics: what it costs is what everything else has to be compared with.

    python floor.py PORT UPSTREAM_PORT
"""

# ruff: noqa: D102 - what asyncio and httptools call is named by them
from __future__ import annotations

import asyncio
import sys
from collections import deque

import httptools
import msgspec
import uvloop


class Asked(msgspec.Struct):
    """What has to be known of a request to send it on."""

    model: str
    stream: bool = False


_asked = msgspec.json.Decoder(Asked)


class Upstream(asyncio.Protocol):
    """A kept connection; serves one caller at a time."""

    def __init__(self, idle: deque[Upstream]) -> None:
        self._idle = idle
        self._caller: Caller | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, caller: Caller, request: bytes) -> None:
        """Send a request whose answer goes to `caller`."""
        self._caller, self._pieces, self._type = caller, [], b"application/json"
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self._type = value

    def on_headers_complete(self) -> None:
        if self._caller is not None and self._caller.streams:
            self._caller.begin(self._parser.get_status_code(), self._type)

    def on_body(self, piece: bytes) -> None:
        if self._caller is not None and self._caller.streams:
            self._caller.piece(piece)
        else:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        caller, self._caller = self._caller, None
        if caller is None:
            return
        if caller.streams:
            caller.end()
        else:
            caller.answer(self._parser.get_status_code(), self._type, b"".join(self._pieces))
        self._idle.append(self)

    def connection_lost(self, _error: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._caller is not None:
            self._caller.answer(502, b"application/json", b'{"error":{"message":"cut"}}')


class Caller(asyncio.Protocol):
    """One connection of a caller."""

    def __init__(self, port: int, idle: deque[Upstream]) -> None:
        self._port = port
        self._idle = idle
        self.streams = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body: list[bytes] = []
        self.streams = False

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"GET":
            self.answer(200, b"text/plain", b"ok")
            return
        body = b"".join(self._body)
        self.streams = _asked.decode(body).stream
        request = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (self._port, len(body), body)
        )
        if self._idle:
            self._idle.pop().ask(self, request)
        else:
            asyncio.get_running_loop().create_task(self._dial(request))

    async def _dial(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(
            lambda: Upstream(self._idle), "127.0.0.1", self._port
        )
        upstream.ask(self, request)

    def begin(self, status: int, content_type: bytes) -> None:
        """Send the head of a streamed answer."""
        head = b"HTTP/1.1 %d OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
        self._send(head % (status, content_type))

    def piece(self, piece: bytes) -> None:
        """Send a piece of it."""
        self._send(b"%x\r\n%b\r\n" % (len(piece), piece))

    def end(self) -> None:
        """Send its end."""
        self._send(b"0\r\n\r\n")

    def answer(self, status: int, content_type: bytes, body: bytes) -> None:
        """Send a whole answer."""
        head = b"HTTP/1.1 %d OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        self._send(head % (status, content_type, len(body)) + body)

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


async def serve(port: int, upstream_port: int) -> None:
    """Serve until killed."""
    idle: deque[Upstream] = deque()
    server = await asyncio.get_running_loop().create_server(
        lambda: Caller(upstream_port, idle), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
