"""Breakers: what a failure keeps from being asked, for how long, and how it comes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.core.quota import LimitSeen, LimitSource, QuotaMetric, QuotaWindow
from ymera.routing.health import Block, BlockScope, HealthTable

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def failure(
    kind: Kind = Kind.UPSTREAM_BUSY,
    scope: Scope = Scope.MODEL,
    *,
    wait_s: float | None = None,
    status: int | None = None,
    limits: tuple[LimitSeen, ...] = (),
) -> ProviderError:
    return ProviderError(
        "x", kind=kind, scope=scope, retry_after_s=wait_s, status=status, limits=limits
    )


class Bench:
    """A table, and calls of one model with one key."""

    def __init__(self) -> None:
        self.table = HealthTable()

    def fails(self, error: ProviderError, seconds: float = 0.0, key: str | None = "K") -> None:
        self.table.failed("p/m", "p", key, error, at(seconds))

    def block(
        self, seconds: float, model: str = "p/m", key: str | None = "K", provider: str = "p"
    ) -> Block | None:
        return self.table.blocked(model, provider, key, at(seconds))

    def wait_s(self, seconds: float) -> float:
        block = self.block(seconds)
        assert block is not None
        assert block.until is not None
        return (block.until - at(seconds)).total_seconds()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.proves("health.breaker")
def test_a_model_without_history_is_asked(bench: Bench) -> None:
    assert bench.block(0) is None
    assert bench.table.rows(at(0)) == ()


@pytest.mark.proves("health.breaker")
def test_one_hiccup_keeps_nobody_away_and_a_second_in_a_row_does(bench: Bench) -> None:
    bench.fails(failure(Kind.TRANSIENT))
    assert bench.block(0) is None
    bench.fails(failure(Kind.TRANSIENT))
    assert bench.wait_s(0) == 5


@pytest.mark.proves("health.breaker")
def test_a_success_between_two_hiccups_forgets_the_first(bench: Bench) -> None:
    bench.fails(failure(Kind.TRANSIENT))
    bench.table.succeeded("p/m", "p", "K", at(1))
    bench.fails(failure(Kind.TRANSIENT), 2)
    assert bench.block(2) is None


@pytest.mark.proves("health.cooldown")
@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        (Kind.UPSTREAM_BUSY, [0, 5, 20, 80, 320, 1280]),
        (Kind.TRANSIENT, [0, 5, 20, 80, 320, 1280, 1280]),
        (Kind.QUOTA_MINUTE, [15, 60, 120, 300, 300]),
        (Kind.QUOTA_DAY, [900, 3600, 21600, 21600]),
    ],
)
def test_the_wait_grows_with_each_failed_probe(
    bench: Bench, kind: Kind, waits: list[float]
) -> None:
    now = 0.0
    for wait_s in waits:
        bench.fails(failure(kind), now)
        assert (bench.wait_s(now) if wait_s else 0) == wait_s
        now += wait_s
        assert bench.block(now) is None, "half open: it may be tried"


@pytest.mark.proves("health.cooldown")
def test_calls_that_failed_together_count_as_one_failure(bench: Bench) -> None:
    for _ in range(20):
        bench.fails(failure(), 0)
    assert bench.wait_s(0) == 5


@pytest.mark.proves("health.retry-after")
def test_what_the_vendor_asks_for_is_a_lower_bound_and_the_longest_deadline_wins(
    bench: Bench,
) -> None:
    bench.fails(failure(Kind.QUOTA_MINUTE, wait_s=40), 0)
    assert bench.wait_s(0) == 40
    bench.fails(failure(Kind.QUOTA_MINUTE, wait_s=7), 1)
    assert bench.wait_s(1) == 39
    bench.fails(failure(Kind.QUOTA_MINUTE, wait_s=90), 2)
    assert bench.wait_s(2) == 90


@pytest.mark.proves("health.retry-after")
def test_of_model_key_and_provider_the_longest_wait_is_told(bench: Bench) -> None:
    bench.fails(failure(wait_s=10))
    bench.fails(failure(Kind.TRANSIENT, Scope.PROVIDER, wait_s=100))
    bench.fails(failure(Kind.QUOTA_DAY, Scope.KEY, wait_s=2000))
    block = bench.block(0)
    assert block is not None
    assert (block.scope, block.until) == (BlockScope.KEY, at(2000))


@pytest.mark.proves("health.cooldown")
def test_a_used_up_quota_waits_for_its_reset(bench: Bench) -> None:
    used_up = LimitSeen(
        metric=QuotaMetric.REQUESTS,
        window=QuotaWindow.DAY,
        remaining=0,
        reset_s=5 * 3600,
        source=LimitSource.ERROR,
    )
    bench.fails(failure(Kind.QUOTA_DAY, limits=(used_up,)))
    assert bench.wait_s(0) == 5 * 3600


def test_nobody_is_believed_who_asks_for_years(bench: Bench) -> None:
    bench.fails(failure(Kind.QUOTA_DAY, wait_s=1e12))
    assert bench.wait_s(0) == 31 * 24 * 3600


@pytest.mark.proves("health.breaker")
@pytest.mark.parametrize(
    ("error", "avoided", "asked"),
    [
        (failure(wait_s=5), {("p/m", "K"), ("p/m", "L")}, {("p/n", "K")}),
        (failure(Kind.QUOTA_MINUTE), {("p/m", "K")}, {("p/m", "L"), ("p/n", "K")}),
        (failure(Kind.QUOTA_DAY, Scope.KEY), {("p/m", "K"), ("p/n", "K")}, {("p/m", "L")}),
        (failure(Kind.AUTH, Scope.KEY), {("p/m", "K"), ("p/n", "K")}, {("p/m", "L")}),
        (failure(Kind.CLIENT_LOCK), {("p/m", "K"), ("p/n", "L")}, set()),
        (failure(Kind.TOO_LARGE, Scope.REQUEST), set(), {("p/m", "K")}),
        (failure(Kind.CAPABILITY, Scope.REQUEST), set(), {("p/m", "K")}),
        (failure(Kind.MODERATION, Scope.REQUEST), set(), {("p/m", "K")}),
    ],
    ids=lambda value: str(value.kind) if isinstance(value, ProviderError) else "",
)
def test_exactly_what_the_failure_is_about_is_avoided(
    bench: Bench,
    error: ProviderError,
    avoided: set[tuple[str, str]],
    asked: set[tuple[str, str]],
) -> None:
    bench.fails(error)
    for model, key in avoided:
        assert bench.block(0, model, key) is not None
    for model, key in asked:
        assert bench.block(0, model, key) is None
    assert bench.block(0, "q/m", "K", "q") is None


@pytest.mark.proves("health.key-benched")
@pytest.mark.parametrize(
    "error",
    [failure(Kind.AUTH, Scope.KEY), failure(Kind.QUOTA_MONTH, Scope.KEY, status=402)],
    ids=["refused", "out of credit"],
)
def test_a_refused_or_empty_key_rests_until_it_is_changed(
    bench: Bench, error: ProviderError
) -> None:
    bench.fails(error)
    block = bench.block(365 * 86400)
    assert block is not None
    assert block.until is None
    assert "changed" in block.why
    bench.table.succeeded("p/m", "p", "K", at(5))  # a call that had begun before
    assert bench.block(6) is not None
    bench.table.forget("p", "K")
    assert bench.block(6) is None


@pytest.mark.proves("health.model-gone")
def test_a_model_that_vanished_twice_is_benched_for_a_day(bench: Bench) -> None:
    bench.fails(failure(Kind.MODEL_GONE))
    assert bench.wait_s(0) == 60
    bench.fails(failure(Kind.MODEL_GONE), 60)
    assert bench.wait_s(60) == 86400


@pytest.mark.proves("health.half-open")
def test_one_call_at_a_time_tries_what_is_half_open(bench: Bench) -> None:
    bench.fails(failure(wait_s=5))
    probe = bench.table.began("p/m", "p", "K", at(5))
    assert probe
    block = bench.block(5)
    assert block is not None
    assert block.until == at(6)
    bench.table.released(probe)
    bench.table.released(probe)
    assert bench.block(5) is None


@pytest.mark.proves("health.half-open")
def test_a_probe_that_succeeds_closes_the_breaker(bench: Bench) -> None:
    bench.fails(failure())
    probe = bench.table.began("p/m", "p", "K", at(5))
    bench.table.released(probe)
    bench.table.succeeded("p/m", "p", "K", at(6))
    assert bench.table.rows(at(6)) == ()


@pytest.mark.proves("health.half-open")
def test_a_call_that_began_before_the_failure_closes_nothing_early(bench: Bench) -> None:
    bench.fails(failure(Kind.QUOTA_MINUTE, wait_s=60))
    bench.table.succeeded("p/m", "p", "K", at(10))
    assert bench.block(10) is not None


def test_an_ordinary_call_is_no_probe(bench: Bench) -> None:
    bench.fails(failure(Kind.TRANSIENT))
    assert bench.table.began("p/m", "p", "K", at(0)) == ()


@pytest.mark.proves("health.bounded")
def test_the_table_stays_small_and_keeps_what_matters_longest() -> None:
    table = HealthTable(max_entries=10)
    table.failed("p/gone", "p", "K", failure(Kind.AUTH, Scope.KEY), at(0))
    for number in range(100):
        table.failed(f"p/m{number}", "p", "K", failure(), at(number))
    rows = table.rows(at(100))
    assert len(rows) == 10
    assert any(row.kind is Kind.AUTH for row in rows)


def test_people_see_scope_state_and_time_of_every_breaker(bench: Bench) -> None:
    bench.fails(failure(wait_s=5))
    bench.fails(failure(Kind.AUTH, Scope.KEY))
    rows = {row.scope: row for row in bench.table.rows(at(5))}
    assert (rows[BlockScope.MODEL].state, rows[BlockScope.MODEL].until) == ("half_open", at(5))
    key = rows[BlockScope.KEY]
    assert (key.state, key.until, key.key_id, key.model_id) == ("open", None, "K", None)


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 100),
        st.sampled_from([None, *Kind]),
        st.sampled_from(Scope),
        st.none() | st.floats(0, 1e7),
    ),
    max_size=40,
)


@pytest.mark.proves("health.retry-after")
@given(EVENTS)
def test_nobody_is_asked_before_the_time_it_asked_for(
    events: list[tuple[float, Kind | None, Scope, float | None]],
) -> None:
    table, now, asked_until = HealthTable(), 0.0, 0.0
    for passed, kind, scope, wait_s in events:
        now += passed
        if kind is None:
            table.succeeded("p/m", "p", "K", at(now))
            continue
        error = failure(kind, scope, wait_s=wait_s)
        block = table.failed("p/m", "p", "K", error, at(now))
        if block is not None and wait_s is not None:
            asked_until = max(asked_until, now + min(wait_s, 31 * 86400))
        later = table.blocked("p/m", "p", "K", at(now))
        if now < asked_until - 1e-3:
            assert later is not None
            assert later.until is None or later.until >= at(asked_until - 1e-3)
