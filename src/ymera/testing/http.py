"""The plumbing of the simulators: a loopback server that can break the rules of HTTP.

Plain asyncio sockets, because half of its business is to stall, to cut and to lie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Self

import msgspec

__all__ = ["Exchange", "LoopbackServer", "SeenRequest"]

_BODY_LIMIT_BYTES = 64 * 1024 * 1024
_KEPT_BYTES = 256 * 1024 * 1024
_HEAD_LIMIT_BYTES = 64 * 1024
_NONE: Mapping[str, str] = MappingProxyType({})


class SeenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in; header names in lower case, `path` with its query."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


class Exchange:
    """One request, and the socket its answer goes to.

    Every method that ends the answer returns whether the connection can be kept.

    Args:
        request: what came in.
        writer: takes the answer.
    """

    def __init__(self, request: SeenRequest, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self._writer = writer

    async def send(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] = _NONE,
    ) -> bool:
        """Send a whole answer."""
        # Head and body in one write: two would wait for each other (Nagle, delayed acknowledgement)
        self._writer.write(_head(status, content_type, len(body), headers) + body)
        await self._writer.drain()
        return True

    async def send_half(
        self, body: bytes, headers: Mapping[str, str] = _NONE, *, stall: bool = False
    ) -> bool:
        """Send the first half of a good answer; then cut, or say nothing more."""
        head = _head(200, "application/json", len(body), headers)
        self._writer.write(head + body[: len(body) // 2])
        await self._writer.drain()
        if stall:
            await self.say_nothing()
        return False

    async def send_half_a_head(self) -> bool:
        """Send the beginning of an answer's head, then cut."""
        self._writer.write(b"HTTP/1.1 200 Simulated\r\ncontent-ty")
        await self._writer.drain()
        return False

    def begin(self, content_type: str, headers: Mapping[str, str] = _NONE) -> None:
        """Begin a streamed answer."""
        self._writer.write(_head(200, content_type, None, headers))

    async def piece(self, data: bytes) -> None:
        """Send the next piece of a streamed answer."""
        if data:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def end(self) -> bool:
        """End a streamed answer as HTTP wants it."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        return True

    async def say_nothing(self) -> None:
        """Wait until the caller has had enough."""
        await asyncio.Event().wait()


def _head(status: int, content_type: str, length: int | None, headers: Mapping[str, str]) -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"HTTP/1.1 {status} Simulated\r\ncontent-type: {content_type}\r\n{framing}\r\n"
        f"x-request-id: sim\r\n{extra}\r\n"
    ).encode()


class LoopbackServer:
    """Runs while its `async with` block lasts.

    Args:
        respond: answers one exchange; returns whether the connection is kept.
        port: 0 picks a free one.

    Attributes:
        origin: `http://127.0.0.1:<port>`; set on entry.
        seen: every request, in order; of those whose bodies are more than 256 MB together, the
            latest.
        connections: connections accepted so far.
        hang_ups: set for good once a caller has left in the middle of an answer.
    """

    def __init__(self, respond: Callable[[Exchange], Awaitable[bool]], *, port: int = 0) -> None:
        self._respond = respond
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.origin = ""
        self.seen: list[SeenRequest] = []
        self._seen_bytes = 0
        self.connections = 0
        self.hang_ups = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, limit=_HEAD_LIMIT_BYTES
        )
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Cut every connection and stop."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.connections += 1
        ahead: bytes | None = b""
        try:
            while ahead is not None:
                ahead = await self._one_request(ahead, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except ValueError:
            pass  # a content-length that is no number
        except asyncio.CancelledError:
            pass  # by __aexit__; asyncio's own callback would complain about a cancelled handler
        finally:
            writer.close()

    def _keep(self, request: SeenRequest) -> None:
        self.seen.append(request)
        self._seen_bytes += len(request.body)
        if self._seen_bytes > _KEPT_BYTES:
            half = len(self.seen) // 2
            self._seen_bytes -= sum(len(each.body) for each in self.seen[:half])
            del self.seen[:half]

    async def _one_request(
        self, ahead: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Answer one request; return what was read of the next one, None to close.

        Args:
            ahead: what was read of this one already.
            reader: the rest of it.
            writer: takes the answer.
        """
        head = ahead + await reader.readuntil(b"\r\n\r\n")
        request_line, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        if length > _BODY_LIMIT_BYTES:
            return None
        body = await reader.readexactly(length)
        method, path = (*request_line.split(" "), "", "")[:2]
        request = SeenRequest(method=method, path=path, headers=headers, body=body)
        self._keep(request)
        # Reading on while answering is how a caller that leaves is noticed: it gets b"".
        watch = asyncio.ensure_future(reader.read(1))
        answering = asyncio.ensure_future(self._respond(Exchange(request, writer)))
        try:
            await asyncio.wait({watch, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and watch.done() and not _bytes_of(watch):
                self.hang_ups.set()
                return None
            keep = await answering
            return _bytes_of(watch) if keep else None
        finally:
            answering.cancel()
            watch.cancel()
            await asyncio.gather(answering, watch, return_exceptions=True)


def _bytes_of(watch: asyncio.Future[bytes]) -> bytes:
    if not watch.done() or watch.cancelled() or watch.exception() is not None:
        return b""
    return watch.result()
