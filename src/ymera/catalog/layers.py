"""Lays what was fetched, learned and written by the user over a catalogue.

Three truths of a model are kept apart: that a list names it, that it has answered, and that it may
be routed to at cost 0. Only the free guard gives the third; the layers can take it away.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.catalog.decode import to_model
from ymera.catalog.entries import ModelEntry
from ymera.catalog.free import UNDATED_CLASSES, is_stale
from ymera.catalog.overlay import (
    Answered,
    Facts,
    Fetched,
    Layer,
    Learned,
    Row,
    Upkeep,
    known,
)
from ymera.core.model import Model

__all__ = ["Layers", "layered"]

_PRICES = frozenset({"input_usd_per_mtok", "output_usd_per_mtok"})
_FREE = frozenset({"free_now", "rpm", "rpd", "tpm", "tpd", "concurrency"})
_OF_ENTRY = frozenset(Facts.__struct_fields__) - _PRICES - _FREE - {"listed"}
_CONFIRMED = Facts(listed=True)
_BELIEVED_DAYS = 60
"""How long a test that failed for good keeps a model out, when nobody tests it again."""


class Layers(msgspec.Struct, frozen=True, kw_only=True):
    """What lies over the snapshot; the user's rows win over all."""

    fetched: Fetched = Fetched()
    learned: Learned = Learned()
    own: Mapping[str, Row] = MappingProxyType({})


def layered(base: Catalog, layers: Layers, today: datetime.date) -> Catalog:
    """Return `base` with the layers over it, and free terms as old as they are today.

    Rows of providers that `base` does not know are left out, and models that the settings define
    keep what the settings say.

    Args:
        base: snapshot and the settings' own hosts.
        layers: what lies over it.
        today: UTC.
    """
    said = _said(layers)
    on = max(today, base.generated)
    entries = dict(base.model_entries)
    models: dict[str, Model] = {}
    listed: dict[str, Model] = {}
    benched: dict[str, str] = {}
    unproven: set[str] = set()
    free_but: set[str] = set()
    old = _grown_old(base, on)
    for model_id in sorted(said.keys() | layers.learned.answers.keys() | old):
        rows = said.get(model_id, ())
        facts = _merged(rows)
        answers = layers.learned.answers.get(model_id, {})
        if facts == _CONFIRMED and not answers and model_id not in old and base.find_id(model_id):
            continue  # after an update nearly every row of the snapshot
        entry, model = _row_of(base, model_id, rows, on)
        if model is None:
            continue
        if entry is not None:
            entries[model_id] = entry
        if facts.listed is False:
            benched[model_id] = _no_longer(model, rows)
        elif (gone := _refused(answers, on)) is not None:
            benched[model_id] = gone
        if model_id in benched:
            if model.free.may_auto_route:
                free_but.add(model_id)
            model = _kept_out(model, benched[model_id])
        if _only_listed(base, model_id, layers.own) and not _has_answered(answers):
            if model.free.may_auto_route:
                unproven.add(model_id)
            listed[model_id] = _kept_out(model, _not_seen(model))
            entries.pop(model_id, None)
        else:
            models[model_id] = model
    upkeep = Upkeep(
        layers=said,
        listed=listed,
        unproven=frozenset(unproven),
        benched=benched,
        free_but=frozenset(free_but),
        answers=layers.learned.answers,
    )
    return base.with_upkeep(models, entries, upkeep)


def _said(layers: Layers) -> dict[str, tuple[tuple[Layer, Row], ...]]:
    said: dict[str, tuple[tuple[Layer, Row], ...]] = {
        model_id: ((Layer.FETCHED, row),) for model_id, row in layers.fetched.rows.items()
    }
    for model_id, row in layers.own.items():
        said[model_id] = (*said.get(model_id, ()), (Layer.USER, row))
    return said


def _merged(rows: Iterable[tuple[Layer, Row]]) -> Facts:
    facts = Facts()
    for _, row in rows:
        facts = msgspec.structs.replace(facts, **known(row.facts))
    return facts


def _grown_old(base: Catalog, on: datetime.date) -> set[str]:
    """Return the models whose free terms have become too old since the snapshot."""
    return {
        model.id
        for model in base.models
        if model.free.may_auto_route
        and model.id in base.model_entries
        and base.provider_of(model).free_class not in UNDATED_CLASSES
        and is_stale(model.free.as_of, on)
    }


def _row_of(
    base: Catalog, model_id: str, rows: tuple[tuple[Layer, Row], ...], on: datetime.date
) -> tuple[ModelEntry | None, Model | None]:
    """Return a model with its layers, and its entry if the settings do not define it."""
    provider_id, _, upstream = model_id.partition("/")
    provider = base.providers.get(provider_id)
    entry = base.model_entries.get(model_id)
    defined = base.find_id(model_id)
    if provider is None or (entry is None and defined is None and not rows):
        return None, None
    if entry is None and defined is not None:
        return None, defined
    entry = _with_facts(entry or ModelEntry(provider=provider_id, id=upstream), rows)
    return entry, to_model(entry, provider, on)


def _with_facts(entry: ModelEntry, rows: tuple[tuple[Layer, Row], ...]) -> ModelEntry:
    for _, row in rows:
        says = known(row.facts)
        changes = {name: value for name, value in says.items() if name in _OF_ENTRY}
        price = {name: value for name, value in says.items() if name in _PRICES}
        free = {name: value for name, value in says.items() if name in _FREE}
        if "free_now" in free:
            free["as_of"] = row.origins["free_now"].as_of
        entry = msgspec.structs.replace(
            entry,
            price=msgspec.structs.replace(entry.price, **price),
            free=msgspec.structs.replace(entry.free, **free),
            **changes,
        )
    return entry


def _only_listed(base: Catalog, model_id: str, own: Mapping[str, Row]) -> bool:
    """Return whether nothing but a provider's list vouches for a model."""
    return base.find_id(model_id) is None and model_id not in own


def _has_answered(answers: Mapping[str, Answered]) -> bool:
    return any(outcome.ok for outcome in answers.values())


def _refused(answers: Mapping[str, Answered], on: datetime.date) -> str | None:
    """Return why a model is out of use after its live tests; None while any key reaches it."""
    if not answers or not all(outcome.gone for outcome in answers.values()):
        return None
    last = max(answers.values(), key=lambda outcome: outcome.at)
    if (on - last.at.date()).days > _BELIEVED_DAYS:
        return None
    return f"It did not answer when it was tested on {last.at:%Y-%m-%d}: {last.detail}"


def _no_longer(model: Model, rows: tuple[tuple[Layer, Row], ...]) -> str:
    origin = next(row.origins["listed"] for _, row in reversed(rows) if "listed" in row.origins)
    return f"{model.provider} no longer lists it ({origin.source}, {origin.as_of})."


def _not_seen(model: Model) -> str:
    test = f"`ymera models test {model.id} --live`"
    return f"{model.provider} lists it, but it has not been seen to answer yet: {test}."


def _kept_out(model: Model, reason: str) -> Model:
    free = msgspec.structs.replace(model.free, may_auto_route=False, reason=reason)
    return msgspec.structs.replace(model, free=free)
