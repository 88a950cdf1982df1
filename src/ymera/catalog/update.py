"""What a provider's model list changes: compared, judged, and laid into the fetched layer.

Pure: lists and layers in, a difference or a new layer out. Some rules hold whatever a list says:
what costs money never becomes free, and no price changes tenfold, unless somebody accepted just
that; and an id that only a list names is known, but not routed to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from ymera.catalog.entries import ModelEntry
from ymera.catalog.listing import Listed
from ymera.catalog.overlay import Facts, Fetched, Origin, Row, known
from ymera.core.model import ModelKind, Provider, ProviderKind

__all__ = ["BENCHED_AFTER", "Change", "Diff", "What", "applied", "compare", "present_of"]

BENCHED_AFTER = 2
"""Lists in a row that must be without an id before it is benched."""

_TENFOLD = 10
_FREE_MARK = ":free"
_LATEST = ":latest"
"""What Ollama writes behind names that have no tag."""
_COMPARED = ("context_window", "max_output", "inputs", "tools", "json_schema", "reasoning")
_PRICES = ("input_usd_per_mtok", "output_usd_per_mtok")


class What(StrEnum):
    """What happened to an id."""

    NEW = "new"
    CHANGED = "changed"
    MISSING = "missing"
    """Not in the list for the first time."""
    BENCHED = "benched"
    RETURNED = "returned"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference.

    Attributes:
        model: catalogue id.
        what: see the type.
        before, after: the facts that differ, as they are and as they would be.
        danger: why it takes an explicit yes; None for what may simply be applied.
    """

    model: str
    what: What
    before: Facts = Facts()
    after: Facts = Facts()
    danger: str | None = None


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider's list changes.

    Attributes:
        provider: its id.
        changes: in the order of the list, then what it is without.
        seen: what the list says, by model id; it dates facts that stay as they are.
        missed: model id -> how many lists in a row are without it now.
    """

    provider: str
    changes: tuple[Change, ...] = ()
    seen: dict[str, Facts] = {}
    missed: dict[str, int] = {}

    @property
    def dangerous(self) -> tuple[Change, ...]:
        """Return what takes an explicit yes."""
        return tuple(change for change in self.changes if change.danger)


def present_of(
    entries: Iterable[ModelEntry], fetched: Fetched, provider_id: str
) -> dict[str, Facts]:
    """Return what is known of a provider's models below the user's own layer.

    Args:
        entries: the snapshot's rows.
        fetched: the layer over it.
        provider_id: whose.

    Returns:
        Facts by the id that the provider uses.
    """
    present = {row.id: _facts_of(row) for row in entries if row.provider == provider_id}
    for model_id, row in fetched.rows.items():
        provider, _, upstream = model_id.partition("/")
        if provider == provider_id:
            below = present.get(upstream, Facts(kind=ModelKind.CHAT))
            present[upstream] = msgspec.structs.replace(below, **known(row.facts))
    return present


def compare(
    provider: Provider,
    listed: Iterable[Listed],
    present: Mapping[str, Facts],
    missed: Mapping[str, int],
) -> Diff:
    """Return what a model list changes.

    Args:
        provider: whose list.
        listed: all of its rows.
        present: what is known; see `present_of`.
        missed: model id -> how many lists in a row were without it so far.
    """
    changes: list[Change] = []
    seen: dict[str, Facts] = {}
    for row in listed:
        upstream = _name_of(row.id, present)
        if not row.active or (row.kind is None and upstream not in present):
            continue
        model_id = f"{provider.id}/{upstream}"
        if model_id in seen:
            continue
        have = present.get(upstream)
        says = _said(provider, upstream, row, have)
        seen[model_id] = says
        if have is None:
            changes.append(Change(model=model_id, what=What.NEW, after=says))
        else:
            changes += _differences(model_id, have, says)
    gone, counts = _gone(provider, seen, present, missed)
    return Diff(provider=provider.id, changes=(*changes, *gone), seen=seen, missed=counts)


def applied(
    fetched: Fetched, diff: Diff, origin: Origin, *, accepted: Collection[str] = ()
) -> Fetched:
    """Return the fetched layer with a difference laid into it.

    Args:
        fetched: the layer.
        diff: made from it and a list.
        origin: the list, and the day it was read.
        accepted: ids of models whose dangerous changes may be applied, too.
    """
    rows = dict(fetched.rows)
    for model_id, says in diff.seen.items():
        row = rows.get(model_id, Row())
        stays = {k: v for k, v in known(says).items() if getattr(row.facts, k) == v}
        rows[model_id] = row.saying(Facts(**stays | {"listed": True}), origin)  # type: ignore[arg-type]
    for change in diff.changes:
        if change.danger is None or change.model in accepted:
            rows[change.model] = rows.get(change.model, Row()).saying(change.after, origin)
    mine = f"{diff.provider}/"
    others = {k: n for k, n in fetched.missed.items() if not k.startswith(mine)}
    return Fetched(rows=rows, missed=others | diff.missed)


def _facts_of(entry: ModelEntry) -> Facts:
    return Facts(
        kind=entry.kind,
        context_window=entry.context_window,
        max_output=entry.max_output,
        inputs=entry.inputs and tuple(sorted(entry.inputs)),
        tools=entry.tools,
        json_schema=entry.json_schema,
        reasoning=entry.reasoning,
        input_usd_per_mtok=entry.price.input_usd_per_mtok,
        output_usd_per_mtok=entry.price.output_usd_per_mtok,
        free_now=entry.free.free_now,
    )


def _name_of(id: str, present: Mapping[str, Facts]) -> str:
    plain = id.removesuffix(_LATEST)
    return plain if id not in present and plain in present else id


def _said(provider: Provider, upstream: str, row: Listed, have: Facts | None) -> Facts:
    """Return what a row of a list says, as far as a list is believed."""
    prices = (row.input_usd_per_mtok, row.output_usd_per_mtok)
    charged = any(prices)
    marked = upstream.endswith(_FREE_MARK)
    says = Facts(
        context_window=row.context_window,
        max_output=row.max_output,
        inputs=row.inputs,
        tools=row.tools,
        json_schema=row.json_schema,
        reasoning=row.reasoning,
        input_usd_per_mtok=prices[0],
        output_usd_per_mtok=prices[1],
        free_now=_free_now(provider, charged=charged, marked=marked, prices=prices),
    )
    changes: dict[str, object] = {}
    if have is None:
        changes = {"name": row.name, "kind": row.kind, "listed": True}
    if not marked:  # a listed price of 0 proves nothing: what was not known stays so
        unknown = [name for name in _PRICES if getattr(have, name, None) is None]
        changes |= {name: None for name in unknown if getattr(says, name) == 0}
    return msgspec.structs.replace(says, **changes)


def _free_now(
    provider: Provider, *, charged: bool, marked: bool, prices: tuple[Decimal | None, ...]
) -> bool | None:
    """Return what a list shows of being free; None where it shows nothing.

    A price in the list binds where the host only passes on, or the id itself says free; elsewhere a
    free tier may lie beside it.
    """
    if provider.kind is ProviderKind.LOCAL:
        return True
    if charged and (marked or provider.kind is ProviderKind.AGGREGATOR):
        return False
    return True if marked and not charged and None not in prices else None


def _differences(model_id: str, have: Facts, says: Facts) -> Iterator[Change]:
    if have.listed is False:
        back = Facts(listed=True)
        yield Change(model=model_id, what=What.RETURNED, before=Facts(listed=False), after=back)
    changed = [name for name in _COMPARED if _differs(have, says, name)]
    if changed:
        yield _change(model_id, have, says, changed)
    for name in _PRICES:
        if _differs(have, says, name):
            danger = _price_danger(getattr(have, name), getattr(says, name))
            yield _change(model_id, have, says, [name], danger)
    if says.free_now is False and have.free_now is not False:
        yield _change(model_id, have, says, ["free_now"])  # towards caution: never asks
    elif says.free_now and not have.free_now:
        danger = "It was not free, and the list now says it is."
        yield _change(model_id, have, says, ["free_now"], danger)


def _differs(have: Facts, says: Facts, name: str) -> bool:
    return getattr(says, name) not in {None, getattr(have, name)}


def _change(
    model_id: str, have: Facts, says: Facts, names: Iterable[str], danger: str | None = None
) -> Change:
    before = {name: getattr(have, name) for name in names}
    after = {name: getattr(says, name) for name in names}
    return Change(
        model=model_id,
        what=What.CHANGED,
        before=Facts(**before),
        after=Facts(**after),
        danger=danger,
    )


def _price_danger(before: Decimal | None, after: Decimal) -> str | None:
    if before is None:
        return None
    if after == 0:
        return f"It would turn from paid (${before:f}) into free."
    if before == 0:
        return f"It would turn from a price of 0 into ${after:f}."
    if after >= before * _TENFOLD or before >= after * _TENFOLD:
        return f"Its price would change tenfold or more, from ${before:f} to ${after:f}."
    return None


def _gone(
    provider: Provider,
    seen: Mapping[str, Facts],
    present: Mapping[str, Facts],
    missed: Mapping[str, int],
) -> tuple[list[Change], dict[str, int]]:
    """Return what the list is without, and for how many lists in a row each now is."""
    if provider.kind is ProviderKind.LOCAL:  # what is not pulled is not gone
        return [], {}
    # Some lists hold chat models alone: other kinds count only where one of them is in it.
    held = {facts.kind for name, facts in present.items() if f"{provider.id}/{name}" in seen}
    covered = held | {ModelKind.CHAT}
    changes: list[Change] = []
    counts: dict[str, int] = {}
    for upstream, facts in present.items():
        model_id = f"{provider.id}/{upstream}"
        if model_id in seen or facts.kind not in covered:
            continue
        count = counts[model_id] = min(missed.get(model_id, 0) + 1, BENCHED_AFTER)
        if facts.listed is False:
            continue
        benched = count >= BENCHED_AFTER
        changes.append(
            Change(
                model=model_id,
                what=What.BENCHED if benched else What.MISSING,
                after=Facts(listed=False) if benched else Facts(),
            )
        )
    return changes, counts
