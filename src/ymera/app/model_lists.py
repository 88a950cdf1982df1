"""Asks providers for their model lists, with the user's keys; nothing is asked unless called."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from ymera.catalog.entries import ProviderEntry
from ymera.catalog.listing import Listed, Page, decode_list
from ymera.core.errors import ProviderError, ProviderErrorKind, YmeraError
from ymera.core.model import Dialect, Endpoint, Provider
from ymera.core.ports import Deadlines
from ymera.providers.hosts import Host, resolve_host
from ymera.providers.transport import HttpTransport

__all__ = ["ModelList", "fetch_lists"]

_AT_ONCE = 8
_MAX_PAGES = 20
_MAX_BYTES = 16 * 1024 * 1024
_DEADLINES = Deadlines(connect_s=10.0, first_byte_s=30.0, idle_s=15.0, total_s=60.0)
_PATHS = {
    Dialect.ANTHROPIC: ("/v1/models?limit=1000", "after_id"),
    Dialect.GEMINI: ("/v1beta/models?pageSize=1000", "pageToken"),
    Dialect.OLLAMA: ("/api/tags", ""),
}
_PLAIN = ("/models", "after")
_REFUSED = frozenset({401, 403})
_OK = 200


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider answered.

    Attributes:
        provider: its id.
        source: the list's address, without query and key.
        rows: what it lists; empty when it failed.
        error: why it failed; None when it did not.
        refused: it failed because the key was refused.
    """

    provider: str
    source: str = ""
    rows: tuple[Listed, ...] = ()
    error: str | None = None
    refused: bool = False


async def fetch_lists(
    providers: Iterable[Provider],
    environ: Mapping[str, str],
    entries: Mapping[str, ProviderEntry],
) -> tuple[ModelList, ...]:
    """Return every provider's model list, or why there is none; a few are asked at once.

    Args:
        providers: whom to ask; the caller knows that they may be.
        environ: where keys are looked up.
        entries: rows that say where a list lies that is not at its dialect's usual place.
    """
    transport, gate = HttpTransport(), asyncio.Semaphore(_AT_ONCE)

    async def fetch(provider: Provider) -> ModelList:
        async with gate:
            return await _fetched(transport, provider, environ, entries.get(provider.id))

    try:
        return tuple(await asyncio.gather(*(fetch(each) for each in providers)))
    finally:
        await transport.close()


async def _fetched(
    transport: HttpTransport,
    provider: Provider,
    environ: Mapping[str, str],
    entry: ProviderEntry | None,
) -> ModelList:
    host = resolve_host(provider, environ, consent=True)
    if not isinstance(host, Host):
        return ModelList(provider=provider.id, error=host[1])
    endpoint = host.endpoints[0]
    url, parameter = _address(endpoint, provider, entry)
    source = url.partition("?")[0]
    found: dict[str, Listed] = {}
    token: str | None = None
    try:
        async with asyncio.timeout(_DEADLINES.total_s):
            for _ in range(_MAX_PAGES):
                page = await _page(transport, _paged(url, parameter, token), host, endpoint)
                found |= {row.id: row for row in page.rows if row.id not in found}
                if page.next is None or not parameter or page.next == token:
                    break
                token = page.next
    except TimeoutError:
        error = f"{provider.name} did not send its list in time."
        return ModelList(provider=provider.id, source=source, error=error)
    except YmeraError as error:
        refused = isinstance(error, ProviderError) and error.kind is ProviderErrorKind.AUTH
        return ModelList(provider=provider.id, source=source, error=error.message, refused=refused)
    if not found:  # an empty list would bench everything
        return ModelList(provider=provider.id, source=source, error="Its list is empty.")
    return ModelList(provider=provider.id, source=source, rows=tuple(found.values()))


async def _page(transport: HttpTransport, url: str, host: Host, endpoint: Endpoint) -> Page:
    headers = {**host.headers(endpoint), "accept": "application/json"}
    answer = await transport.get(url, headers, _DEADLINES)
    try:
        if answer.status != _OK:
            refused = answer.status in _REFUSED
            raise ProviderError(
                f"It answered with status {answer.status}"
                + (": the key was refused." if refused else "."),
                kind=ProviderErrorKind.AUTH if refused else ProviderErrorKind.BAD_ANSWER,
                status=answer.status,
            )
        body = await answer.read(_MAX_BYTES)
    finally:
        await answer.close()
    return decode_list(endpoint.dialect, body)


def _paged(url: str, parameter: str, token: str | None) -> str:
    if token is None:
        return url
    return f"{url}{'&' if '?' in url else '?'}{parameter}={quote(token, safe='')}"


def _address(
    endpoint: Endpoint, provider: Provider, entry: ProviderEntry | None
) -> tuple[str, str]:
    """Return where the list is, and the parameter that names the next page.

    A row that names another place than the dialect's is followed where the settings left its
    address alone; what its address has for an account id, that place has, too.
    """
    path, parameter = _PATHS.get(endpoint.dialect, _PLAIN)
    usual = endpoint.base_url.rstrip("/") + path, parameter
    told = (entry.models_endpoint or "") if entry is not None else ""
    target = told.removeprefix("GET ").partition(" ")[0]
    if endpoint.dialect is not Dialect.OPENAI_CHAT or not target.startswith("https://"):
        return usual
    if "{" not in target:
        return target, "page_token"
    base, place = urlsplit(provider.base_url or ""), urlsplit(target)
    if base.netloc != place.netloc:
        return usual
    up = posixpath.relpath(place.path, base.path)
    filled = urlsplit(endpoint.base_url)
    joined = posixpath.normpath(posixpath.join(filled.path, up))
    return urlunsplit((filled.scheme, filled.netloc, joined, "per_page=1000", "")), "page"
