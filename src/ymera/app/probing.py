"""Looks for model servers of the user's own: which run on this machine, and what they serve.

Only loopback is asked, without any key, and only for the list of models.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from ymera.core.model import Provider, ProviderKind

__all__ = ["LocalServer", "find_local_servers"]

_MAX_BYTES = 1_048_576
_OURS = "ymera"
_NOT_CHAT = re.compile(r"embed|\bbge\b|rerank|whisper|-cloud$|:cloud$", re.IGNORECASE)
"""Names of what answers no chats, and of what Ollama would ask its maker's servers for."""


class LocalServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server that answered.

    Attributes:
        provider: its id in the catalogue.
        name: for people.
        base_url: where it listens.
        models: its chat models, as it names them.
    """

    provider: str
    name: str
    base_url: str
    models: tuple[str, ...]


class _Model(msgspec.Struct):
    id: str
    owned_by: str | None = None


class _Models(msgspec.Struct):
    data: list[_Model] | None = None


_models = msgspec.json.Decoder(_Models)


async def find_local_servers(
    providers: Iterable[Provider], *, within_s: float = 1.0
) -> tuple[LocalServer, ...]:
    """Return the servers of the user's own that answer now, in the order of `providers`.

    Args:
        providers: those that are no local servers, or not on loopback, are not asked.
        within_s: time for all of them together.
    """
    asked = [provider for provider in providers if _is_on_loopback(provider)]
    found = await asyncio.gather(*(_probe(provider, within_s) for provider in asked))
    return tuple(server for server in found if server is not None)


def _is_on_loopback(provider: Provider) -> bool:
    if provider.kind is not ProviderKind.LOCAL or not provider.base_url:
        return False
    host = urlsplit(provider.base_url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _probe(provider: Provider, within_s: float) -> LocalServer | None:
    base_url = provider.base_url or ""
    try:
        async with asyncio.timeout(within_s):
            body = await _get(f"{base_url}/models")
        listed = _models.decode(body).data or []
    except (OSError, TimeoutError, EOFError, ValueError):  # msgspec's errors are ValueErrors
        return None
    if any(model.owned_by == _OURS for model in listed):
        return None  # `ymera serve` itself, on a port that others use, too
    names = tuple(model.id for model in listed if not _NOT_CHAT.search(model.id))
    return LocalServer(provider=provider.id, name=provider.name, base_url=base_url, models=names)


class _Answer:
    """What the parser finds."""

    def __init__(self) -> None:
        self.body = b""
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


async def _get(url: str) -> bytes:
    """Return the body of a 200.

    Raises:
        OSError: no connection.
        ValueError: no HTTP, another status, or too long.
    """
    import httptools

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    reader, writer = await asyncio.open_connection(host, port)
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    try:
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        head = f"GET {parts.path} HTTP/1.1\r\nhost: {shown}\r\naccept: application/json\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode())
        while not answer.complete and len(answer.body) <= _MAX_BYTES:
            data = await reader.read(65_536)
            if not data:
                break
            parser.feed_data(data)
        if parser.get_status_code() != 200 or len(answer.body) > _MAX_BYTES:
            raise ValueError("no model list")
    except httptools.HttpParserError as error:
        raise ValueError("no HTTP") from error
    finally:
        writer.close()
    return answer.body
