"""The catalogue: which models exist, at which providers, found by id."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

import msgspec

from ymera.catalog.decode import to_model
from ymera.catalog.entries import ModelEntry, ProviderEntry, Source
from ymera.catalog.free import free_terms
from ymera.catalog.overlay import Upkeep
from ymera.core.errors import CatalogError, UnknownModel
from ymera.core.model import Model, Provider

__all__ = ["Catalog"]

Row = TypeVar("Row", Provider, Model)


class Catalog:
    """Providers and models, immutable; `with_overlay` gives a changed copy.

    Args:
        generated: the day the snapshot was made.
        providers: each id once.
        models: each id once, each of a provider above.
        provider_entries, model_entries: the rows behind them, by id; user-defined ones have none.
        load_sources: reads the sources table when it is first asked for.
        upkeep: what lies over the rows.

    Raises:
        CatalogError: an id twice, or a model of an unknown provider.
    """

    def __init__(
        self,
        *,
        generated: datetime.date,
        providers: Iterable[Provider],
        models: Iterable[Model],
        provider_entries: Mapping[str, ProviderEntry] = MappingProxyType({}),
        model_entries: Mapping[str, ModelEntry] = MappingProxyType({}),
        load_sources: Callable[[], Mapping[str, Source]] = dict,
        upkeep: Upkeep | None = None,
    ) -> None:
        self.generated = generated
        self.providers: Mapping[str, Provider] = MappingProxyType(_by_id(providers, "provider"))
        self._by_id = _by_id(models, "model")
        self.models: tuple[Model, ...] = tuple(self._by_id.values())
        self.provider_entries = provider_entries
        self.model_entries = model_entries
        self._load_sources = load_sources
        self.upkeep = upkeep or Upkeep()
        for model in self.models:
            if model.provider not in self.providers:
                raise CatalogError(
                    f"The model '{model.id}' belongs to an unknown provider, '{model.provider}'.",
                    hint="Add the provider, or correct the model's `provider` field.",
                    param=model.id,
                )

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        """Where facts were read, by source id."""
        return self._load_sources()

    @cached_property
    def _by_bare_name(self) -> dict[str, list[Model]]:
        """Models by the names people use without the provider: upstream id and its last part."""
        names: dict[str, list[Model]] = {}
        for model in self.models:
            for name in {model.upstream_id, model.upstream_id.rsplit("/", 1)[-1]}:
                names.setdefault(name, []).append(model)
        return names

    def find_id(self, model_id: str) -> Model | None:
        """Return the model with exactly this id."""
        return self._by_id.get(model_id)

    def find(self, name: str) -> Model | None:
        """Return the model with this id, or the only one with this upstream id; else None."""
        model = self._by_id.get(name)
        if model is None:
            same_name = self._by_bare_name.get(name, [])
            model = same_name[0] if len(same_name) == 1 else None
        return model

    def get(self, name: str) -> Model:
        """Like `find`, but a missing model is an error.

        Raises:
            UnknownModel: no such model, or several providers serve it; the hint names the nearest.
        """
        model = self.find(name)
        if model is not None:
            return model
        nearest = self.suggest(name)
        several = len(self._by_bare_name.get(name, ())) > 1
        raise UnknownModel(
            f"Several providers serve '{name}'." if several else f"No model is called '{name}'.",
            hint=f"Did you mean {' or '.join(nearest)}?" if nearest else "See `ymera models list`.",
            param="model",
        )

    def suggest(self, name: str, limit: int = 3) -> tuple[str, ...]:
        """Return the ids nearest to `name`, best first, at most `limit`."""
        from difflib import get_close_matches  # only a mistyped name needs it

        exact = [model.id for model in self._by_bare_name.get(name, [])]
        ids = {model_id.lower(): model_id for model_id in self._by_id}
        near_ids = [ids[key] for key in get_close_matches(name.lower(), ids, limit)]
        bare = {key.lower(): models for key, models in self._by_bare_name.items()}
        near_bare = [
            model.id for key in get_close_matches(name.lower(), bare, limit) for model in bare[key]
        ]
        return tuple(dict.fromkeys([*exact, *near_ids, *near_bare]))[:limit]

    def provider_of(self, model: Model) -> Provider:
        """Return the provider of a model of this catalogue."""
        return self.providers[model.provider]

    def with_overlay(
        self, providers: Iterable[Provider] = (), models: Iterable[Model] = ()
    ) -> Catalog:
        """Return a copy in which these win over entries of the same id.

        The free guard decides again for every model that is new or whose provider changed: what an
        overlay says of `free.may_auto_route` is not believed. A model that does not say whether its
        host trains on its input takes the host's word.

        Raises:
            CatalogError: an id twice in the overlay, or a model of an unknown provider.
        """
        changed = _by_id(providers, "provider")
        new = _by_id(models, "model")
        hosts = {**self.providers, **changed}
        entries = {key: row for key, row in self.model_entries.items() if key not in new}
        merged = {
            key: to_model(entries[key], hosts[model.provider], self.generated)
            if key in entries and model.provider in changed
            else model
            for key, model in self._by_id.items()
        }
        for key, model in new.items():
            host = hosts.get(model.provider)
            merged[key] = self._guarded(model, host) if host else model
        return Catalog(
            generated=self.generated,
            providers=hosts.values(),
            models=merged.values(),
            provider_entries={
                k: row
                for k, row in self.provider_entries.items()
                if k not in changed or _still_holds(self.providers[k], changed[k])
            },
            model_entries=entries,
            load_sources=lambda: self.sources,
            upkeep=self.upkeep,
        )

    def with_upkeep(
        self, models: Mapping[str, Model], entries: Mapping[str, ModelEntry], upkeep: Upkeep
    ) -> Catalog:
        """Return a copy with these models, their rows and what is known of them laid over.

        The free guard has decided already; see `ymera.catalog.layers`.
        """
        return Catalog(
            generated=self.generated,
            providers=self.providers.values(),
            models={**self._by_id, **models}.values(),
            provider_entries=self.provider_entries,
            model_entries=entries,
            load_sources=lambda: self.sources,
            upkeep=upkeep,
        )

    def _guarded(self, model: Model, provider: Provider) -> Model:
        """Return a user-defined model with the guard's verdict."""
        trains = model.trains_on_input
        return msgspec.structs.replace(
            model,
            trains_on_input=provider.trains_on_input if trains is None else trains,
            free=free_terms(
                provider,
                free_now=model.free.free_now,
                snapshot_date=self.generated,
                price=model.price,
                limits=model.free.limits,
                as_of=model.free.as_of,
            ),
        )


def _still_holds(old: Provider, new: Provider) -> bool:
    """Return whether what is known of a host is true of the changed one: same place and terms."""
    places = {endpoint.base_url for endpoint in new.endpoints}
    known = {endpoint.base_url for endpoint in old.endpoints}
    same_place = places <= known if places else new.base_url == old.base_url
    terms = (old.free_class, old.active) == (new.free_class, new.active)
    return terms and same_place


def _by_id(rows: Iterable[Row], noun: str) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in rows:
        if row.id in found:
            raise CatalogError(
                f"The {noun} '{row.id}' is defined twice.",
                hint="Keep one of the two definitions.",
                param=row.id,
            )
        found[row.id] = row
    return found
