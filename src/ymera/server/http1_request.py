"""Requests of HTTP/1.1, read from bytes as they come: checked early, bounded, whole in the end."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import MutableSequence
from contextlib import suppress
from functools import lru_cache
from http import HTTPMethod
from typing import Protocol
from urllib.parse import unquote

import httptools

from ymera.core.errors import InvalidRequest, YmeraError
from ymera.server.exchange import Header, Site, as_fields, too_long

__all__ = ["Reader", "RequestReader", "split_target"]

_HEAD_LIMIT_BYTES = 64 * 1024
_MOST_HEADERS = 100
_FRAMING_BYTES = 32
"""Allowed for each piece of a chunked body beside the piece itself."""

_METHODS = {method.encode(): str(method) for method in HTTPMethod}
_NOT_HANDED_ON = frozenset({b"connection", b"upgrade", b"http2-settings"})
_NOWHERE: MutableSequence[Header] = deque(maxlen=0)

_log = logging.getLogger(__name__)


class Reader(Protocol):
    """Where requests go."""

    def take(self, request: RequestReader, refusal: YmeraError | None) -> None:
        """Answer the request just read; or refuse it, which is the last thing read."""

    def go_ahead(self) -> None:
        """Tell the caller to send the body it announced."""


class RequestReader:
    """Reads one request after another; what it is fed after a refusal is not looked at.

    Args:
        site: checks heads and bounds bodies.
        reader: takes the requests.

    Attributes:
        method, target, path: of the request; `target` as it stood in the request line.
        headers, fields, body: its other parts; see `Exchange`.
        keeps: the caller expects the connection to stay open.
        old: it is HTTP/1.0, which knows no chunks.
        in_message: a request has begun and is not whole.
        in_body: and its head is.
        done: nothing more is read.
    """

    __slots__ = (
        "_fed", "_head_bytes", "_into", "_limit", "_parser", "_pieces",
        "_raw_bytes", "_reader", "_site", "_upgrades", "body", "done", "fields", "headers",
        "in_body", "in_message", "keeps", "method", "old", "path", "target",
    )  # fmt: skip

    def __init__(self, site: Site, reader: Reader) -> None:
        self._site = site
        self._reader = reader
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._fed = self._limit = self._raw_bytes = self._pieces = 0
        self._upgrades = False
        self.fields: dict[bytes, bytes] = {}
        self.body: bytes | bytearray = b""
        self.method, self.path = "GET", "/"
        self.keeps = True
        self.old = self.done = False
        self.on_message_begin()
        self.in_message = False

    def feed(self, data: bytes) -> None:
        """Take in bytes of the connection."""
        while not self.done and self._parser is not None:
            self._fed = len(data)
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + data[upgrade.args[0] :]
                continue
            except httptools.HttpParserError as error:
                if not self.done:
                    self._unreadable(error)
            break
        if self.in_message and not self.done:
            self._bound(len(data))

    def forget(self) -> None:
        """Let go of the parser, which knows this object, too."""
        self._parser = None
        self.done = True

    def refuse(self, error: YmeraError) -> None:
        """Give up what is being read."""
        self.done = True
        self.body = b""
        if not self.in_body:  # what is known is of the request before
            self.method, self.path, self.fields = "GET", "/", {}
            with suppress(InvalidRequest):
                self.path = _path_of(self.target)
        self._reader.take(self, error)

    # --- what the parser finds ---------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.headers: list[Header] = []
        self._into: MutableSequence[Header] = self.headers
        self.body = self.target = b""
        self.in_message = True
        self.in_body = False
        self._head_bytes = 0

    def on_url(self, piece: bytes) -> None:
        """Take a piece of the target."""
        self.target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that follows the body is dropped."""
        self._into.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        """Check the head, before anything of the body is taken."""
        if self.done:
            return
        headers = self.headers
        self._into = _NOWHERE
        fields = dict(headers)
        if len(fields) != len(headers):
            fields = as_fields(headers)
        self.fields = fields
        try:
            self._check_head(fields)
        except YmeraError as error:
            self.refuse(error)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self.done:
            return
        body = self.body
        if not body:
            self.body = body = piece
        else:
            if isinstance(body, bytes):
                self.body = body = bytearray(body)
            body += piece
            self._pieces += 1
        if len(body) > self._limit:
            self.refuse(too_long(self._limit))

    def on_message_complete(self) -> None:
        """Hand over the request."""
        if self.done or self._upgrades:
            return
        self.in_message = False
        if not self.keeps:
            self.done = True
        self._reader.take(self, None)

    # --- rules -------------------------------------------------------------------------------

    def _check_head(self, fields: dict[bytes, bytes]) -> None:
        parser = self._parser
        if parser is None:
            return
        self.path = _path_of(self.target)
        self.method = _METHODS.get(method := parser.get_method()) or method.decode("latin-1")
        self.in_body = True
        if self._fed > _HEAD_LIMIT_BYTES or self._head_bytes:
            self._head_bytes = self._read_of_head()
            self._bound_head()
        if len(self.headers) > _MOST_HEADERS:
            raise _head_too_large(f"more than {_MOST_HEADERS} headers")
        if not (keeps := parser.should_keep_alive()) or b"connection" in fields:
            self._read_version(parser.get_http_version(), keeps=keeps)
        if self.method == "CONNECT":
            raise InvalidRequest("This server is no proxy.", hint="Send requests to its own paths.")
        self._site.check(self.method, self.headers, fields)
        if b"upgrade" in fields:
            self._upgrades = parser.should_upgrade()
        if b"content-length" in fields or b"transfer-encoding" in fields:
            self._expect_body()

    def _read_version(self, version: str, *, keeps: bool) -> None:
        if version not in {"1.0", "1.1"}:
            raise InvalidRequest(f"HTTP/{version} is not spoken here.", hint="Use HTTP/1.1.")
        self.old = version == "1.0"
        self.keeps = keeps and not self.old

    def _expect_body(self) -> None:
        self._limit = self._site.max_body_bytes()
        self._raw_bytes = self._pieces = 0
        if int(self.fields.get(b"content-length", b"0")) > self._limit:
            raise too_long(self._limit)
        if (
            self.fields.get(b"expect", b"").lower() == b"100-continue"
            and not self.old
            and not self._upgrades  # its head is read again
        ):
            self._reader.go_ahead()

    def _bound(self, fed: int) -> None:
        """Bound what has come of a request that is not whole yet."""
        if not self.in_body:
            self._head_bytes += fed if self._head_bytes else max(1, self._read_of_head())
            try:
                self._bound_head()
            except YmeraError as error:
                self.refuse(error)
        elif b"transfer-encoding" in self.fields:
            self._raw_bytes += fed
            framing = self._raw_bytes - len(self.body) - _FRAMING_BYTES * self._pieces
            if framing > self._fed + _HEAD_LIMIT_BYTES:
                self.refuse(InvalidRequest("The body is nearly all framing.", hint="Send less."))

    def _read_of_head(self) -> int:
        return len(self.target) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _bound_head(self) -> None:
        if self._head_bytes > _HEAD_LIMIT_BYTES:
            raise _head_too_large(f"over {_HEAD_LIMIT_BYTES:,} bytes")

    def _without_upgrade(self) -> bytes:
        """Return the head of a request that wants another protocol as if it did not.

        The parser stops at such a head; whoever asks is answered as usual, and then closed on.
        """
        self._parser = httptools.HttpRequestParser(self)
        self._upgrades = False
        kept = [h for h in self.headers if h[0] not in _NOT_HANDED_ON]
        lines = b"".join([b"%b: %b\r\n" % header for header in (*kept, (b"connection", b"close"))])
        version = b"1.0" if self.old else b"1.1"
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.method.encode(), self.target, version, lines)

    def _unreadable(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserCallbackError):
            _log.error("a request could not be read", exc_info=error.__context__ or error)
            self.refuse(YmeraError("Ymera met a bug; its log says where."))
        else:
            self.refuse(
                InvalidRequest(f"This is no HTTP/1.1 request: {error}.", hint="Is it HTTPS?")
            )


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Return path and query of a request's target, both as they came.

    Raises:
        InvalidRequest: it has neither.
    """
    if target.startswith(b"/"):
        path, _, query = target.partition(b"#")[0].partition(b"?")
        return path, query
    try:
        parsed = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise InvalidRequest("The request's target is no URL.") from None
    return parsed.path or b"/", parsed.query or b""


@lru_cache(maxsize=32)
def _path_of(target: bytes) -> str:
    path = split_target(target)[0].decode("utf-8", "replace")
    return unquote(path) if "%" in path else path


def _head_too_large(why: str) -> InvalidRequest:
    error = InvalidRequest(f"The head of the request is too large: {why}.")
    error.http_status = 431
    return error
