"""Where each fact about a model comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.catalog.entries import Evidence, ModelEntry, ProviderEntry
from ymera.catalog.overlay import Layer, Origin, known
from ymera.core.model import Model, WeightsSource

__all__ = ["Fact", "Truths", "evidence_of", "truths_of", "why"]

_evidence = msgspec.json.Decoder(Evidence)


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One value and who says so.

    Attributes:
        field: name of the field, dotted.
        value: as text; `unknown` when the sources do not say.
        source: source ids joined by a comma, or `configuration`, `derived`, `notes`, `none`.
        title, date: of the first source.
        note: variant measured, remark, or what other sources say instead.
        layer: which layer won: `snapshot`, `fetched`, `learned`, `user`; `rules` for what follows
            from others, `settings` for the configuration's own.
    """

    field: str
    value: str
    source: str
    title: str
    date: str | None = None
    note: str | None = None
    layer: str = Layer.SNAPSHOT


class Truths(msgspec.Struct, frozen=True, kw_only=True):
    """Three things that are easily taken for one another; each one sentence, or more.

    Attributes:
        listed: whether its provider's model list names it.
        answers: whether it has answered, with which key.
        may_auto_route: whether it may be asked at cost 0 without being named.
        is_listed, has_answered: None where nobody has looked.
    """

    is_listed: bool | None
    listed: str
    has_answered: bool | None
    answers: tuple[str, ...]
    may_auto_route: bool
    reason: str


def evidence_of(entry: ModelEntry) -> Evidence:
    """Decode the provenance of a row."""
    return _evidence.decode(entry.evidence)


def why(catalog: Catalog, name: str) -> tuple[Fact, ...]:
    """Return every known fact about a model with its source and date.

    Raises:
        UnknownModel: no such model.
    """
    model = _model_of(catalog, name)
    entry = catalog.model_entries.get(model.id)
    if entry is None:
        facts = list(_configured(model)) if model.id not in catalog.upkeep.listed else []
    else:
        facts = [*_capabilities(catalog, entry), *_quality(catalog, entry), *_free(catalog, entry)]
    facts = _with_layers(catalog, model.id, facts)
    facts.append(_derived("free.may_auto_route", model.free.may_auto_route, model.free.reason))
    provider = catalog.provider_entries.get(model.provider) if entry is not None else None
    flags = {**(provider.flags if provider else {}), **(entry.flags if entry is not None else {})}
    facts += [_fact(catalog, f"flag.{name}", flag.reason, flag.src) for name, flag in flags.items()]
    return (*facts, *(_host(catalog, provider) if provider else ()))


def truths_of(catalog: Catalog, name: str) -> Truths:
    """Return what is known of being listed, answering and being routed to.

    Raises:
        UnknownModel: no such model.
    """
    model = _model_of(catalog, name)
    is_listed, listed = _listed(catalog, model.id)
    outcomes = catalog.upkeep.answers.get(model.id, {})
    answers = tuple(
        f"{'yes' if outcome.ok else 'no'}, with {key_id} on {outcome.at:%Y-%m-%d}: {outcome.detail}"
        for key_id, outcome in sorted(outcomes.items())
    )
    return Truths(
        is_listed=is_listed,
        listed=listed,
        has_answered=any(each.ok for each in outcomes.values()) if outcomes else None,
        answers=answers or ("never tested here",),
        may_auto_route=model.free.may_auto_route,
        reason=model.free.reason,
    )


def _model_of(catalog: Catalog, name: str) -> Model:
    listed = catalog.upkeep.listed.get(name)
    return catalog.get(name) if listed is None else listed


def _listed(catalog: Catalog, model_id: str) -> tuple[bool | None, str]:
    for layer, row in reversed(catalog.upkeep.layers.get(model_id, ())):
        if row.facts.listed is not None:
            origin = row.origins["listed"]
            said = "yes" if row.facts.listed else "no"
            return row.facts.listed, f"{said} ({origin.source}, {origin.as_of}, {layer})"
    return None, f"not looked up since the snapshot of {catalog.generated}"


def _with_layers(catalog: Catalog, model_id: str, facts: list[Fact]) -> list[Fact]:
    """Return the facts with those that a layer over the snapshot says in their place."""
    found = {fact.field: fact for fact in facts}
    base = dict(found)
    for layer, row in catalog.upkeep.layers.get(model_id, ()):
        for field, value in known(row.facts).items():
            found[_NAMES.get(field, field)] = _laid(layer, field, value, row.origins[field])
    over = [fact for name, fact in found.items() if fact is not base.get(name)]
    return [*(found[fact.field] for fact in facts if found[fact.field] is fact), *over]


_NAMES = {name: f"free.{name}" for name in ("free_now", "rpm", "rpd", "tpm", "tpd", "concurrency")}


def _laid(layer: Layer, field: str, value: object, origin: Origin) -> Fact:
    return Fact(
        field=_NAMES.get(field, field),
        value=_text(value),
        source=origin.source,
        title=_TITLES[layer],
        date=origin.as_of,
        layer=layer,
    )


_TITLES = {
    Layer.SNAPSHOT: "The bundled snapshot",
    Layer.FETCHED: "The provider's model list",
    Layer.LEARNED: "Live tests",
    Layer.USER: "Your own catalogue file",
}


def _configured(model: Model) -> Iterator[Fact]:
    for field, value in msgspec.structs.asdict(model).items():
        if value not in (None, {}, ()):
            yield Fact(
                field=field,
                value=_text(value),
                source="configuration",
                title="Your configuration",
                layer="settings",
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
        field=field,
        value=_text(value),
        source="derived",
        title="The free guard",
        note=note,
        layer="rules",
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
