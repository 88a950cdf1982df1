"""What `ymera setup` finds out and offers, and what comes of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from ymera.core.model import ModelKind, ProviderKind

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.app.probing import LocalServer
    from ymera.core.model import Provider

__all__ = [
    "Choice",
    "EmbeddedOffer",
    "Findings",
    "FoundKey",
    "KeyOffer",
    "KeylessOffer",
    "findings_of",
    "settings_for",
]

_TRAINS = {
    True: "your prompts may be used for training",
    False: "your prompts are not used for training",
    None: "whether your prompts are used for training is not said",
}
_NO_KEY = "no-key"


class FoundKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is set already.

    Attributes:
        provider: its id.
        name: for people.
        key: masked.
        source: the variable, or `stored`.
        free_models: chat models it opens at no cost.
        used: False where sending it would cost money.
        more: how many further keys of this provider are set.
    """

    provider: str
    name: str
    key: str
    source: str
    free_models: int
    used: bool = True
    more: int = 0


class KeylessOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A host that answers without a key once its terms are agreed to; `terms`: what is known."""

    provider: str
    name: str
    free_models: int
    allowance: str
    training: str
    terms: tuple[str, ...]
    consented: bool


class KeyOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A key that can be had for nothing; `requests_per_day` None: not published."""

    provider: str
    name: str
    signup_url: str | None
    free_models: int
    requests_per_day: int | None
    allowance: str
    training: str


class EmbeddedOffer(msgspec.Struct, frozen=True, kw_only=True):
    """The small model that runs inside of Ymera."""

    model: str
    size_mb: int
    pulled: bool
    runnable: bool
    enabled: bool


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found."""

    keys: tuple[FoundKey, ...]
    local_servers: tuple[LocalServer, ...]
    keyless: tuple[KeylessOffer, ...]
    embedded: EmbeddedOffer | None
    obtainable_keys: tuple[KeyOffer, ...]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided. `embedded` None leaves it as it is."""

    servers: tuple[str, ...] = ()
    consent: tuple[str, ...] = ()
    embedded: bool | None = None


def findings_of(app: App, servers: tuple[LocalServer, ...]) -> Findings:
    """Return what there is: keys, servers, hosts without keys, the embedded model."""
    keys = tuple(_found_keys(app))
    having = {key.provider for key in keys}
    providers = [each for each in app.catalog.providers.values() if each.active]
    offers = [
        _key_offer(app, each)
        for each in providers
        if each.key_env and not each.keyless and each.id not in having and _free(app, each)
    ]
    offers.sort(key=lambda offer: (-(offer.requests_per_day or 0), -offer.free_models))
    return Findings(
        keys=keys,
        local_servers=servers,
        keyless=tuple(
            _keyless_offer(app, each)
            for each in providers
            if each.keyless
            and each.kind in {ProviderKind.HOSTED, ProviderKind.AGGREGATOR}
            and _free(app, each)
        ),
        embedded=_embedded(app),
        obtainable_keys=tuple(offers),
    )


def settings_for(
    choice: Choice, servers: Iterable[LocalServer], consent_now: Sequence[str]
) -> dict[str, object]:
    """Return the settings that a choice stands for, nested as in a file.

    Args:
        choice: what was decided.
        servers: found ones, by which models are named.
        consent_now: hosts agreed to before; they stay.
    """
    found = {server.provider: server for server in servers}
    settings: dict[str, object] = {}
    agreed = [*consent_now, *(each for each in choice.consent if each not in consent_now)]
    if choice.consent:
        settings["keyless_consent"] = agreed
    if choice.embedded is not None:
        settings["local"] = {"enabled": choice.embedded}
    if choice.servers:
        settings["providers"] = {name: _server(found[name]) for name in choice.servers}
    return settings


def _server(server: LocalServer) -> dict[str, object]:
    table: dict[str, object] = {"enabled": True, "free": True, "keyless": True}
    return {**table, "models": list(server.models)} if server.models else table


def _free(app: App, provider: Provider) -> int:
    return sum(
        model.provider == provider.id and model.kind is ModelKind.CHAT and model.free.may_auto_route
        for model in app.catalog.models
    )


def _found_keys(app: App) -> Iterable[FoundKey]:
    from ymera.app.credentials import MOST_KEYS, slot_of
    from ymera.security.vault import masked

    stored = {key.provider: key.shown for key in app.securing.vault.list() if key.problem is None}
    for provider in app.catalog.providers.values():
        variable = _variable(provider, app.environ)
        if variable is None and provider.id not in stored:
            continue
        shown = masked(app.environ[variable].strip()) if variable else stored[provider.id]
        others = range(2, MOST_KEYS + 1)
        yield FoundKey(
            provider=provider.id,
            name=provider.name,
            key=shown,
            source=variable or "stored",
            free_models=_free(app, provider),
            used=all(flag.value != _NO_KEY for flag in provider.flags),
            more=sum(
                slot_of(provider.id, n) in stored or _variable(provider, app.environ, n) is not None
                for n in others
            ),
        )


def _variable(provider: Provider, environ: Mapping[str, str], number: int = 1) -> str | None:
    from ymera.app.credentials import variables_of

    names = variables_of(provider, number)
    return next((name for name in names if environ.get(name, "").strip()), None)


def _keyless_offer(app: App, provider: Provider) -> KeylessOffer:
    return KeylessOffer(
        provider=provider.id,
        name=provider.name,
        free_models=_free(app, provider),
        allowance=_allowance(app, provider),
        training=_TRAINS[provider.trains_on_input],
        terms=_terms(app, provider),
        consented=provider.id in app.settings.keyless_consent,
    )


def _terms(app: App, provider: Provider) -> tuple[str, ...]:
    entry = app.catalog.provider_entries.get(provider.id)
    if entry is None:
        return ()
    said = (entry.privacy.note, entry.free_limits.other)
    return tuple(line for line in said if line)


def _key_offer(app: App, provider: Provider) -> KeyOffer:
    return KeyOffer(
        provider=provider.id,
        name=provider.name,
        signup_url=provider.signup_url,
        free_models=_free(app, provider),
        requests_per_day=_requests_per_day(app, provider),
        allowance=_allowance(app, provider),
        training=_TRAINS[provider.trains_on_input],
    )


def _requests_per_day(app: App, provider: Provider) -> int | None:
    """Return the documented allowance of all its free chat models; None when none is published."""
    entry = app.catalog.provider_entries.get(provider.id)
    shared = entry.free_limits.rpd if entry is not None else None
    if entry is None or not entry.free_limits.per_model:
        return shared
    each = [
        model.free.limits.rpd or shared
        for model in app.catalog.models
        if model.provider == provider.id
        and model.kind is ModelKind.CHAT
        and model.free.may_auto_route
    ]
    known = [number for number in each if number is not None]
    return sum(known) if known else None


def _allowance(app: App, provider: Provider) -> str:
    entry = app.catalog.provider_entries.get(provider.id)
    if entry is None:
        return "not known at the address that your settings give"
    limits = entry.free_limits
    numbers = {
        "requests a day": limits.rpd,
        "requests a minute": limits.rpm,
        "requests a month": limits.monthly_requests,
        "tokens a day": limits.tpd,
    }
    said = ", ".join(f"{number:,} {unit}" for unit, number in numbers.items() if number)
    if said and limits.per_model:
        said += ", for each model"
    return said or limits.other or "not published"


def _embedded(app: App) -> EmbeddedOffer | None:
    from ymera.providers.local import is_runnable
    from ymera.providers.pull import is_pulled

    wanted = app.settings.local.model
    for model in app.catalog.models:
        if model.weights is not None and wanted in {model.id, model.upstream_id}:
            return EmbeddedOffer(
                model=model.id,
                size_mb=round(model.weights.size_bytes / 1e6),
                pulled=is_pulled(model.weights, app.models_dir),
                runnable=is_runnable(),
                enabled=app.settings.local.enabled,
            )
    return None
