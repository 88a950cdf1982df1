"""What a call costs later ones: scarcity, sizes, abilities, and ids that may have turned paid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.routing import model, task
from ymera.core.model import Model
from ymera.core.quota import Limit, Need, PoolKey, QuotaMetric, QuotaWindow
from ymera.core.route import RoutePolicy
from ymera.core.task import Needs, TaskProfile
from ymera.routing.plan import Snapshot, plan
from ymera.routing.prices import Price, Prices
from ymera.routing.quota import QuotaBook

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=10)


def limit(amount: int | None, window: QuotaWindow, metric: str = "requests") -> Limit:
    zone = "UTC" if window is QuotaWindow.DAY else None
    return Limit(metric=QuotaMetric(metric), window=window, amount=amount, zone=zone)


def own_pool(each: Model) -> tuple[PoolKey, ...]:
    return (PoolKey(each.provider, "account", each.id),)


def of_provider(each: Model) -> tuple[PoolKey, ...]:
    return (PoolKey(each.provider),)


class Market:
    """A book and its prices."""

    def __init__(
        self,
        limits: dict[str, Sequence[Limit]],
        pools: Callable[[Model], tuple[PoolKey, ...]] = own_pool,
    ) -> None:
        def documented(pool: PoolKey) -> Iterable[Limit]:
            return limits.get(pool.model or pool.provider, ())

        self.pools = pools
        self.book = QuotaBook(documented)
        self.prices = Prices(self.book.strain)

    def of(self, profile: TaskProfile, now: datetime = NOON) -> Price:
        return self.prices.of(profile, self.pools, now)

    def use(self, each: Model, count: int) -> None:
        for _ in range(count):
            self.book.reserve(self.pools(each), Need(), NOON)


def sized(tokens: int) -> TaskProfile:
    return msgspec.structs.replace(task(), est_input_tokens=tokens, est_output_tokens=1)


@pytest.mark.proves("quota.bid-price")
def test_what_is_soon_whole_again_is_used_before_what_must_last_a_day() -> None:
    minute, day = model("a/minute"), model("b/day")
    market = Market(
        {minute.id: [limit(40, QuotaWindow.MINUTE)], day.id: [limit(14_400, QuotaWindow.DAY)]}
    )
    market.use(minute, 39)
    price = market.of(task())
    assert price(minute) < price(day)


@pytest.mark.proves("quota.bid-price")
def test_tokens_are_kept_for_small_requests_and_large_ones_go_where_requests_count() -> None:
    tokens, requests = model("a/tokens"), model("b/requests")
    market = Market(
        {
            tokens.id: [limit(100_000, QuotaWindow.DAY, "tokens")],
            requests.id: [limit(1_000, QuotaWindow.DAY)],
        }
    )
    for count in range(2_000):
        market.of(sized(100 if count % 2 else 3_000))
    small, large = market.of(sized(60), LATER), market.of(sized(3_000), LATER)
    assert small(tokens) < small(requests)
    assert large(tokens) > large(requests)


@pytest.mark.proves("quota.bid-price")
def test_a_plain_request_leaves_what_can_see_to_those_with_images() -> None:
    plain, seeing = model("a/plain", vision=False), model("b/seeing", vision=True)
    market = Market({each.id: [limit(100, QuotaWindow.DAY)] for each in (plain, seeing)})
    market.of(task())(plain)
    price = market.of(msgspec.structs.replace(task(), needs=Needs()), LATER)
    assert price(plain) < price(seeing)


@pytest.mark.proves("quota.bid-price")
def test_ids_that_share_a_pool_are_not_all_tried_for_it() -> None:
    first, second = model("a/first"), model("a/second")
    market = Market({"a": [limit(1_000, QuotaWindow.DAY)]}, of_provider)
    for each in (first, second):
        market.of(task())(each)
    market.prices.asked(first, LATER)
    price = market.of(task(), LATER + timedelta(seconds=1))
    assert price(first) < price(second)


@pytest.mark.proves("quota.bid-price", "quota.price")
@pytest.mark.parametrize("window", [QuotaWindow.MINUTE, QuotaWindow.DAY])
def test_what_allows_nothing_is_shown_and_priced_as_used_up(window: QuotaWindow) -> None:
    one = model("a/m")
    market = Market({one.id: [limit(0, window)]})
    (row,) = market.book.rows(NOON, own_pool(one))
    assert row.price == 1
    assert market.of(task())(one) == pytest.approx(1, abs=1e-5)


@pytest.mark.proves("quota.bid-price")
def test_nothing_is_paid_for_what_nobody_counts() -> None:
    here = model("here/m")
    market = Market({}, lambda _: ())
    assert market.of(task())(here) == 0


@pytest.mark.proves("quota.bid-price")
@given(
    amount=st.integers(1, 20_000),
    used=st.integers(0, 300),
    window=st.sampled_from(
        [QuotaWindow.MINUTE, QuotaWindow.HOUR, QuotaWindow.SESSION, QuotaWindow.DAY]
    ),
    metric=st.sampled_from(["requests", "tokens"]),
    tokens=st.integers(1, 200_000),
)
def test_a_price_is_between_nothing_and_all_and_never_falls_with_use(
    amount: int, used: int, window: QuotaWindow, metric: str, tokens: int
) -> None:
    one = model("a/m")
    fresh = Market({one.id: [limit(amount, window, metric)]})
    before = fresh.of(sized(tokens))(one)
    drawn = Market({one.id: [limit(amount, window, metric)]})
    need = Need(input_tokens=1)
    for _ in range(used):
        drawn.book.reserve(own_pool(one), need, NOON)
    after = drawn.of(sized(tokens))(one)
    assert 0 <= before <= after <= 1


@pytest.mark.proves("quota.bid-price", "routing.selection")
def test_the_price_moves_neighbours_in_the_plan_and_is_said() -> None:
    scarce, plenty = model("a/m", quality={"code": 0.81}), model("b/m", quality={"code": 0.80})
    market = Market(
        {scarce.id: [limit(20, QuotaWindow.DAY)], plenty.id: [limit(40, QuotaWindow.MINUTE)]}
    )
    market.use(scarce, 15)
    snapshot = Snapshot(models=(scarce, plenty))
    without = plan(task(), snapshot, RoutePolicy())
    priced = plan(task(), snapshot, RoutePolicy(), prices=market.of(task()))
    assert [each.model.id for each in without.candidates] == ["a/m", "b/m"]
    assert [each.model.id for each in priced.candidates] == ["b/m", "a/m"]
    last = priced.candidates[-1]
    assert last.terms["quota"] < 0
    assert last.score == pytest.approx(sum(last.terms.values()))
    assert "scarcity of its quota -0." in last.reason


@pytest.mark.proves("quota.bid-price")
def test_the_id_that_was_asked_last_stays_cheap_however_long_that_was_ago() -> None:
    first, second = model("a/first"), model("a/second")
    market = Market({"a": [limit(40, QuotaWindow.MINUTE)]}, of_provider)
    for each in (first, second):
        market.of(task())(each)
    market.prices.asked(first, NOON)
    price = market.of(task(), NOON + timedelta(hours=8))
    assert price(first) < 0.1 < price(second)
