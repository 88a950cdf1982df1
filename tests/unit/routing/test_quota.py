"""The book of quotas: what fits, what is taken, what is learned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.quota_books import (
    DAY,
    MINUTE,
    MODEL,
    NOON,
    ONE,
    POOLS,
    SHARED,
    TOKENS,
    after,
    book,
    limit,
    row,
    seen,
)
from ymera.core.quota import (
    LimitSource,
    Need,
    PoolKey,
    QuotaMetric,
    QuotaWindow,
)
from ymera.core.usage import Usage
from ymera.routing.quota import QuotaBook

# --- what fits -------------------------------------------------------------------------------


def test_a_pool_without_limits_lets_everything_pass_and_counts_it() -> None:
    open_book = book()
    open_book.reserve(POOLS, ONE, NOON)
    assert open_book.check(POOLS, Need(input_tokens=10**9), NOON) is None
    assert row(open_book, window=DAY).used == 1
    assert row(open_book, window=DAY).left is None


@pytest.mark.proves("quota.shortage")
def test_a_used_up_window_says_which_limit_and_when_it_passes() -> None:
    two = book(limit(2))
    two.reserve(POOLS, ONE, NOON)
    two.reserve(POOLS, ONE, after(seconds=10))
    found = two.check(POOLS, ONE, after(seconds=20))
    assert found is not None
    assert (found.pool, found.limit, found.left, found.never) == (MODEL, 2, 0, False)
    assert found.until == after(seconds=60)
    assert found.reason == (
        "0 of 2 requests a minute are left of sim/plain, 1 needed; enough at "
        "2026-11-23 12:01:00 UTC."
    )
    assert two.check(POOLS, ONE, after(seconds=60)) is None


@pytest.mark.proves("quota.too-large")
@pytest.mark.parametrize("window", [MINUTE, DAY])
def test_a_request_larger_than_a_limit_never_fits(window: QuotaWindow) -> None:
    tokens = book(limit(8_000, window, TOKENS))
    found = tokens.check(POOLS, Need(input_tokens=7_000, output_tokens=2_000), NOON)
    assert found is not None
    assert found.never
    assert found.until is None
    assert found.reason == (
        f"It needs about 9,000 of the 8,000 tokens a {window} sim/plain allows."
    )


def test_of_several_limits_in_the_way_the_one_that_lasts_longest_is_named() -> None:
    both = book(limit(1), limit(1, DAY, zone="UTC"))
    both.reserve(POOLS, ONE, NOON)
    found = both.check(POOLS, ONE, NOON)
    assert found is not None
    assert (found.window, found.until) == (DAY, datetime(2026, 11, 24, tzinfo=UTC))


def test_models_of_one_account_share_its_pool() -> None:
    shared = book(shared=(limit(1),))
    shared.reserve((PoolKey("sim", "account", "sim/other"), SHARED), ONE, NOON)
    found = shared.check(POOLS, ONE, NOON)
    assert found is not None
    assert found.pool == SHARED
    assert found.reason.startswith("0 of 1 requests a minute are left of sim's pool")


@pytest.mark.proves("quota.zones")
def test_a_day_resets_at_midnight_of_the_vendors_zone_not_before() -> None:
    pacific = book(limit(1, DAY, zone="America/Los_Angeles"))
    pacific.reserve(POOLS, ONE, NOON)
    reset = datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert pacific.check(POOLS, ONE, reset - timedelta(microseconds=1)) is not None
    assert pacific.check(POOLS, ONE, reset) is None


def test_calls_at_the_same_time_are_bounded_until_one_ends() -> None:
    one = book(limit(1, QuotaWindow.INSTANT, QuotaMetric.CONCURRENT))
    ticket = one.reserve(POOLS, ONE, NOON)
    found = one.check(POOLS, ONE, NOON)
    assert found is not None
    assert (found.until, found.never) == (None, False)
    assert "all are under way" in found.reason
    one.settle(ticket, None, after(hours=3), counted=False)
    assert one.check(POOLS, ONE, after(hours=3)) is None


# --- reserve, then settle ----------------------------------------------------------------------


@pytest.mark.proves("quota.settle")
def test_a_call_counts_at_once_and_its_tokens_are_corrected_when_it_ends() -> None:
    tokens = book(limit(1_000, metric=TOKENS))
    ticket = tokens.reserve(POOLS, ONE, NOON)
    assert row(tokens, metric=TOKENS).used == 200
    tokens.settle(ticket, Usage(input_tokens=90, output_tokens=400), NOON, counted=True)
    assert row(tokens, metric=TOKENS).used == 490
    ticket = tokens.reserve(POOLS, ONE, NOON)
    tokens.settle(ticket, Usage(input_tokens=9, output_tokens=1), NOON, counted=True)
    assert row(tokens, metric=TOKENS).used == 500


@pytest.mark.parametrize(
    ("ending", "requests", "used"),
    [
        (lambda b, t: b.settle(t, None, NOON, counted=True), 1, 200),
        (lambda b, t: b.settle(t, None, NOON, counted=False), 0, 0),
        (lambda b, t: b.release(t, NOON), 0, 0),
    ],
    ids=["no usage known: the estimate stands", "the vendor does not count it", "never made"],
)
@pytest.mark.proves("quota.settle")
def test_a_failed_call_counts_where_the_vendor_counts_it(
    ending: Callable[[QuotaBook, object], None], requests: int, used: int
) -> None:
    both = book(limit(10), limit(1_000, metric=TOKENS))
    ticket = both.reserve(POOLS, ONE, NOON)
    ending(both, ticket)
    assert row(both).used == requests
    assert row(both, metric=TOKENS).used == used


def test_a_ticket_is_settled_once() -> None:
    both = book(limit(10), limit(1_000, metric=TOKENS))
    first, second = both.reserve(POOLS, ONE, NOON), both.reserve(POOLS, ONE, NOON)
    both.release(first, NOON)
    both.release(first, NOON)
    both.settle(first, Usage(output_tokens=500), NOON, counted=True)
    assert (row(both).used, row(both, metric=TOKENS).used) == (1, 200)
    both.release(second, NOON)
    assert (row(both).used, row(both, metric=TOKENS).used) == (0, 0)


def test_a_call_over_midnight_belongs_to_the_day_it_began_in() -> None:
    day = book(limit(1_000, DAY, TOKENS, zone="UTC"))
    ticket = day.reserve(POOLS, ONE, NOON)
    tomorrow = after(days=1)
    other = day.reserve(POOLS, ONE, tomorrow)
    day.settle(ticket, Usage(output_tokens=900), tomorrow, counted=True)
    day.release(ticket, tomorrow)
    assert row(day, tomorrow, TOKENS, DAY).used == 200
    day.release(other, tomorrow)
    assert row(day, tomorrow, TOKENS, DAY).used == 0


def test_the_clock_may_be_set_back_without_giving_anything_away() -> None:
    both = book(limit(1), limit(1, DAY, zone="UTC"))
    both.reserve(POOLS, ONE, NOON)
    yesterday = after(days=-1)
    assert both.check(POOLS, ONE, yesterday) is not None
    assert both.check(POOLS, ONE, after(days=1)) is None


# --- learning ----------------------------------------------------------------------------------


@pytest.mark.proves("quota.learned")
def test_a_header_overrules_the_documentation_and_the_count() -> None:
    documented = book(limit(30))
    for _ in range(5):
        documented.reserve(POOLS, ONE, NOON)
    documented.learn(POOLS, [seen(60, 40, 20)], NOON)
    known = row(documented)
    assert (known.limit, known.source) == (60, LimitSource.HEADER)
    assert known.used == 20 + 4  # four more are under way, unseen by the vendor for all we know
    assert known.confidence > 0.9


def test_a_header_never_leaves_more_than_the_limit() -> None:
    documented = book(limit(30))
    documented.learn(POOLS, [seen(30, 500)], NOON)
    assert (row(documented).used, row(documented).left) == (0, 30)


def test_what_a_header_told_is_whole_again_when_it_said_so() -> None:
    documented = book(limit(30))
    documented.learn(POOLS, [seen(30, 0, 20)], NOON)
    assert documented.check(POOLS, ONE, after(seconds=19)) is not None
    assert documented.check(POOLS, ONE, after(seconds=20)) is None


def test_a_settled_call_is_not_counted_on_top_of_the_vendors_count() -> None:
    documented = book(limit(30))
    ticket = documented.reserve(POOLS, ONE, NOON)
    documented.learn(POOLS, [seen(30, 29)], NOON)
    documented.settle(ticket, None, NOON, counted=True)
    assert row(documented).used == 1


@pytest.mark.proves("quota.learned")
@pytest.mark.parametrize(
    ("first", "then", "wins"),
    [
        (LimitSource.HEADER, LimitSource.ERROR, 60),
        (LimitSource.ERROR, LimitSource.HEADER, 20),
        (LimitSource.HEADER, LimitSource.HEADER, 20),
    ],
)
def test_the_better_source_wins_while_it_is_believed(
    first: LimitSource, then: LimitSource, wins: int
) -> None:
    documented = book(limit(30))
    documented.learn(POOLS, [seen(60, 60, source=first)], NOON)
    documented.learn(POOLS, [seen(20, 20, source=then)], NOON)
    assert row(documented).limit == wins
    assert row(documented, after(days=8)).limit == 30  # everything learned expires


@pytest.mark.proves("quota.refused")
def test_a_refusal_with_numbers_closes_the_pool_until_it_may_be_asked() -> None:
    documented = book(limit(30))
    documented.learn(POOLS, [seen(20, 0, 7.5, source=LimitSource.ERROR)], NOON)
    found = documented.check(POOLS, ONE, after(seconds=7))
    assert found is not None
    assert found.closed
    assert found.until == after(seconds=7.5)
    assert documented.check(POOLS, ONE, after(seconds=8)) is None
    assert row(documented, after(seconds=8)).limit == 20


@pytest.mark.proves("quota.refused")
def test_a_used_up_day_is_closed_until_its_reset_whatever_the_error_asks_to_wait() -> None:
    pacific = book(limit(None, DAY, zone="America/Los_Angeles"))
    refusal = seen(20, 0, 36, window=DAY, source=LimitSource.ERROR)
    pacific.learn(POOLS, [refusal], NOON)
    reset = datetime(2026, 11, 24, 8, tzinfo=UTC)
    found = pacific.check(POOLS, ONE, after(seconds=37))
    assert found is not None
    assert found.until == reset
    assert pacific.check(POOLS, ONE, reset) is None


@pytest.mark.proves("quota.refused")
def test_refusals_without_numbers_close_for_longer_each_time_and_are_believed_less() -> None:
    rolling = book(limit(1_000, DAY))
    refusal = seen(remaining=0, window=DAY, source=LimitSource.ERROR)
    waits = []
    now = NOON
    for _ in range(3):
        rolling.learn(POOLS, [refusal], now)
        found = rolling.check(POOLS, ONE, now)
        assert found is not None
        assert found.until is not None
        waits.append((found.until - now).total_seconds())
        now = found.until
    assert waits == [900, 1_800, 3_600]
    assert row(rolling, now, window=DAY).source is LimitSource.COUNTED
    assert row(rolling, now, window=DAY).confidence < 0.5
    ticket = rolling.reserve(POOLS, ONE, now)
    rolling.settle(ticket, Usage(), now, counted=True)
    rolling.learn(POOLS, [refusal], now)
    again = rolling.check(POOLS, ONE, now)
    assert again is not None
    assert again.until == now + timedelta(seconds=900)  # a success in between starts anew


def test_a_limit_nobody_documented_is_learned_where_it_is_seen() -> None:
    unknown = book()
    unknown.learn(POOLS, [seen(50, 10, 30)], NOON)
    assert row(unknown).left == 10
    unknown.learn((SHARED,), [seen(remaining=7, window=DAY)], NOON)
    assert row(unknown, window=DAY, pool=SHARED).left == 7


def test_a_vendor_that_says_which_pool_it_means_is_heard() -> None:
    both = book(limit(200, DAY), shared=(limit(2_000, DAY),))
    both.learn(POOLS, [seen(2_000, 1_500, window=DAY)], NOON)  # only the amount tells
    assert row(both, window=DAY).used == 0
    assert row(both, window=DAY, pool=SHARED).used == 500
    both.learn(POOLS, [seen(2_000, 100, window=DAY, of_model=True)], NOON)
    assert row(both, window=DAY).left == 100
