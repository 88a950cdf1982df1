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

from ymera.core.errors import YmeraError
from ymera.core.model import Dialect, Provider, ProviderKind
from ymera.core.ports import Deadlines
from ymera.providers.transport import HttpTransport

__all__ = ["LocalServer", "find_local_servers"]

_MAX_BYTES = 1_048_576
_OK = 200
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


class _Tag(msgspec.Struct):
    name: str


class _Tags(msgspec.Struct):
    models: list[_Tag] | None = None


_models = msgspec.json.Decoder(_Models)
_tags = msgspec.json.Decoder(_Tags)


async def find_local_servers(
    providers: Iterable[Provider], *, within_s: float = 1.0
) -> tuple[LocalServer, ...]:
    """Return the servers of the user's own that answer now, in the order of `providers`.

    Args:
        providers: those that are no local servers, or not on loopback, are not asked.
        within_s: time for all of them together.
    """
    asked = [provider for provider in providers if _is_on_loopback(provider)]
    transport = HttpTransport()
    try:
        found = await asyncio.gather(*(_probe(transport, each, within_s) for each in asked))
    finally:
        await transport.close()
    return tuple(server for server in found if server is not None)


def _is_on_loopback(provider: Provider) -> bool:
    if provider.kind is not ProviderKind.LOCAL or not provider.base_url:
        return False
    host = urlsplit(provider.base_url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _probe(
    transport: HttpTransport, provider: Provider, within_s: float
) -> LocalServer | None:
    base_url = provider.base_url or ""
    deadlines = Deadlines(
        connect_s=within_s, first_byte_s=within_s, idle_s=within_s, total_s=within_s
    )
    try:
        native = provider.dialects == (Dialect.OLLAMA,)  # at an address of the user's
        path = "/api/tags" if native else "/models"
        answer = await transport.get(f"{base_url}{path}", {"accept": "application/json"}, deadlines)
        try:
            body = await answer.read(_MAX_BYTES)
        finally:
            await answer.close()
        if answer.status != _OK:
            return None
        if native:
            listed = [_Model(tag.name) for tag in _tags.decode(body).models or []]
        else:
            listed = _models.decode(body).data or []
    except (YmeraError, ValueError):  # msgspec's errors are ValueErrors
        return None
    if any(model.owned_by == _OURS for model in listed):
        return None  # `ymera serve` itself, on a port that others use, too
    names = tuple(model.id for model in listed if not _NOT_CHAT.search(model.id))
    return LocalServer(provider=provider.id, name=provider.name, base_url=base_url, models=names)
