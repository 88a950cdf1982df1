"""Who may talk to a server on loopback: the rules that keep web pages out.

A page in the user's browser can send requests to 127.0.0.1. It cannot choose its Host header
without DNS rebinding, cannot hide its Origin, and cannot send JSON without a pre-flight: so an
unknown Host, a foreign Origin and a POST that is not JSON are refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping

from ymera.core.errors import ConfigError, Forbidden, InvalidRequest

__all__ = ["OriginPolicy", "is_loopback", "refuse_open_address"]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOSTS_KEPT = 64


def is_loopback(host: str) -> bool:
    """Return whether `host` (a name or address to listen on) is reachable from here alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_address(host: str) -> None:
    """Refuse to listen where others could connect without an access key.

    Raises:
        ConfigError: `host` is not a loopback address.
    """
    if not is_loopback(host):
        raise ConfigError(
            f"Without access keys the server listens on loopback only, not on {host!r}.",
            hint="Use --host 127.0.0.1 (the default); put a proxy that authenticates in front.",
            param="server.host",
        )


class OriginPolicy:
    """Checks Host, Origin and content type of every request.

    Args:
        hosts: host names allowed beside the loopback ones, without port.
        origins: full origins allowed beside the loopback ones, such as `https://example.org`.
    """

    def __init__(self, *, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._hosts = _LOOPBACK_NAMES | {host.lower() for host in hosts}
        self._origins = frozenset(origin.lower() for origin in origins)
        self._passed: set[bytes] = set()  # values of Host, so that most need not be looked into

    def check_fields(
        self, method: str, headers: Collection[tuple[bytes, bytes]], fields: Mapping[bytes, bytes]
    ) -> None:
        """As `check`; quicker for what comes again and again.

        Args:
            method: in capitals.
            headers: as they came.
            fields: the same by name.

        Raises:
            Forbidden, InvalidRequest: as `check`.
        """
        host = fields.get(b"host")
        if (
            host in self._passed
            and b"origin" not in fields
            and len(fields) == len(headers)  # no second Host
            and (method != "POST" or fields.get(b"content-type") == b"application/json")
        ):
            return
        self.check(method, headers)
        if host is not None and len(self._passed) < _HOSTS_KEPT:
            self._passed.add(host)

    def check(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Pass or refuse a request by its headers; their names are in lower case.

        Raises:
            Forbidden: foreign or missing Host, or foreign Origin.
            InvalidRequest: a POST whose content type is not JSON.
        """
        hosts: list[str] = []
        origins: list[str] = []
        content_type = None
        for name, value in headers:
            if name == b"host":
                hosts.append(value.decode("latin-1"))
            elif name == b"origin":
                origins.append(value.decode("latin-1"))
            elif name == b"content-type":
                content_type = value.decode("latin-1")
        if len(hosts) != 1 or _without_port(hosts[0]) not in self._hosts:
            raise Forbidden(
                f"Host {', '.join(hosts) or '(none)'!r} is not one of this server's names.",
                hint="Use 127.0.0.1 or localhost, or add the name to server.allowed_hosts.",
            )
        for origin in origins:
            if not self._is_trusted(origin.lower(), hosts[0].lower()):
                raise Forbidden(
                    f"Requests from web origin {origin!r} are refused.",
                    hint="Add the origin to server.allowed_origins if you trust it.",
                )
        if method == "POST" and not _is_json(content_type):
            raise InvalidRequest(
                f"Content type {content_type or '(none)'!r} is not accepted.",
                hint="Send content-type: application/json.",
                param="content-type",
            )

    def _is_trusted(self, origin: str, host: str) -> bool:
        """The server's own pages, as this request addresses it, or one the user named."""
        return origin in {f"http://{host}", f"https://{host}"} or origin in self._origins


def _without_port(authority: str) -> str:
    name, colon, port = authority.rpartition(":")
    return (name if colon and port.isdigit() else authority).lower()


def _is_json(content_type: str | None) -> bool:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")
