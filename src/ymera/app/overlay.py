"""The user's own hosts: from settings to catalogue rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.catalog.free import FreeClass
from ymera.config.schema import ProviderSettings
from ymera.core.errors import ConfigError
from ymera.core.model import Dialect, FreeTerms, Model, Provider, ProviderKind

__all__ = ["with_own_hosts"]


def with_own_hosts(catalog: Catalog, hosts: Mapping[str, ProviderSettings]) -> Catalog:
    """Return `catalog` with the hosts of the settings added or changed.

    Raises:
        ConfigError: a new host without address or models.
    """
    if not hosts:
        return catalog
    providers = [_provider(catalog.providers.get(id), id, own) for id, own in hosts.items()]
    models = [model for id, own in hosts.items() for model in _models(id, own)]
    return catalog.with_overlay(providers, models)


def _provider(known: Provider | None, id: str, own: ProviderSettings) -> Provider:
    if known is not None:
        changes: dict[str, object] = {}
        if own.base_url is not None:
            changes["base_url"] = own.base_url
        if own.key_env is not None:
            changes["key_env"] = (own.key_env,)
        if own.free:
            changes["free_class"] = FreeClass.USER
        return msgspec.structs.replace(known, **changes)
    scripted = own.kind == "scripted"
    if not own.models or (own.base_url is None and not scripted):
        raise ConfigError(
            f"The host {id!r} is not in the catalogue, and its settings do not say enough.",
            hint=f"Give providers.{id}.base_url and providers.{id}.models.",
            param=f"providers.{id}",
        )
    return Provider(
        id=id,
        name=id,
        kind=ProviderKind.SCRIPTED if scripted else ProviderKind.HOSTED,
        dialects=(Dialect.OPENAI_CHAT,),
        base_url=own.base_url,
        key_env=(own.key_env,) if own.key_env else (),
        keyless=own.keyless or scripted,
        free_class=FreeClass.USER if own.free or scripted else FreeClass.NONE,
    )


def _models(provider_id: str, own: ProviderSettings) -> Iterable[Model]:
    free = own.free or own.kind == "scripted"
    for name in own.models:
        yield Model(
            id=f"{provider_id}/{name}",
            provider=provider_id,
            upstream_id=name,
            name=name,
            context_window=own.context_window,
            tools=own.tools,
            json_schema=own.json_schema,
            free=FreeTerms(
                free_now=free,
                may_auto_route=free,
                reason="you vouch for it in the settings" if free else "not said to be free",
            ),
        )
