"""Connections to upstreams: opening, keeping, letting go."""

from __future__ import annotations

import asyncio
import functools
import gc
import ssl
import warnings
from typing import NamedTuple
from urllib.parse import urlsplit

from ymera.core.errors import ConfigError, ProviderError, ProviderErrorKind, ProviderErrorScope
from ymera.providers.http1 import Connection, Late

__all__ = ["Pool", "Target", "parse_target"]

_KEEP_IDLE_S = 55.0
_KEEP_IDLE_CONNECTIONS = 64


class Target(NamedTuple):
    """A URL, taken apart once."""

    host: str
    port: int
    tls: bool
    head: bytes
    """Request line and the headers that are always the same."""

    @property
    def origin(self) -> tuple[str, int, bool]:
        """What may share connections."""
        return self.host, self.port, self.tls


class Pool:
    """The connections of one event loop; the one used last is reused first."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int, bool], list[Connection]] = {}
        self._all: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None

    def take(self, target: Target) -> Connection | None:
        """Return a kept connection that is still open and not older than upstreams allow."""
        idle = self._idle.get(target.origin)
        while idle:
            connection = idle.pop()
            fresh = connection.loop.time() - connection.idle_since < _KEEP_IDLE_S
            if fresh and connection.usable:
                return connection
            connection.abort()
        return None

    async def open(self, target: Target, late: Late | None) -> Connection:
        """Return a new connection.

        Raises:
            ProviderError: refused, unknown host, bad certificate, or too late.
        """
        loop = asyncio.get_running_loop()
        free = functools.partial(self._keep, target.origin)

        def make() -> Connection:
            return Connection(loop, on_free=free, on_lost=self._lost)

        try:
            async with asyncio.timeout_at(None if late is None else late[0]):
                _, connection = await loop.create_connection(
                    make, target.host, target.port, ssl=self._context() if target.tls else None
                )
        except TimeoutError as error:
            if late is None:
                raise _unreachable(target, "timed out") from error
            raise late[1].late(late[2], late[3]) from error
        except OSError as error:
            raise _unreachable(target, _reason(error)) from error
        if connection.usable:
            self._all.add(connection)
        return connection

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._all):
            connection.abort()
        self._idle.clear()

    def forget(self) -> None:
        """Let go of connections whose loop is closed already; nothing can be said to them."""
        if not self._all:
            return
        for connection in self._all:
            connection.forget()
        self._all.clear()
        self._idle.clear()
        with warnings.catch_warnings():
            # asyncio's transports refer to themselves: their sockets close when the collector
            # comes by. Now, and without the complaint that nobody could have prevented.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def _keep(self, origin: tuple[str, int, bool], connection: Connection) -> None:
        idle = self._idle.setdefault(origin, [])
        if len(idle) < _KEEP_IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.abort()

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


def _unreachable(target: Target, reason: str) -> ProviderError:
    return ProviderError(
        f"No connection to {target.host}:{target.port}: {reason}.",
        kind=ProviderErrorKind.TRANSIENT,
        scope=ProviderErrorScope.PROVIDER,
        hint="Check the network, and that the server there is running.",
    )


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake failed"
    return (error.strerror or str(error) or type(error).__name__).rstrip(".")


@functools.lru_cache(maxsize=256)
def parse_target(url: str) -> Target:
    """Return what a URL means.

    Raises:
        ConfigError: it cannot be called.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:  # UnicodeError is one
        raise _bad_url(url) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise _bad_url(url)
    path = parts.path or "/"
    if parts.query:
        path += "?" + parts.query
    authority = parts.netloc
    if not (path + authority).isascii() or not (path + authority).isprintable() or " " in path:
        raise _bad_url(url)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: ymera\r\n"
        "accept-encoding: identity\r\n"
    )
    tls = parts.scheme == "https"
    return Target(parts.hostname, port or (443 if tls else 80), tls, head.encode())


def _bad_url(url: str) -> ConfigError:
    return ConfigError(
        f"{url.partition('?')[0].rpartition('@')[2]!r} is no address that can be called.",
        hint="Use http:// or https://, a host name, and neither user name nor spaces.",
    )
