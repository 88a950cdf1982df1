"""The settings that point Ymera at simulated providers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ymera.core.model import Dialect, Model, ModelKind, Provider, ProviderKind

if TYPE_CHECKING:
    from ymera.testing.providers import ProviderSimulator

__all__ = [
    "KEY_VARIABLE",
    "is_unpriced",
    "simulated_environ",
    "simulated_settings",
    "simulated_toml",
]

KEY_VARIABLE = "SIMULATED_PROVIDERS_KEY"
"""Holds the key of every simulated provider, so that no real key is ever sent there."""

_NO_KEY_VARIABLE = "SIMULATED_PROVIDERS_NO_KEY"
"""Named for providers that are to be called without a key; it is not set."""
_KEY = "simulated-key"
_STAND_IN = "simulated"
"""Model of providers for which the catalogue holds none."""


def simulated_environ() -> dict[str, str]:
    """Return the variables that the settings read keys from."""
    return {KEY_VARIABLE: _KEY}


def simulated_settings(simulator: ProviderSimulator, *, vouched: bool = False) -> dict[str, object]:
    """Return the settings as a tree.

    Args:
        simulator: what they point at.
        vouched: whether to vouch for models that the guard against costs would refuse because
            nobody knows their price, so that they can be asked by name.
    """
    return {"providers": _rows(simulator, vouched=vouched)}


def simulated_toml(simulator: ProviderSimulator, *, vouched: bool = False) -> str:
    """Return the settings as TOML, with a comment that says which variable to set."""
    lines = [f"# export {KEY_VARIABLE}={_KEY}", ""]
    for provider_id, row in _rows(simulator, vouched=vouched).items():
        lines.append(f"[providers.{provider_id}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in row.items()]
        lines.append("")
    return "\n".join(lines)


def _rows(simulator: ProviderSimulator, *, vouched: bool) -> dict[str, dict[str, object]]:
    return {
        key: _row(simulator, provider, vouched=vouched)
        for key, provider in simulator.providers.items()
    }


def _row(simulator: ProviderSimulator, provider: Provider, *, vouched: bool) -> dict[str, object]:
    row: dict[str, object] = {"base_url": simulator.base_url(provider.id)}
    preferred = provider.endpoints[0].dialect if provider.endpoints else Dialect.OPENAI_CHAT
    if preferred is not Dialect.OPENAI_CHAT:
        row["dialect"] = preferred.value
    if provider.keyless or provider.kind is ProviderKind.LOCAL:
        row["keyless"] = True
        if provider.key_env:
            row["key_env"] = _NO_KEY_VARIABLE
    else:
        row["key_env"] = KEY_VARIABLE
    models = simulator.models_of(provider.id)
    unpriced = [model for model in models if vouched and is_unpriced(model)]
    if unpriced or not models:
        row["free"] = True
    for field, kind in (("models", ModelKind.CHAT), ("embedding_models", ModelKind.EMBEDDING)):
        if named := [model.upstream_id for model in unpriced if model.kind is kind]:
            row[field] = named
    if not models:
        row["models"] = [_STAND_IN]
    return row


def is_unpriced(model: Model) -> bool:
    """Return whether no budget lets this model be asked: a price is unknown, or a doubtful 0."""
    prices = [model.price.input_usd_per_mtok]
    if model.kind is not ModelKind.EMBEDDING:
        prices.append(model.price.output_usd_per_mtok)
    doubtful = None in prices or not any(prices)
    return not model.free.may_auto_route and doubtful
