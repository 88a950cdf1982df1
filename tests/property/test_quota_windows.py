"""Window arithmetic, for any times, amounts and zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ymera.core.quota import WINDOW_S, QuotaWindow
from ymera.routing.quota_windows import (
    CalendarCount,
    RollingCount,
    SessionCount,
    as_datetime,
    as_us,
    period,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND
START = as_us(datetime(2026, 11, 23, 12, tzinfo=UTC))
ZONES = [
    "UTC",
    "America/Los_Angeles",
    "Europe/Berlin",
    "America/Havana",  # clocks change at midnight
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
]
times = st.integers(
    as_us(datetime(2020, 1, 1, tzinfo=UTC)), as_us(datetime(2035, 1, 1, tzinfo=UTC))
)
calendars = st.sampled_from([QuotaWindow.DAY, QuotaWindow.WEEK, QuotaWindow.MONTH])
steps = st.lists(st.tuples(st.integers(0, 90 * SECOND), st.integers(1, 9)), max_size=200)


def most_in_any_window(granted: list[tuple[int, int]], span: int) -> int:
    """Return the largest sum in [t - span, t), for every t, by looking at all of them."""
    sums = [sum(n for at, n in granted if start <= at < start + span) for start, _ in granted]
    return max(sums, default=0)


@pytest.mark.proves("quota.never-over")
@given(steps, st.integers(1, 40))
def test_a_rolling_window_never_grants_more_than_the_limit_in_any_span(
    asked: list[tuple[int, int]], limit: int
) -> None:
    count, at, granted = RollingCount(MINUTE), START, []
    for gap, amount in asked:
        at += gap
        count.advance(at)
        if count.used + amount <= limit:
            count.add(at, amount)
            granted.append((at, amount))
    assert most_in_any_window(granted, MINUTE) <= limit


@settings(max_examples=25)
@given(st.lists(st.integers(0, SECOND // 4), min_size=300, max_size=700), st.integers(280, 600))
def test_a_busy_rolling_window_is_coarse_yet_never_over_and_small(
    gaps: list[int], limit: int
) -> None:
    count, at, granted = RollingCount(MINUTE), START, []
    for gap in gaps:
        at += gap
        count.advance(at)
        if count.used < limit:
            count.add(at, 1)
            granted.append((at, 1))
    assert most_in_any_window(granted, MINUTE) <= limit
    assert len(count.uses()) <= 256 + 33


@pytest.mark.proves("quota.reset")
@given(st.integers(0, 10**9), st.integers(1, 100), st.integers(1, 3600))
def test_a_use_lapses_exactly_when_its_window_is_over(after: int, amount: int, span_s: int) -> None:
    span, at = span_s * SECOND, START + after
    count = RollingCount(span)
    count.add(at, amount)
    count.advance(at + span - 1)
    assert count.used == amount
    assert count.fits_at(1, amount, at + span - 1) == at + span
    count.advance(at + span)
    assert count.used == 0


@given(steps, st.integers(1, 30), st.integers(1, 9))
def test_what_is_said_to_fit_at_a_time_fits_then_and_not_before(
    asked: list[tuple[int, int]], limit: int, amount: int
) -> None:
    count, at = RollingCount(MINUTE), START
    for gap, used in asked:
        at += gap
        count.advance(at)
        count.add(at, used)
    when = count.fits_at(min(amount, limit), limit, at)
    assert when is not None
    if when > at:
        count.advance(when - 1)
        assert count.used + min(amount, limit) > limit
        count.advance(when)
    assert count.used + min(amount, limit) <= limit


@pytest.mark.proves("quota.zones")
@given(times, calendars, st.sampled_from(ZONES))
def test_calendar_windows_cover_time_without_gap_or_overlap(
    at: int, window: QuotaWindow, name: str
) -> None:
    zone = ZoneInfo(name)
    start, end = period(window, zone, at)
    assert start <= at < end
    assert period(window, zone, start) == (start, end)
    assert period(window, zone, end - 1) == (start, end)
    assert period(window, zone, end)[0] == end
    assert period(window, zone, start - 1)[1] == start
    first = as_datetime(start).astimezone(zone)
    assert (first.hour, first.minute) == (0, 0) or first.utcoffset() != (
        first - timedelta(seconds=1)
    ).astimezone(UTC).astimezone(zone).utcoffset()


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-08", 23), ("2026-11-01", 25), ("2026-07-04", 24)],
)
@pytest.mark.proves("quota.zones")
def test_a_day_is_as_long_as_the_clocks_make_it(day: str, hours: int) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=zone)
    start, end = period(QuotaWindow.DAY, zone, as_us(noon.astimezone(UTC)))
    assert end - start == hours * 3600 * SECOND


@pytest.mark.parametrize(("month", "days"), [(1, 31), (2, 28), (4, 30), (12, 31)])
def test_a_month_ends_with_its_last_day(month: int, days: int) -> None:
    at = as_us(datetime(2026, month, days, 23, 59, 59, 999_999, tzinfo=UTC))
    start, end = period(QuotaWindow.MONTH, UTC, at)
    assert (as_datetime(start).day, end, end - start) == (1, at + 1, days * 86_400 * SECOND)


@given(times, st.integers(0, 5 * 3600 - 1), st.integers(1, 5))
def test_a_session_lasts_five_hours_from_its_first_use(at: int, later_s: int, amount: int) -> None:
    span = WINDOW_S[QuotaWindow.SESSION] * SECOND
    count = SessionCount(span)
    count.advance(at)
    assert count.whole_at() is None
    count.add(at, amount)
    count.add(at + later_s * SECOND, amount)
    assert (count.used, count.whole_at()) == (2 * amount, at + span)
    count.advance(at + span - 1)
    assert count.used == 2 * amount
    count.advance(at + span)
    assert (count.used, count.whole_at()) == (0, None)


@given(times, st.lists(st.integers(1, 20), min_size=1, max_size=20))
def test_a_calendar_window_is_whole_at_its_end_and_not_a_moment_before(
    at: int, amounts: list[int]
) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    count = CalendarCount(lambda at: period(QuotaWindow.DAY, zone, at))
    count.advance(at)
    for amount in amounts:
        count.add(at, amount)
    end = period(QuotaWindow.DAY, zone, at)[1]
    count.advance(end - 1)
    assert count.used == sum(amounts)
    assert count.fits_at(1, sum(amounts), end - 1) == end
    count.advance(end)
    assert count.used == 0


@given(steps, st.integers(0, 60), st.integers(0, 200))
def test_what_a_vendor_counted_replaces_what_we_did(
    asked: list[tuple[int, int]], reset_s: int, told: int
) -> None:
    count, at = RollingCount(MINUTE), START
    for gap, amount in asked:
        at += gap
        count.advance(at)
        count.add(at, amount)
    count.set_used(told, at, at + reset_s * SECOND if reset_s else None)
    assert count.used == (told if reset_s else count.used)
    assert count.used <= told
    count.advance(at + MINUTE)
    assert count.used == 0


@given(steps)
def test_stored_uses_add_up_to_what_was_used(asked: list[tuple[int, int]]) -> None:
    count, at = RollingCount(MINUTE), START
    for gap, amount in asked:
        at += gap
        count.advance(at)
        count.add(at, amount)
    count.advance(at)
    other = RollingCount(MINUTE)
    other.restore(count.uses(), at)
    assert other.used == count.used
    other.advance(at + MINUTE)
    assert other.used == 0
