"""Where each fact about a model comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.catalog.entries import Evidence, ModelEntry, ProviderEntry
from ymera.core.model import Model, WeightsSource

__all__ = ["Fact", "evidence_of", "why"]

_evidence = msgspec.json.Decoder(Evidence)


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One value and who says so.

    Attributes:
        field: name of the field, dotted.
        value: as text; `unknown` when the sources do not say.
        source: source ids joined by a comma, or `configuration`, `derived`, `notes`, `none`.
        title, date: of the first source.
        note: variant measured, remark, or what other sources say instead.
    """

    field: str
    value: str
    source: str
    title: str
    date: str | None = None
    note: str | None = None


def evidence_of(entry: ModelEntry) -> Evidence:
    """Decode the provenance of a row."""
    return _evidence.decode(entry.evidence)


def why(catalog: Catalog, name: str) -> tuple[Fact, ...]:
    """Return every known fact about a model with its source and date.

    Raises:
        UnknownModel: no such model.
    """
    model = catalog.get(name)
    entry = catalog.model_entries.get(model.id)
    if entry is None:
        return tuple(_configured(model))
    facts = [*_capabilities(catalog, entry), *_quality(catalog, entry), *_free(catalog, entry)]
    provider = catalog.provider_entries.get(entry.provider)
    flags = {**(provider.flags if provider else {}), **entry.flags}
    facts += [_fact(catalog, f"flag.{name}", flag.reason, flag.src) for name, flag in flags.items()]
    facts.append(_derived("free.may_auto_route", model.free.may_auto_route, model.free.reason))
    return (*facts, *(_host(catalog, provider) if provider else ()))


def _configured(model: Model) -> Iterator[Fact]:
    for field, value in msgspec.structs.asdict(model).items():
        if value not in (None, {}, ()):
            yield Fact(
                field=field,
                value=_text(value),
                source="configuration",
                title="Your configuration",
            )


def _capabilities(catalog: Catalog, entry: ModelEntry) -> Iterator[Fact]:
    evidence = evidence_of(entry)
    others = {conflict.field: conflict.values for conflict in evidence.conflicts}
    for field, source in sorted(evidence.src.items()):
        said = others.get(field, {})
        disagreement = [f"{key} says {value}" for key, value in said.items() if key != source]
        notes = [*disagreement, *(evidence.price_notes if field == "price" else ())]
        yield _fact(catalog, field, getattr(entry, field), [source], "; ".join(notes))
    for note in evidence.notes:
        yield Fact(field="note", value=note, source="notes", title="Remark of the snapshot")


def _quality(catalog: Catalog, entry: ModelEntry) -> Iterator[Fact]:
    for task, measured in sorted(evidence_of(entry).quality.items()):
        value = entry.quality.get(task, measured.pass_rate)
        note = " ".join(part for part in (measured.variant, measured.run_date) if part)
        yield _fact(catalog, f"quality.{task}", value, [measured.src], note)


def _free(catalog: Catalog, entry: ModelEntry) -> Iterator[Fact]:
    evidence = evidence_of(entry)
    facts = {"free_now": entry.free.free_now, **msgspec.structs.asdict(entry.free.limits)}
    for field, value in facts.items():
        if value is not None or field == "free_now":
            note = evidence.free_note if field == "free_now" else None
            yield _fact(catalog, f"free.{field}", value, evidence.free_src, note)


def _host(catalog: Catalog, provider: ProviderEntry) -> Iterator[Fact]:
    limits = provider.free_limits
    yield _fact(
        catalog,
        "provider.free_class",
        provider.free_class,
        limits.src or provider.src,
        limits.other,
    )
    pool = ", ".join(part for part in (limits.scope, limits.reset) if part)
    if pool:
        yield _fact(catalog, "provider.pool", pool, limits.src)
    privacy = provider.privacy
    yield _fact(catalog, "trains_on_input", privacy.trains, privacy.src, privacy.note)


def _fact(
    catalog: Catalog, field: str, value: object, sources: Iterable[str], note: str | None = None
) -> Fact:
    ids = list(sources)
    first = catalog.sources.get(ids[0]) if ids else None
    return Fact(
        field=field,
        value=_text(value),
        source=", ".join(ids) or "none",
        title=first.title if first else "No source recorded",
        date=first.date if first else None,
        note=note or None,
    )


def _derived(field: str, value: object, note: str) -> Fact:
    return Fact(
        field=field, value=_text(value), source="derived", title="The free guard", note=note
    )


def _text(value: object) -> str:
    """Return a value as people read it."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, WeightsSource):
        return str(value)
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.asdict(value).items()
        return ", ".join(f"{name} {_text(item)}" for name, item in fields)
    return str(value)
