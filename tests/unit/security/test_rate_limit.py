"""The limit for callers, with a clock that stands still until it is moved."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.support.records import ALICE, NOON
from ymera.core.access import LOCAL_OWNER, Principal, PrincipalKind
from ymera.core.errors import ConfigError, RateLimited
from ymera.security.rate_limit import HourlyRateLimiter, RateVerdict

HOUR = timedelta(hours=1)


class Clock:
    """Shows the time it was set to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limiter(clock: Clock, limit: int = 100, **options: int) -> HourlyRateLimiter:
    return HourlyRateLimiter(limit, now=clock, **options)


@pytest.mark.proves("limiter.exact")
def test_of_101_instant_requests_the_first_100_pass_and_the_last_does_not(clock: Clock) -> None:
    verdicts = [limiter_.check("test_user", 100) for limiter_ in [limiter(clock)] * 101]

    assert [verdict.allowed for verdict in verdicts] == [True] * 100 + [False]
    assert [verdict.remaining for verdict in verdicts] == [*range(99, -1, -1), 0]


@pytest.mark.proves("engine.rate-limit", "limiter.retry-after")
def test_over_the_limit_the_error_says_how_long_to_wait_and_that_is_true(clock: Clock) -> None:
    limit = limiter(clock, 2)
    for minutes in (0, 20):
        clock.now = NOON + timedelta(minutes=minutes)
        limit.admit(ALICE)
    clock.now = NOON + timedelta(minutes=30)

    with pytest.raises(RateLimited) as caught:
        limit.admit(ALICE)

    # The refused try took the slot of the first one, so the try of minute 20 has to age out.
    assert caught.value.message == "'alice' has used its 2 requests an hour."
    assert (caught.value.retry_after_s, caught.value.limit) == (50 * 60, 2)
    assert caught.value.hint == "Wait 50 min, or raise security.rate_limit_per_hour."
    clock.now += timedelta(seconds=caught.value.retry_after_s)
    limit.admit(ALICE)


def test_a_moment_before_the_hour_is_too_early(clock: Clock) -> None:
    limit = limiter(clock, 1)
    limit.admit(ALICE)
    clock.now = NOON + HOUR - timedelta(microseconds=1)
    with pytest.raises(RateLimited):
        limit.admit(ALICE)


@pytest.mark.proves("limiter.refused-counted")
def test_a_refused_try_is_counted_too(clock: Clock) -> None:
    limit = limiter(clock)
    assert limit.check("u", 1).allowed
    clock.now = NOON + HOUR / 2
    assert not limit.check("u", 1).allowed
    clock.now = NOON + HOUR
    assert not limit.check("u", 1).allowed
    clock.now = NOON + HOUR * 2
    assert limit.check("u", 1).allowed


def test_the_verdict_says_when_the_next_slot_comes_free(clock: Clock) -> None:
    limit = limiter(clock)
    limit.check("u", 3)
    clock.now = NOON + HOUR / 4
    assert limit.check("u", 3) == RateVerdict(allowed=True, remaining=1, reset_at=NOON + HOUR)


@pytest.mark.proves("engine.rate-limit")
def test_the_local_owner_is_never_limited(clock: Clock) -> None:
    limit = limiter(clock, 1)
    for _ in range(1_000):
        limit.admit(LOCAL_OWNER)


def test_callers_do_not_share_a_limit_even_with_the_same_name(clock: Clock) -> None:
    limit = limiter(clock, 1)
    limit.admit(ALICE)
    limit.admit(Principal(id="bob", kind=PrincipalKind.USER))
    limit.admit(Principal(id="alice", kind=PrincipalKind.ACCESS_KEY))
    assert not limit.check("alice", 1).allowed


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_below_one_lets_nothing_pass_and_is_no_configuration(
    clock: Clock, limit: int
) -> None:
    assert not limiter(clock).check("u", limit).allowed
    with pytest.raises(ConfigError, match=f"rate_limit_per_hour is {limit}") as caught:
        limiter(clock, limit)
    assert caught.value.hint


@pytest.mark.proves("limiter.bounded")
def test_the_caller_longest_unseen_is_forgotten_first(clock: Clock) -> None:
    limit = limiter(clock, max_callers=2)
    for name in ("a", "b", "a", "c"):
        limit.check(name, 1)

    assert not limit.check("a", 1).allowed  # seen again before c came
    assert limit.check("b", 1).allowed


def test_what_is_held_for_one_caller_is_bounded_by_the_limit(clock: Clock) -> None:
    limit = limiter(clock)
    for _ in range(500):
        limit.check("u", 10)
    assert [len(tries) for tries in limit._tries.values()] == [10]
