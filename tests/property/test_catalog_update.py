"""Rules of an update that hold for any list: what may change does, what may not does not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.catalog.listing import Listed
from ymera.catalog.overlay import Facts, Fetched, Origin, decode_fetched, encode_fetched
from ymera.catalog.update import What, applied, compare, present_of
from ymera.core.model import Dialect, ModelKind, Provider, ProviderKind

ORIGIN = Origin(source="list", as_of="2026-11-23")
IDS = ["a", "b", "c:free", "d:free", "e"]

price = st.none() | st.sampled_from(["0", "0.1", "0.9", "1", "5", "10", "11", "100"]).map(Decimal)
tokens = st.none() | st.integers(1, 10**6)
flag = st.none() | st.booleans()
providers = st.sampled_from(ProviderKind).map(
    lambda kind: Provider(
        id="host",
        name="Host",
        kind=kind,
        dialects=(Dialect.OPENAI_CHAT,),
        free_class="recurring",
    )
)
rows = st.builds(
    Listed,
    id=st.sampled_from(IDS),
    active=st.booleans(),
    context_window=tokens,
    max_output=tokens,
    tools=flag,
    input_usd_per_mtok=price,
    output_usd_per_mtok=price,
)
lists = st.lists(rows, min_size=1, max_size=6)
snapshots = st.dictionaries(
    st.sampled_from(IDS),
    st.builds(
        Facts,
        kind=st.just(ModelKind.CHAT),
        context_window=tokens,
        max_output=tokens,
        tools=flag,
        input_usd_per_mtok=price,
        output_usd_per_mtok=price,
        free_now=flag,
    ),
)


def laid(snapshot: dict[str, Facts], layer: Fetched) -> dict[str, Facts]:
    """Return what is known once the layer lies over the snapshot."""
    found = dict(snapshot)
    for id, facts in present_of([], layer, "host").items():
        said = layer.rows[f"host/{id}"].facts
        below = snapshot.get(id, facts)
        values = {
            name: getattr(said, name) if getattr(said, name) is not None else getattr(below, name)
            for name in Facts.__struct_fields__
        }
        found[id] = Facts(**values)
    return found


@pytest.mark.proves("catalog.update")
@given(provider=providers, listed=lists, snapshot=snapshots)
def test_after_applying_a_list_only_what_is_dangerous_still_differs(
    provider: Provider, listed: list[Listed], snapshot: dict[str, Facts]
) -> None:
    diff = compare(provider, listed, snapshot, {})
    layer = applied(Fetched(), diff, ORIGIN)
    again = compare(provider, listed, laid(snapshot, layer), layer.missed)
    left = [c for c in again.changes if c.what not in {What.MISSING, What.BENCHED}]
    assert all(change.danger for change in left)
    everything = applied(Fetched(), diff, ORIGIN, accepted={c.model for c in diff.changes})
    done = compare(provider, listed, laid(snapshot, everything), everything.missed)
    assert not [c for c in done.changes if c.what not in {What.MISSING, What.BENCHED}]


@pytest.mark.proves("catalog.no-silent-free")
@given(provider=providers, series=st.lists(lists, min_size=1, max_size=4), snapshot=snapshots)
def test_no_series_of_lists_makes_what_is_known_to_cost_money_free_or_tenfold(
    provider: Provider, series: list[list[Listed]], snapshot: dict[str, Facts]
) -> None:
    layer = Fetched()
    for listed in series:
        before = laid(snapshot, layer)
        layer = applied(layer, compare(provider, listed, before, layer.missed), ORIGIN)
        for id, now in laid(snapshot, layer).items():
            had = before.get(id)
            if had is None:
                if provider.kind is not ProviderKind.LOCAL and now.free_now:
                    assert id.endswith(":free")
                    assert not now.input_usd_per_mtok
                continue
            assert had.free_now is True or now.free_now is not True
            for field in ("input_usd_per_mtok", "output_usd_per_mtok"):
                old, new = getattr(had, field), getattr(now, field)
                if old is not None and old != new:
                    assert old > 0
                    assert new > 0
                    assert old / 10 < new < old * 10


@pytest.mark.proves("catalog.benched")
@given(provider=providers, series=st.lists(lists, min_size=1, max_size=5), snapshot=snapshots)
def test_an_id_is_benched_exactly_after_two_lists_in_a_row_without_it(
    provider: Provider, series: list[list[Listed]], snapshot: dict[str, Facts]
) -> None:
    layer = Fetched()
    absent = dict.fromkeys(snapshot, 0)
    for listed in series:
        have = laid(snapshot, layer)
        absent |= dict.fromkeys(have.keys() - absent.keys(), 0)
        layer = applied(layer, compare(provider, listed, have, layer.missed), ORIGIN)
        # Of rows with one id the first that is in use counts.
        there = {row.id for row in listed if row.active}
        absent = {id: 0 if id in there else count + 1 for id, count in absent.items()}
        for id, count in absent.items():
            row = layer.rows.get(f"host/{id}")
            benched = row is not None and row.facts.listed is False
            assert benched == (count >= 2 and provider.kind is not ProviderKind.LOCAL)


@pytest.mark.proves("catalog.layers")
@given(provider=providers, listed=lists, snapshot=snapshots)
def test_a_written_layer_is_read_back_the_same(
    provider: Provider, listed: list[Listed], snapshot: dict[str, Facts]
) -> None:
    layer = applied(Fetched(), compare(provider, listed, snapshot, {}), ORIGIN)
    assert decode_fetched("f", encode_fetched(layer)) == layer
