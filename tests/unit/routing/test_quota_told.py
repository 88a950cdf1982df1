"""The book of quotas: what it tells people and the router, and what the store gets."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from tests.support.quota_books import (
    DAY,
    MINUTE,
    MODEL,
    NOON,
    ONE,
    POOLS,
    REQUESTS,
    TOKENS,
    after,
    book,
    limit,
    row,
    seen,
)
from ymera.core.quota import (
    LimitSource,
    PoolKey,
)
from ymera.routing.quota import QuotaBook


@pytest.mark.proves("quota.price")
def test_a_price_rises_as_less_is_left_and_falls_as_the_reset_nears() -> None:
    daily = book(limit(20, DAY, zone="UTC"))
    fresh = daily.price(MODEL, NOON)
    for _ in range(15):
        daily.reserve(POOLS, ONE, NOON)
    scarce = daily.price(MODEL, NOON)
    late = daily.price(MODEL, datetime(2026, 11, 23, 23, 50, tzinfo=UTC))
    for _ in range(5):
        daily.reserve(POOLS, ONE, NOON)
    assert 0 < late < fresh < scarce < daily.price(MODEL, NOON) <= 1


def test_a_plentiful_pool_is_cheaper_than_a_scarce_one_and_a_minute_cheaper_than_a_day() -> None:
    prices = [
        book(limit(amount, window)).price(MODEL, NOON)
        for amount, window in ((40, MINUTE), (14_400, DAY), (500, DAY), (20, DAY))
    ]
    assert prices == sorted(prices)
    assert prices[-1] <= book().price(MODEL, NOON) < 1  # of the unknown, little is expected


def test_a_row_says_how_long_the_rest_lasts_at_the_present_pace() -> None:
    daily = book(limit(100, DAY, zone="UTC"))
    for _ in range(60):
        daily.reserve(POOLS, ONE, NOON)
    now = row(daily, window=DAY)
    assert (now.used, now.left) == (60, 40)
    assert now.resets_at == datetime(2026, 11, 24, tzinfo=UTC)
    assert now.burn_per_hour == 5  # since midnight
    assert now.lasts_until == after(hours=8)
    assert row(daily, after(hours=6), window=DAY).lasts_until is None  # the reset comes first


def test_the_share_left_is_that_of_the_scarcest_limit() -> None:
    both = book(limit(10), limit(100, DAY), shared=(limit(4),))
    assert both.left(POOLS, NOON) == 1
    both.reserve(POOLS, ONE, NOON)
    assert both.left(POOLS, NOON) == 0.75
    both.learn(POOLS, [seen(remaining=0, source=LimitSource.ERROR)], NOON)
    assert both.left(POOLS, NOON) == 0


def test_a_loaded_book_goes_on_where_the_other_stopped() -> None:
    limits = (limit(2), limit(100, DAY, zone="UTC"), limit(500, metric=TOKENS))
    before = book(*limits)
    before.reserve(POOLS, ONE, NOON)
    before.learn(POOLS, [seen(3, 2)], NOON)
    after_restart = book(*limits)
    after_restart.load(before.dump(NOON), NOON)
    assert after_restart.rows(NOON) == before.rows(NOON)
    assert after_restart.dump(NOON) == before.dump(NOON)


def test_changes_are_given_once_and_add_up_to_what_was_used() -> None:
    kept = book(limit(100, DAY, zone="UTC"), keep_changes=True)
    kept.reserve(POOLS, ONE, NOON)
    ticket = kept.reserve(POOLS, ONE, NOON)
    kept.release(ticket, NOON)
    changes = [each for each in kept.drain() if each.pool == MODEL]
    assert [sum(n for _, n in each.uses) for each in changes] == [1]
    assert kept.drain() == ()


def test_what_another_process_used_is_counted_too() -> None:
    mine = book(limit(100, DAY, zone="UTC"), keep_changes=True)
    other = book(limit(100, DAY, zone="UTC"), keep_changes=True)
    mine.reserve(POOLS, ONE, NOON)
    for _ in range(9):
        other.reserve(POOLS, ONE, NOON)
    together = [*mine.drain(), *other.drain()]
    stored = [each for each in together if each.pool == MODEL]
    both = stored[0].uses + stored[1].uses
    mine.absorb(
        [type(stored[0])(pool=MODEL, metric=REQUESTS, window=DAY, zone="UTC", uses=both)], NOON
    )
    assert row(mine, window=DAY).used == 10
    assert [
        each for each in mine.drain() if each.pool == MODEL
    ] == []  # theirs is not ours to store


def test_what_a_header_told_is_neither_stored_nor_overruled_by_the_store() -> None:
    mine = book(limit(100, DAY, zone="UTC"), keep_changes=True)
    mine.reserve(POOLS, ONE, NOON)
    mine.learn(POOLS, [seen(100, 40, window=DAY)], NOON)
    (change,) = [each for each in mine.drain() if each.pool == MODEL]
    assert sum(n for _, n in change.uses) == 1
    others = msgspec.structs.replace(change, uses=((change.uses[0][0], 90),))
    mine.absorb([others], NOON)
    assert row(mine, window=DAY).used == 60


def test_new_documented_limits_hold_at_once_and_uses_stay() -> None:
    changed = book(limit(10))
    changed.reserve(POOLS, ONE, NOON)
    changed.redocument(lambda pool: (limit(1),) if pool.model else ())
    assert changed.check(POOLS, ONE, NOON) is not None
    changed.redocument(lambda _: ())
    assert changed.check(POOLS, ONE, NOON) is None


def test_the_number_of_pools_is_bounded() -> None:
    small = QuotaBook(max_pools=10)
    for number in range(50):
        ticket = small.reserve((PoolKey("sim", f"key{number}"),), ONE, NOON)
        small.settle(ticket, None, NOON, counted=True)
    assert len(small.rows(NOON)) <= 11
