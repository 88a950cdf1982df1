"""What a model list changes, and what it may not change."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.catalog.conftest import provider
from ymera.catalog.listing import Listed
from ymera.catalog.overlay import Facts, Fetched, Origin
from ymera.catalog.update import Change, What, applied, compare, present_of
from ymera.core.model import ModelKind, ProviderKind

HOST = provider("host")
SHOP = provider("shop", kind=ProviderKind.AGGREGATOR)
OWN = provider("own", kind=ProviderKind.LOCAL, free_class="local")
ORIGIN = Origin(source="https://host.example/v1/models", as_of="2026-11-23")
CHAT = Facts(kind=ModelKind.CHAT)


def only(changes: tuple[Change, ...]) -> Change:
    (change,) = changes
    return change


def prices(dollars: str) -> dict[str, Any]:
    return dict.fromkeys(("input_usd_per_mtok", "output_usd_per_mtok"), Decimal(dollars))


@pytest.mark.proves("catalog.update")
def test_what_a_list_does_not_say_is_not_a_change() -> None:
    present = {"a": Facts(kind=ModelKind.CHAT, context_window=8000, tools=True)}
    assert compare(HOST, [Listed(id="a")], present, {}).changes == ()


@pytest.mark.proves("catalog.update")
def test_every_applied_field_keeps_where_it_comes_from_and_its_day() -> None:
    present = {"a": Facts(kind=ModelKind.CHAT, context_window=8000)}
    diff = compare(HOST, [Listed(id="a", context_window=16_000)], present, {})
    row = applied(Fetched(), diff, ORIGIN).rows["host/a"]
    assert row.facts == Facts(context_window=16_000, listed=True)
    assert dict(row.origins) == {"context_window": ORIGIN, "listed": ORIGIN}
    later = Origin(source="https://host.example/v1/models", as_of="2026-12-24")
    layer = applied(Fetched(), diff, ORIGIN)
    again = compare(
        HOST, [Listed(id="a", context_window=16_000)], present_of([], layer, "host"), {}
    )
    assert again.changes == ()
    assert applied(layer, again, later).rows["host/a"].origins["context_window"] == later


@pytest.mark.proves("catalog.no-silent-free")
@pytest.mark.parametrize(
    ("before", "after", "dangerous"),
    [
        ("3", "0", True),
        ("0", "3", True),
        ("3", "30", True),
        ("3", "0.3", True),
        ("3", "29.9", False),
        ("3", "0.31", False),
        (None, "3", False),
    ],
)
def test_dangerous_prices_wait_for_a_yes(before: str | None, after: str, dangerous: bool) -> None:
    had: dict[str, Any] = prices(before) if before is not None else {}
    present = {"a": Facts(kind=ModelKind.CHAT, **had)}
    diff = compare(HOST, [Listed(id="a", **prices(after))], present, {})
    assert [bool(change.danger) for change in diff.changes] == [dangerous] * 2
    unasked = applied(Fetched(), diff, ORIGIN).rows["host/a"].facts.input_usd_per_mtok
    assert unasked == (None if dangerous else Decimal(after))
    agreed = applied(Fetched(), diff, ORIGIN, accepted={"host/a"}).rows["host/a"].facts
    assert agreed.input_usd_per_mtok == Decimal(after)
    other = applied(Fetched(), diff, ORIGIN, accepted={"host/b"}).rows["host/a"].facts
    assert other.input_usd_per_mtok == unasked


@pytest.mark.proves("catalog.no-silent-free")
def test_a_listed_price_of_0_says_nothing_of_what_had_none() -> None:
    diff = compare(HOST, [Listed(id="a", **prices("0"))], {"a": CHAT}, {})
    assert diff.changes == ()
    assert applied(Fetched(), diff, ORIGIN).rows["host/a"].facts == Facts(listed=True)


@pytest.mark.proves("catalog.no-silent-free")
def test_only_an_id_that_says_so_is_new_and_free() -> None:
    rows = [
        Listed(id="a:free", **prices("0")),
        Listed(id="b", **prices("0")),
        Listed(id="c:free", **prices("1")),
        Listed(id="d:free"),
    ]
    new = {change.model: change.after for change in compare(SHOP, rows, {}, {}).changes}
    assert {name: facts.free_now for name, facts in new.items()} == {
        "shop/a:free": True,
        "shop/b": None,
        "shop/c:free": False,
        "shop/d:free": None,
    }
    assert new["shop/b"].input_usd_per_mtok is None


@pytest.mark.proves("catalog.no-silent-free")
def test_a_free_id_with_a_price_is_free_no_more_and_needs_a_yes_to_be_again() -> None:
    present = {"a:free": Facts(kind=ModelKind.CHAT, free_now=True, **prices("0"))}
    paid = compare(SHOP, [Listed(id="a:free", **prices("2"))], present, {})
    layer = applied(Fetched(), paid, ORIGIN)
    assert layer.rows["shop/a:free"].facts.free_now is False
    now = {"a:free": present_of([], layer, "shop")["a:free"]}
    back = compare(SHOP, [Listed(id="a:free", **prices("0"))], now, {})
    assert applied(layer, back, ORIGIN).rows["shop/a:free"].facts.free_now is False
    yes = applied(layer, back, ORIGIN, accepted={"shop/a:free"})
    assert yes.rows["shop/a:free"].facts.free_now is True


def test_a_list_price_beside_a_free_tier_ends_no_free_tier() -> None:
    present = {"a": Facts(kind=ModelKind.CHAT, free_now=True, **prices("2"))}
    assert compare(HOST, [Listed(id="a", **prices("2"))], present, {}).changes == ()


@pytest.mark.proves("catalog.benched")
def test_an_id_is_benched_when_two_lists_in_a_row_are_without_it() -> None:
    present, layer, seen = {"a": CHAT, "b": CHAT}, Fetched(), []
    for rows in (["b"], ["a", "b"], ["b"], ["b"], ["b"], ["a", "b"]):
        have = present | present_of([], layer, "host")
        diff = compare(HOST, [Listed(id=id) for id in rows], have, layer.missed)
        seen.append([change.what for change in diff.changes])
        layer = applied(layer, diff, ORIGIN)
    assert seen == [[What.MISSING], [], [What.MISSING], [What.BENCHED], [], [What.RETURNED]]
    assert layer.missed == {}


@pytest.mark.proves("catalog.benched")
def test_what_a_list_says_is_inactive_counts_as_missing() -> None:
    diff = compare(HOST, [Listed(id="a", active=False), Listed(id="b")], {"a": CHAT}, {})
    assert [(each.model, each.what) for each in diff.changes] == [
        ("host/b", What.NEW),
        ("host/a", What.MISSING),
    ]


def test_kinds_that_a_list_does_not_hold_are_not_missed() -> None:
    vectors = Facts(kind=ModelKind.EMBEDDING)
    one = Listed(id="a")
    assert compare(HOST, [one], {"a": CHAT, "v": vectors}, {}).changes == ()
    both = [one, Listed(id="w", kind=ModelKind.EMBEDDING)]
    missing = compare(HOST, both, {"a": CHAT, "v": vectors, "w": vectors}, {})
    assert only(missing.changes).model == "host/v"


def test_what_a_server_of_ones_own_has_not_loaded_is_not_missed_and_new_ids_are_free() -> None:
    diff = compare(OWN, [Listed(id="b:latest"), Listed(id="c")], {"a": CHAT, "b": CHAT}, {})
    new = [change for change in diff.changes if change.what is What.NEW]
    assert only(tuple(new)).model == "own/c"
    assert only(tuple(new)).after.free_now is True
    assert not diff.missed


def test_a_diff_of_one_provider_leaves_the_counts_of_others() -> None:
    layer = Fetched(missed={"other/x": 1, "host/a": 1})
    assert applied(layer, compare(HOST, [Listed(id="a")], {"a": CHAT}, {}), ORIGIN).missed == {
        "other/x": 1
    }
