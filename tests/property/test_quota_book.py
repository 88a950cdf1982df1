"""The book over any sequence of calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.quota import Limit, LimitSeen, LimitSource, Need, PoolKey, QuotaMetric, QuotaWindow
from ymera.core.usage import Usage
from ymera.routing.quota import QuotaBook, Ticket

START = datetime(2026, 3, 8, 7, 30, tzinfo=UTC)  # half an hour before a day of 23 hours
POOL = (PoolKey("sim"),)
ZONE = ZoneInfo("America/Los_Angeles")
REQUESTS, TOKENS = QuotaMetric.REQUESTS, QuotaMetric.TOKENS

LIMITS = (
    Limit(metric=REQUESTS, window=QuotaWindow.MINUTE, amount=5),
    Limit(metric=TOKENS, window=QuotaWindow.MINUTE, amount=900),
    Limit(metric=REQUESTS, window=QuotaWindow.DAY, amount=30, zone="America/Los_Angeles"),
)


@dataclass(frozen=True)
class Step:
    after_s: int
    estimate: int
    real: int
    ending: str
    lasts: int
    """Steps until it ends."""


STEPS = st.lists(
    st.builds(
        Step,
        after_s=st.integers(0, 3_000),
        estimate=st.integers(1, 400),
        real=st.integers(0, 400),
        ending=st.sampled_from(["counted", "not counted", "released", "usage unknown"]),
        lasts=st.integers(0, 3),
    ),
    max_size=60,
)


@dataclass
class Told:
    """A call as a ledger of the test's own has it."""

    at: datetime
    tokens: int
    requests: int = 1


def new_book() -> QuotaBook:
    return QuotaBook(lambda _: LIMITS, zones=ZoneInfo, keep_changes=True)


def end(book: QuotaBook, ticket: Ticket, step: Step, told: Told, now: datetime) -> None:
    real = min(step.real, step.estimate) if told.at != now else step.real
    if step.ending == "released":
        book.release(ticket, now)
        told.requests = told.tokens = 0
    elif step.ending == "not counted":
        book.settle(ticket, Usage(input_tokens=real), now, counted=False)
        told.requests = told.tokens = 0
    elif step.ending == "usage unknown":
        book.settle(ticket, None, now, counted=True)
    else:
        book.settle(ticket, Usage(input_tokens=real), now, counted=True)
        told.tokens = real


@pytest.mark.proves("quota.settle")
@given(STEPS)
def test_the_book_counts_exactly_what_was_called_and_grants_no_more(steps: list[Step]) -> None:
    book, now, ledger = new_book(), START, list[Told]()
    under_way: list[tuple[int, Ticket, Step, Told]] = []
    for number, step in enumerate(steps):
        now += timedelta(seconds=step.after_s)
        for due in [each for each in under_way if each[0] <= number]:
            under_way.remove(due)
            end(book, *due[1:], now)
        need = Need(input_tokens=step.estimate)
        if book.check(POOL, need, now) is None:
            told = Told(now, step.estimate)
            under_way.append((number + step.lasts, book.reserve(POOL, need, now), step, told))
            ledger.append(told)
        minute = [t for t in ledger if now - t.at < timedelta(minutes=1)]
        today = [t for t in ledger if t.at.astimezone(ZONE).date() == now.astimezone(ZONE).date()]
        rows = {(row.metric, row.window): row for row in book.rows(now)}
        assert rows[REQUESTS, QuotaWindow.MINUTE].used == sum(t.requests for t in minute) <= 5
        assert rows[TOKENS, QuotaWindow.MINUTE].used == sum(t.tokens for t in minute)
        assert rows[REQUESTS, QuotaWindow.DAY].used == sum(t.requests for t in today) <= 30


@given(STEPS)
def test_differences_given_to_the_store_add_up_to_what_the_book_holds(steps: list[Step]) -> None:
    book, now = new_book(), START
    kept: dict[tuple[QuotaMetric, QuotaWindow], int] = {}
    for step in steps[:20]:
        ticket = book.reserve(POOL, Need(input_tokens=step.estimate), now)
        end(book, ticket, step, Told(now, step.estimate), now)
        for change in book.drain():
            key = change.metric, change.window
            kept[key] = kept.get(key, 0) + sum(amount for _, amount in change.uses)
    for row in book.rows(now):
        assert kept.get((row.metric, row.window), 0) == row.used


SEEN = st.builds(
    LimitSeen,
    metric=st.sampled_from(QuotaMetric),
    window=st.sampled_from(QuotaWindow),
    limit=st.none() | st.integers(0, 10**12),
    remaining=st.none() | st.integers(0, 10**12),
    reset_s=st.none() | st.floats(0, 62 * 86_400),
    source=st.sampled_from([LimitSource.HEADER, LimitSource.ERROR]),
    of_model=st.none() | st.booleans(),
)


@pytest.mark.proves("quota.learned")
@given(st.lists(st.tuples(st.integers(0, 10**6), SEEN), max_size=30))
def test_whatever_answers_tell_nothing_is_closed_for_ever_and_no_more_than_the_limit_is_left(
    told: list[tuple[int, LimitSeen]],
) -> None:
    book, now = new_book(), START
    for after_s, seen in told:
        now += timedelta(seconds=after_s)
        ticket = book.reserve(POOL, Need(input_tokens=10), now)
        book.learn(POOL, [seen], now)
        book.settle(ticket, None, now, counted=True)
        for row in book.rows(now):
            assert row.limit is None or row.left is None or 0 <= row.left <= row.limit
            assert 0 <= row.price <= 1
            assert row.used >= 0
    later = now + timedelta(days=63)
    assert book.check(POOL, Need(input_tokens=10), later) is None
