"""What a handler sees of a request, and how it answers; whoever carries the bytes implements it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from ymera.core.errors import TooLong

__all__ = [
    "JSON",
    "Exchange",
    "Handler",
    "Header",
    "Site",
    "as_fields",
    "header_lines",
    "too_long",
]

Header = tuple[bytes, bytes]
"""Name in lower case, and value."""

JSON = b"application/json"


class Exchange(ABC):
    """One request, whole, and the way to answer it: either `respond`, or a stream.

    Attributes:
        method: in capitals.
        path: decoded, without the query.
        headers: as they came.
        fields: the same by name; what was repeated is joined by commas.
        body: the whole body.
        request_id: name of the request once a handler gave it one.
        started: an answer was begun; too late for another status.
        ended: the answer is complete.
        congested: the caller does not take what was written; await `drained` before writing more.
    """

    __slots__ = (
        "body",
        "congested",
        "ended",
        "fields",
        "headers",
        "method",
        "path",
        "request_id",
        "started",
    )

    def __init__(
        self,
        method: str,
        path: str,
        headers: list[Header],
        fields: Mapping[bytes, bytes],
        body: bytes,
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.fields = fields
        self.body = body
        self.request_id: str | None = None
        self.started = False
        self.ended = False
        self.congested = False

    @abstractmethod
    def respond(
        self, status: int, body: bytes, lines: bytes = b"", content_type: bytes = JSON
    ) -> None:
        """Send a whole answer.

        Args:
            status: of HTTP.
            body: all of it.
            lines: further header lines, each with its line end; see `header_lines`.
            content_type: of the body.
        """

    @abstractmethod
    def start_stream(self, status: int, lines: bytes) -> None:
        """Begin an answer of unknown length; its head leaves with the first piece."""

    @abstractmethod
    def write(self, piece: bytes) -> None:
        """Send a piece of the stream."""

    @abstractmethod
    async def drained(self) -> None:
        """Wait until the caller has taken enough of what was written."""

    @abstractmethod
    def end(self, last: bytes = b"") -> None:
        """Send the last piece, if there is one, and end the stream."""


Handler = Callable[[Exchange], Awaitable[None]]


class Site(Protocol):
    """What is served: told of every request by whoever carries it.

    Attributes:
        hot: what answers `POST` by decoded path, without a detour.
    """

    hot: Mapping[str, Handler]

    def max_body_bytes(self) -> int:
        """Return the size of the largest request body that is taken in."""

    def check(self, method: str, headers: list[Header], fields: Mapping[bytes, bytes]) -> None:
        """Pass a request by its head.

        Raises:
            YmeraError: it is refused.
        """

    async def serve(self, exchange: Exchange) -> None:
        """Answer what no hot handler does."""

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """Answer with an error; log it where it is a bug."""


def as_fields(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Return headers by name; what was repeated is joined by commas."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        fields[name] = b"%b, %b" % (fields[name], value) if name in fields else value
    return fields


def header_lines(headers: Iterable[Header]) -> bytes:
    """Return headers as lines.

    Raises:
        ValueError: one of them would end its line early.
    """
    each = [b"%b: %b\r\n" % header for header in headers]
    lines = b"".join(each)
    if not len(each) == lines.count(b"\r") == lines.count(b"\n"):
        raise ValueError("a header holds the end of a line")
    return lines


def too_long(limit_bytes: int) -> TooLong:
    """Return the error of a body larger than is taken in."""
    return TooLong(
        f"The request body is over {limit_bytes:,} bytes.",
        hint="Send less, or raise server.max_body_bytes.",
    )
