"""What can be called now: keys, consent, weights on disk; facts gathered outside the hot path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.config.schema import Settings
from ymera.core.model import Model, Provider, ProviderKind
from ymera.core.route import ExclusionReason
from ymera.providers.hosts import calls_loopback_port, why_not_callable
from ymera.providers.local import is_runnable
from ymera.providers.pull import is_pulled

__all__ = [
    "Unavailable",
    "provider_problem",
    "pulled_models",
    "unavailable_models",
    "within_slots",
]

Unavailable = tuple[ExclusionReason, str]


def pulled_models(catalog: Catalog, models_dir: Path) -> frozenset[str]:
    """Return the ids of embedded models whose weights are on disk."""
    return frozenset(
        model.id
        for model in catalog.models
        if model.weights is not None and is_pulled(model.weights, models_dir)
    )


def within_slots(catalog: Catalog, context_tokens: int) -> tuple[Model, ...]:
    """Return the models as they can be used here: embedded ones with the context of a slot."""
    return tuple(
        model
        if model.weights is None
        else msgspec.structs.replace(
            model, context_window=min(model.context_window or context_tokens, context_tokens)
        )
        for model in catalog.models
    )


def unavailable_models(
    catalog: Catalog, settings: Settings, environ: Mapping[str, str], pulled: frozenset[str]
) -> dict[str, Unavailable]:
    """Return, by model id, why a model cannot be called now; callable ones are absent."""
    by_provider = {
        provider.id: provider_problem(provider, settings, environ)
        for provider in catalog.providers.values()
    }
    problems: dict[str, Unavailable] = {}
    for model in catalog.models:
        problem = (
            by_provider[model.provider]
            or _weights_problem(model, pulled)
            or _benched(catalog, model)
        )
        if problem is not None:
            problems[model.id] = problem
    return problems


def provider_problem(
    provider: Provider, settings: Settings, environ: Mapping[str, str]
) -> Unavailable | None:
    """Return why no model of a provider can be called now; None when they can."""
    own = settings.providers.get(provider.id)
    if own is not None and not own.enabled:
        return ExclusionReason.NOT_CALLABLE, f"Switched off by providers.{provider.id}.enabled."
    match provider.kind:
        case ProviderKind.EMBEDDED:
            return _embedded_problem(settings)
        case ProviderKind.SCRIPTED:
            return None
        case ProviderKind.LOCAL if own is None:
            return (
                ExclusionReason.NOT_CALLABLE,
                f"{provider.name} would be a server of your own: if it runs, say so with "
                f"providers.{provider.id}.enabled = true.",
            )
        case _:
            if provider.kind is ProviderKind.LOCAL and _is_ours(provider, settings, environ):
                return (
                    ExclusionReason.NOT_CALLABLE,
                    f"{provider.name} would be at port {settings.server.port}, which is Ymera's "
                    f"own: give providers.{provider.id}.base_url, or another server.port.",
                )
            consent = provider.id in settings.keyless_consent or (own is not None and own.keyless)
            return why_not_callable(provider, environ, consent=consent)


def _is_ours(provider: Provider, settings: Settings, environ: Mapping[str, str]) -> bool:
    """Return whether a row's usual address is our own listener, which would ask itself."""
    own = settings.providers.get(provider.id)
    told = own is not None and own.base_url is not None
    return not told and calls_loopback_port(provider, environ, settings.server.port)


def _embedded_problem(settings: Settings) -> Unavailable | None:
    if not settings.local.enabled:
        return ExclusionReason.NOT_CALLABLE, "Embedded models are switched off by local.enabled."
    if not is_runnable():
        return (
            ExclusionReason.NOT_CALLABLE,
            "Embedded models need the package xllamacpp: pip install 'ymera[local]'.",
        )
    return None


def _benched(catalog: Catalog, model: Model) -> Unavailable | None:
    why = catalog.upkeep.benched.get(model.id)
    return None if why is None else (ExclusionReason.NOT_CALLABLE, why)


def _weights_problem(model: Model, pulled: frozenset[str]) -> Unavailable | None:
    if model.weights is None or model.id in pulled:
        return None
    size_mb = model.weights.size_bytes / 1e6
    return (
        ExclusionReason.NOT_PULLED,
        f"Not on this machine yet: `ymera models pull {model.upstream_id}` ({size_mb:.0f} MB).",
    )
