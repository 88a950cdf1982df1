"""Clients of simulated providers, made from the catalogue's own rows."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ymera.app import App
from ymera.catalog.load import load
from ymera.config.load import Loaded, load_settings
from ymera.core.model import Dialect, Model
from ymera.core.ports import Transport
from ymera.engine.trace import Clock
from ymera.providers.hosted import HostedProvider
from ymera.providers.hosts import connect_host
from ymera.testing import ProviderSimulator

__all__ = ["app_at", "client_of", "model_of"]

CATALOG = load()


def model_of(model_id: str) -> Model:
    """Return a catalogue row."""
    return CATALOG.get(model_id)


def client_of(
    simulator: ProviderSimulator,
    provider_id: str,
    dialect: Dialect,
    transport: Transport,
    key: str = "simulated-key",
) -> HostedProvider:
    """Return what asks a simulated provider in one dialect, by its row but for the address."""
    provider = simulator.providers[provider_id]
    (endpoint,) = (each for each in provider.endpoints if each.dialect is dialect)
    address = simulator.base_url(provider_id, dialect)
    row = msgspec.structs.replace(
        provider,
        base_url=address,
        endpoints=(msgspec.structs.replace(endpoint, base_url=address),),
        key_env=("SIMULATED",),
        extra_env=(),
    )
    return connect_host(row, {"SIMULATED": key}, transport)


def app_at(simulator: ProviderSimulator, folder: Path) -> App:
    """Return an app that knows nothing but the simulated providers, and lives in their time.

    Args:
        simulator: running.
        folder: empty; takes settings and data.
    """
    file = folder / "simulated.toml"
    file.write_text(simulator.toml(), encoding="utf-8")
    environ = simulator.environ
    flags = {"data_dir": str(folder / "data"), "local.enabled": "false"}
    begun = simulator.clock()

    def settings() -> Loaded:
        return load_settings(
            flags=flags, environ=environ, cwd=folder, user_dir=folder, config_file=file
        )

    def seconds() -> float:
        return (simulator.clock() - begun).total_seconds()

    return App(settings, environ=environ, clock=Clock(now=simulator.clock, monotonic=seconds))
