"""The user's own hosts: from settings to catalogue rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.catalog.free import FreeClass
from ymera.config.schema import ProviderSettings
from ymera.core.errors import ConfigError
from ymera.core.model import (
    Dialect,
    Endpoint,
    FreeTerms,
    Model,
    ModelKind,
    Provider,
    ProviderKind,
)

__all__ = ["with_own_hosts"]

_AUTH: Mapping[Dialect, tuple[str, str, dict[str, str]]] = {
    Dialect.ANTHROPIC: ("x-api-key", "{key}", {"anthropic-version": "2023-06-01"}),
    Dialect.GEMINI: ("x-goog-api-key", "{key}", {}),
}
"""How the key travels where it is not `Authorization: Bearer`: header, format, further headers.

Hosts that copied the Anthropic dialect know its first version; the vendor's own row says more.
"""


def with_own_hosts(catalog: Catalog, hosts: Mapping[str, ProviderSettings]) -> Catalog:
    """Return `catalog` with the hosts of the settings added or changed.

    Raises:
        ConfigError: a new host without address or models, or a dialect that a host of the
            catalogue has no address for.
    """
    if not hosts:
        return catalog
    taken = frozenset(name for row in catalog.providers.values() for name in row.key_env)
    providers = [
        _changed(known, own) if known is not None else _new(id, own, taken)
        for id, own in hosts.items()
        for known in (catalog.providers.get(id),)
    ]
    models = [model for id, own in hosts.items() for model in _models(id, own)]
    return catalog.with_overlay(providers, models)


def _changed(known: Provider, own: ProviderSettings) -> Provider:
    """Return a row of the catalogue with what the settings say of it."""
    changes: dict[str, object] = {}
    if own.base_url is not None or own.dialect is not None:
        endpoint = _endpoint_of(known, own)
        changes |= {
            "base_url": endpoint.base_url,
            "dialects": (endpoint.dialect,),
            "endpoints": (endpoint,),
        }
    if own.base_url is not None:
        changes["address_env"] = None
    if own.key_env is not None:
        changes["key_env"] = (own.key_env,)
    if own.flags is not None:
        changes["flags"] = frozenset(own.flags)
    if own.free:
        changes["free_class"] = FreeClass.USER
    return msgspec.structs.replace(known, **changes)


def _endpoint_of(known: Provider, own: ProviderSettings) -> Endpoint:
    """Return the one endpoint that the settings leave of a row."""
    dialect = Dialect(own.dialect or Dialect.OPENAI_CHAT)
    rows = (endpoint for endpoint in known.endpoints if endpoint.dialect is dialect)
    if (row := next(rows, None)) is not None:
        return msgspec.structs.replace(row, base_url=own.base_url or row.base_url)
    if own.base_url is None:
        spoken = ", ".join(endpoint.dialect for endpoint in known.endpoints) or "none"
        raise ConfigError(
            f"The host {known.id!r} has no known address for the dialect {dialect.value!r}.",
            hint=f"Give providers.{known.id}.base_url, or choose one of: {spoken}.",
            param=f"providers.{known.id}.dialect",
        )
    return _endpoint(dialect, own.base_url)


def _new(id: str, own: ProviderSettings, taken: frozenset[str]) -> Provider:
    """Return the row of a host that the catalogue does not know.

    Args:
        id: what the user calls it.
        own: its settings.
        taken: variables that hold keys of other hosts, which this one must not be sent unasked.
    """
    scripted = own.kind == "scripted"
    if not (own.models or own.embedding_models) or (own.base_url is None and not scripted):
        raise ConfigError(
            f"The host {id!r} is not in the catalogue, and its settings do not say enough.",
            hint=f"Give providers.{id}.base_url and providers.{id}.models.",
            param=f"providers.{id}",
        )
    dialect = Dialect(own.dialect or Dialect.OPENAI_CHAT)
    usual = f"{id.upper().replace('-', '_')}_API_KEY"
    key_env = own.key_env or (usual if usual not in taken and not scripted else None)
    return Provider(
        id=id,
        name=id,
        kind=ProviderKind.SCRIPTED if scripted else ProviderKind.HOSTED,
        dialects=(dialect,),
        base_url=own.base_url,
        key_env=(key_env,) if key_env else (),
        keyless=own.keyless or scripted,
        free_class=FreeClass.USER if own.free or scripted else FreeClass.NONE,
        endpoints=() if own.base_url is None else (_endpoint(dialect, own.base_url),),
        flags=frozenset(own.flags or ()),
    )


def _endpoint(dialect: Dialect, base_url: str) -> Endpoint:
    header, form, further = _AUTH.get(dialect, ("Authorization", "Bearer {key}", {}))
    return Endpoint(
        dialect=dialect, base_url=base_url, auth_header=header, auth_format=form, headers=further
    )


def _models(provider_id: str, own: ProviderSettings) -> Iterable[Model]:
    free = own.free or own.kind == "scripted"
    kinds = dict.fromkeys(own.models, ModelKind.CHAT) | dict.fromkeys(
        own.embedding_models, ModelKind.EMBEDDING
    )
    for name, kind in kinds.items():
        yield Model(
            id=f"{provider_id}/{name}",
            provider=provider_id,
            upstream_id=name,
            name=name,
            kind=kind,
            context_window=own.context_window,
            tools=own.tools,
            json_schema=own.json_schema,
            free=FreeTerms(
                free_now=free,
                may_auto_route=free,
                reason="you vouch for it in the settings" if free else "not said to be free",
            ),
        )
