"""One GET of one page over a connection to an address that was checked before."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote

import httptools

__all__ = ["Connect", "Page", "get_page", "open_connection"]

Connect = Callable[
    [str, int, str | None], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
]
"""Opens a connection: numeric address, port, and the name to check the certificate by (None for
plain http)."""

_CHUNK_BYTES = 64 * 1024
_MAX_HEADERS = 200
_MAX_HEADER_CHARS = 64 * 1024
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)
_SAFE = "/%:@!$&'()*+,;=-._~?"


@dataclass
class Page:
    """What came: filled in by the parser as bytes arrive."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    is_cut: bool = False
    is_complete: bool = False
    header_chars: int = 0

    @property
    def content_type(self) -> str:
        """As the server says; empty when it does not."""
        return self.headers.get("content-type", "")

    @property
    def location(self) -> str:
        """Where a redirect leads; empty when nowhere."""
        return self.headers.get("location", "")

    def text(self) -> str:
        """Return the body as text, by the declared character set, else UTF-8."""
        declared = _CHARSET.search(self.content_type)
        try:
            return bytes(self.body).decode(declared.group(1) if declared else "utf-8", "replace")
        except LookupError:
            return bytes(self.body).decode("utf-8", "replace")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header in; called by the parser."""
        self.header_chars += len(name) + len(value)
        if len(self.headers) >= _MAX_HEADERS or self.header_chars > _MAX_HEADER_CHARS:
            raise OSError("too many headers")
        self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1").strip())

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body in; called by the parser."""
        self.body += body

    def on_message_complete(self) -> None:
        """Note the end; called by the parser."""
        self.is_complete = True


async def open_connection(
    address: str, port: int, server_name: str | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a numeric address; see `Connect`.

    Raises:
        OSError: no connection, or the certificate does not fit the name.
    """
    context = ssl.create_default_context() if server_name is not None else None
    return await asyncio.open_connection(
        address, port, ssl=context, server_hostname=server_name, limit=_CHUNK_BYTES
    )


async def get_page(parts: SplitResult, address: str, connect: Connect, max_bytes: int) -> Page:
    """Return what stands at a URL.

    Args:
        parts: the URL.
        address: numeric, checked; nothing else is connected to.
        connect: opens the connection.
        max_bytes: a longer body is cut there.

    Raises:
        OSError: no connection, or what came is no HTTP.
        EOFError: the connection ended before the answer was complete.
    """
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    reader, writer = await connect(address, port, parts.hostname if secure else None)
    try:
        writer.write(_request(parts))
        await writer.drain()
        return await _read(reader, max_bytes)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, max_bytes: int) -> Page:
    page = Page()
    parser = httptools.HttpResponseParser(page)
    read = 0
    while not page.is_complete:
        data = await reader.read(_CHUNK_BYTES)
        if not data:
            break
        read += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise OSError(f"the answer is no HTTP ({type(error).__name__})") from error
        page.status = parser.get_status_code()
        if len(page.body) > max_bytes or read > 2 * max_bytes + _MAX_HEADER_CHARS:
            del page.body[max_bytes:]
            page.is_cut = True
            break
    if page.status == 0:
        raise EOFError("the connection was closed")
    if not page.is_complete and not page.is_cut and "content-length" in page.headers:
        raise EOFError("the page was cut off")
    if page.headers.get("content-encoding", "identity").lower() != "identity":
        raise OSError("the answer is compressed, which was not asked for")
    return page


def _request(parts: SplitResult) -> bytes:
    target = quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        target += "?" + quote(parts.query, safe=_SAFE)
    host = str(parts.hostname).encode("idna").decode("ascii")
    host = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        host += f":{parts.port}"
    return (
        f"GET {target} HTTP/1.1\r\nhost: {host}\r\nuser-agent: ymera\r\n"
        "accept: text/html, text/plain, application/json;q=0.9\r\naccept-encoding: identity\r\n"
        "connection: close\r\n\r\n"
    ).encode("ascii")
