"""Answers in HTTP/1.1: each piece leaves in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus

from ymera.server.exchange import JSON, Exchange, Handler, Header

__all__ = ["BODILESS", "HttpExchange"]

_END = b"\r\n"
_CLOSE = b"connection: close\r\n\r\n"
BODILESS = frozenset({204, 304})
"""Statuses whose answers have no body, whatever a page says."""


class HttpExchange(Exchange):
    """A request on a connection, and its answer.

    Args:
        transport: of the connection.
        handler: what answers.
        method, path, headers, fields, body: see `Exchange`.
        target: as it stood in the request line.
        closes: the connection does not outlast the answer.
        old: the caller speaks HTTP/1.0: a stream ends with the connection.
    """

    __slots__ = ("_chunked", "_head", "_mute", "_transport", "_waiter", "closes", "handler",
                 "old", "target")  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        handler: Handler,
        method: str,
        path: str,
        headers: list[Header],
        fields: Mapping[bytes, bytes],
        body: bytes,
        target: bytes,
        *,
        closes: bool,
        old: bool,
    ) -> None:
        self.method = method  # as in the parent, without the cost of calling it
        self.path = path
        self.headers = headers
        self.fields = fields
        self.body = body
        self.request_id = None
        self.started = self.ended = self.congested = False
        self._transport = transport
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._chunked = True
        self._mute = False
        self.handler = handler
        self.target = target
        self.closes = closes
        self.old = old

    def respond(
        self, status: int, body: bytes, lines: bytes = b"", content_type: bytes = JSON
    ) -> None:
        """Send a whole answer."""
        if self.started:
            raise RuntimeError("the answer has begun already")
        self.started = self.ended = True
        last = _CLOSE if self.closes else _END
        start = _start(status, content_type)
        if self.method == "HEAD":
            self._send(b"%b%d\r\n%b%b" % (start, len(body), lines, last))
        else:
            self._send(b"%b%d\r\n%b%b%b" % (start, len(body), lines, last, body))

    def start_stream(self, status: int, lines: bytes) -> None:
        """Begin an answer of unknown length; its head leaves with the first piece."""
        self._begin()
        if self.old:
            self.closes, self._chunked = True, False
        else:
            lines += b"transfer-encoding: chunked\r\n"
        self._mute = self.method == "HEAD"
        self._head = b"%b%b%b" % (_status_line(status), lines, _CLOSE if self.closes else _END)

    def start_sized(self, status: int, lines: bytes) -> None:
        """Begin an answer whose length stands in `lines`, or that has no body by its status."""
        self._begin()
        self._chunked = False
        self._mute = self.method == "HEAD" or status in BODILESS
        self._head = b"%b%b%b" % (_status_line(status), lines, _CLOSE if self.closes else _END)

    def address(self, whose: str) -> tuple[str, int] | None:
        """Return `peername` or `sockname` as host and port."""
        found = self._transport.get_extra_info(whose)
        return (found[0], found[1]) if isinstance(found, tuple) else None

    def flush(self) -> None:
        """Send the head of a stream though there is no piece yet."""
        head, self._head = self._head, b""
        self._send(head)

    def write(self, piece: bytes) -> None:
        """Send a piece of the stream."""
        if not piece or self._mute:
            return
        if self._chunked:
            self._send(b"%b%x\r\n%b\r\n" % (self._head, len(piece), piece))
        else:
            self._send(self._head + piece if self._head else piece)
        self._head = b""

    def end(self, last: bytes = b"") -> None:
        """Send the last piece, if there is one, and end the stream."""
        self.ended = True
        head, self._head = self._head, b""
        if self._mute:
            self._send(head)
        elif not self._chunked:
            self._send(head + last)
        elif last:
            self._send(b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(last), last))
        else:
            self._send(head + b"0\r\n\r\n")

    async def drained(self) -> None:
        """Wait until the caller has taken enough of what was written."""
        if self.congested:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def resume(self) -> None:
        """Take note that more may be written."""
        self.congested = False
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _begin(self) -> None:
        if self.started:
            raise RuntimeError("the answer has begun already")
        self.started = True

    def _send(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)


@cache
def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


@cache
def _start(status: int, content_type: bytes) -> bytes:
    return b"%bcontent-type: %b\r\ncontent-length: " % (_status_line(status), content_type)
