"""Reads the bundled snapshot, once, when it is first asked for; never at import, never online."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from ymera.catalog.catalog import Catalog
from ymera.catalog.decode import broken, decode_snapshot, to_model, to_provider
from ymera.catalog.entries import ModelEntry, ProviderEntry, Snapshot, Source
from ymera.core.errors import CatalogError

__all__ = ["Catalog", "attribution", "build", "load"]

_FACTS = ("providers.json", "models.json", "local_models.json")
_SOURCES = ("sources.json", "local_models.json")


@cache
def load() -> Catalog:
    """Return the bundled catalogue.

    Raises:
        CatalogError: the installation is damaged; the message names file, entry and field.
    """
    return build({file: _read(file) for file in _FACTS})


def build(snapshots: Mapping[str, Snapshot]) -> Catalog:
    """Return the catalogue that these files, by name, add up to; the newest gives the date.

    Raises:
        CatalogError: an id in two files, or a model of an unknown provider; the message names them.
    """
    generated = max(snapshot.generated for snapshot in snapshots.values())
    provider_rows: dict[str, ProviderEntry] = {}
    model_rows: dict[str, ModelEntry] = {}
    for file, snapshot in snapshots.items():
        for host in snapshot.providers:
            if provider_rows.setdefault(host.id, host) is not host:
                raise broken(file, f"entry '{host.id}' stands in another file too")
        for row in snapshot.models:
            if model_rows.setdefault(row.full_id, row) is not row:
                raise broken(file, f"entry '{row.full_id}' stands in another file too")
    for file, snapshot in snapshots.items():
        for row in snapshot.models:
            if row.provider not in provider_rows:
                complaint = f"field 'provider': there is no provider '{row.provider}'"
                raise broken(file, f"entry '{row.full_id}', {complaint}")
    providers = {key: to_provider(host) for key, host in provider_rows.items()}
    return Catalog(
        generated=generated,
        providers=providers.values(),
        models=[to_model(row, providers[row.provider], generated) for row in model_rows.values()],
        provider_entries=provider_rows,
        model_entries=model_rows,
        load_sources=_read_sources,
    )


def attribution() -> tuple[str, ...]:
    """Return the credits to show with catalogue data, one line each."""
    return tuple(line for file in _SOURCES for line in _read(file).attribution)


def _read_sources() -> Mapping[str, Source]:
    return {key: source for file in _SOURCES for key, source in _read(file).sources.items()}


def _read(file: str) -> Snapshot:
    try:
        data = files("ymera.catalog").joinpath("data", file).read_bytes()
    except OSError as error:
        raise CatalogError(
            f"The catalogue file {file} cannot be read: {error.strerror or error}.",
            hint="Reinstall ymera.",
        ) from error
    return decode_snapshot(file, data)
