"""Limits that nobody publishes, of vendors whose refusals name neither window nor number."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.support.quota_books import (
    DAY,
    MINUTE,
    NOON,
    ONE,
    POOLS,
    SHARED,
    after,
    book,
    limit,
    seen,
)
from ymera.core.quota import Limit, LimitSource, QuotaMetric, QuotaWindow
from ymera.routing.quota import QuotaBook

SESSION = QuotaWindow.SESSION
NO_NUMBERS = seen(remaining=0, source=LimitSource.ERROR)
ONE_AT_A_TIME = Limit(metric=QuotaMetric.CONCURRENT, window=QuotaWindow.INSTANT, amount=1)

Allows = Callable[[datetime, list[datetime]], bool]


def a_day_of(amount: int) -> Allows:
    """Return a vendor that allows so many calls in any 24 hours."""
    return lambda now, passed: sum(now - each < timedelta(days=1) for each in passed) < amount


def sessions_of(amount: int) -> Allows:
    """Return a vendor that allows so many calls in five hours from the first of them."""

    def allows(now: datetime, passed: list[datetime]) -> bool:
        begun: datetime | None = None
        count = 0
        for each in passed:
            if begun is None or each - begun >= timedelta(hours=5):
                begun, count = each, 0
            count += 1
        return begun is None or now - begun >= timedelta(hours=5) or count < amount

    return allows


def asked(quotas: QuotaBook, allows: Allows, *, hours: float) -> tuple[list[datetime], int]:
    """Ask once a minute where the book lets it; return when it passed, and how often not."""
    passed: list[datetime] = []
    refused = 0
    for minute in range(int(hours * 60)):
        now = after(minutes=minute)
        if quotas.check(POOLS, ONE, now) is not None:
            continue
        ticket = quotas.reserve(POOLS, ONE, now)
        counted = allows(now, passed)
        quotas.settle(ticket, None, now, counted=counted)
        if counted:
            passed.append(now)
        else:
            refused += 1
            quotas.learn(POOLS, [NO_NUMBERS], now)
    return passed, refused


@pytest.mark.proves("quota.unsaid")
@pytest.mark.parametrize("documented", [(), (ONE_AT_A_TIME,), (limit(30),)])
@pytest.mark.parametrize("amount", [10, 50, 400])
def test_a_day_that_nobody_speaks_of_is_learned_from_few_refusals(
    documented: tuple[Limit, ...], amount: int
) -> None:
    passed, refused = asked(book(*documented), a_day_of(amount), hours=24)
    assert len(passed) == amount
    assert refused <= 5


@pytest.mark.proves("quota.unsaid")
@pytest.mark.parametrize("amount", [8, 60])
def test_a_second_session_ends_where_the_first_one_did(amount: int) -> None:
    quotas = book(shared=(limit(None, SESSION), limit(None, QuotaWindow.WEEK)))
    passed, refused = asked(quotas, sessions_of(amount), hours=20)
    assert len(passed) == 4 * amount
    assert refused <= 6


@pytest.mark.proves("quota.unsaid")
def test_what_was_concluded_wrongly_costs_an_hour() -> None:
    def away_for_half_an_hour(now: datetime, _passed: list[datetime]) -> bool:
        return not after(hours=1) <= now < after(hours=1, minutes=30)

    passed, refused = asked(book(limit(30)), away_for_half_an_hour, hours=12)
    assert refused <= 4
    silent = max(later - earlier for earlier, later in pairwise(passed))
    assert silent <= timedelta(hours=1, minutes=20)
    assert len(passed) >= 12 * 60 - 90


@pytest.mark.proves("quota.unsaid")
def test_the_wait_that_is_told_ends_when_the_vendor_is_asked_again() -> None:
    quotas = book()
    for minute in range(5):
        now = after(minutes=minute)
        quotas.settle(quotas.reserve(POOLS, ONE, now), None, now, counted=True)
    now = after(minutes=5)
    for _ in range(3):
        quotas.learn(POOLS, [NO_NUMBERS], now)
        shortage = quotas.check(POOLS, ONE, now)
        assert shortage is not None
        assert shortage.until is not None
        now = shortage.until
    # The third refusal, five minutes after the first: an hour, not a day.
    assert now - after(minutes=5) == timedelta(hours=1, minutes=5, seconds=20)
    assert quotas.check(POOLS, ONE, now) is None


@pytest.mark.proves("quota.unsaid")
def test_calls_that_are_refused_together_are_one_refusal() -> None:
    quotas = book(limit(30))
    tickets = [quotas.reserve(POOLS, ONE, NOON) for _ in range(6)]
    for ticket in tickets:
        quotas.settle(ticket, None, NOON, counted=False)
        quotas.learn(POOLS, [NO_NUMBERS], NOON)
    assert quotas.check(POOLS, ONE, after(seconds=21)) is None


def test_a_window_whose_number_is_published_is_not_suspected() -> None:
    quotas = book(limit(30), shared=(limit(1000, QuotaWindow.MONTH, zone="UTC"),))
    now = NOON
    for _ in range(5):
        quotas.learn(POOLS, [NO_NUMBERS], now)
        now += timedelta(hours=2)
    rows = {(row.pool, row.window): row for row in quotas.rows(now, POOLS)}
    assert set(rows) == {(POOLS[0], MINUTE), (SHARED, QuotaWindow.MONTH)}
    assert rows[SHARED, QuotaWindow.MONTH].limit == 1000
    assert DAY not in {window for _, window in rows}
