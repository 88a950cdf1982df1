"""The rate limit against its definition, for any sequence of tries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.records import NOON
from ymera.security.rate_limit import HourlyRateLimiter

HOUR = timedelta(hours=1)
gaps = st.lists(
    st.one_of(
        st.just(timedelta(0)),
        st.timedeltas(timedelta(0), timedelta(minutes=90)),
        st.sampled_from([HOUR, HOUR - timedelta(microseconds=1), HOUR / 2]),
    ),
    max_size=60,
)


@pytest.mark.proves("limiter.exact")
@given(limit=st.integers(1, 8), gaps=gaps)
def test_a_try_passes_exactly_when_fewer_than_the_limit_fell_into_the_hour_before(
    limit: int, gaps: list[timedelta]
) -> None:
    times = [NOON + sum(gaps[:count], timedelta(0)) for count in range(len(gaps) + 1)]
    clock = iter(times)
    limiter = HourlyRateLimiter(limit, now=lambda: next(clock))

    for index, at in enumerate(times):
        verdict = limiter.check("u", limit)
        before = sum(earlier > at - HOUR for earlier in times[:index])
        assert verdict.allowed == (before < limit)
        assert verdict.remaining == max(limit - before - 1, 0)


@pytest.mark.proves("limiter.retry-after")
@given(limit=st.integers(1, 8), gaps=gaps)
def test_who_waits_until_the_reset_passes_and_a_moment_earlier_does_not(
    limit: int, gaps: list[timedelta]
) -> None:
    now = NOON

    def after(wait: timedelta) -> bool:
        nonlocal now
        now = NOON
        limiter = HourlyRateLimiter(limit, now=lambda: now)
        verdict = limiter.check("u", limit)
        for gap in gaps:
            now += gap
            verdict = limiter.check("u", limit)
        while verdict.allowed:
            verdict = limiter.check("u", limit)
        now = verdict.reset_at + wait
        return limiter.check("u", limit).allowed

    assert after(timedelta(0))
    assert not after(timedelta(microseconds=-1))
