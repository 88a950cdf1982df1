"""Quotas over restarts, and shared by processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from ymera.core.quota import Limit, LimitSource, MeterState, PoolKey, QuotaMetric, QuotaWindow
from ymera.storage.quota import SqlQuotaStore, merged
from ymera.storage.records import SqlRecordStore
from ymera.storage.schema import quotas

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
SECOND = 1_000_000
POOL = PoolKey("sim", "account", "sim/plain")


def state(
    *uses: tuple[int, int],
    window: QuotaWindow = QuotaWindow.MINUTE,
    zone: str | None = None,
    learned: Limit | None = None,
    closed_until_us: int = 0,
) -> MeterState:
    return MeterState(
        pool=POOL,
        metric=QuotaMetric.REQUESTS,
        window=window,
        zone=zone,
        uses=uses,
        learned=learned,
        closed_until_us=closed_until_us,
    )


def used(found: MeterState) -> int:
    return sum(amount for _, amount in found.uses)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqlRecordStore]:
    store = SqlRecordStore(tmp_path / "records.db")
    yield store
    store.close()


@pytest.mark.proves("quota.kept")
def test_what_was_added_is_there_after_a_restart(records: SqlRecordStore, tmp_path: Path) -> None:
    learned = Limit(
        metric=QuotaMetric.REQUESTS,
        window=QuotaWindow.MINUTE,
        amount=20,
        source=LimitSource.HEADER,
        confidence=0.95,
        expires_at=NOON + timedelta(days=7),
    )
    change = state((NOON_US, 2), learned=learned, closed_until_us=NOON_US + SECOND)
    SqlQuotaStore(records).add([change], NOON)
    records.close()
    again = SqlRecordStore(tmp_path / "records.db")
    assert SqlQuotaStore(again).load() == [change]
    again.close()


@pytest.mark.proves("quota.two-processes")
def test_differences_of_two_processes_add_up(records: SqlRecordStore, tmp_path: Path) -> None:
    other_records = SqlRecordStore(tmp_path / "records.db")
    mine, other = SqlQuotaStore(records), SqlQuotaStore(other_records)
    told: list[MeterState] = []
    for _ in range(5):
        mine.add([state((NOON_US, 3))], NOON)
        told = other.add([state((NOON_US + SECOND, 1), (NOON_US, -1))], NOON)
    assert [used(row) for row in told] == [used(row) for row in mine.load()] == [15]
    other_records.close()


@pytest.mark.proves("quota.two-processes")
@pytest.mark.chaos
def test_processes_that_write_at_the_same_time_lose_nothing(
    records: SqlRecordStore, tmp_path: Path
) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from tests.unit.storage.test_quota_store import NOON, NOON_US, SqlQuotaStore, SqlRecordStore, state
records = SqlRecordStore(Path({str(tmp_path)!r}) / "records.db")
for _ in range(40):
    SqlQuotaStore(records).add([state((NOON_US, 1))], NOON)
records.close()
"""
    writers = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert used(SqlQuotaStore(records).load()[0]) == 120


def test_a_row_that_cannot_be_read_is_passed_over(records: SqlRecordStore) -> None:
    store = SqlQuotaStore(records)
    store.add([state((NOON_US, 1)), state((NOON_US, 1), window=QuotaWindow.DAY)], NOON)
    with records.database().writing() as connection:
        connection.execute(update(quotas).where(quotas.c.window == "day").values(state="{}"))
    assert [each.window for each in store.load()] == [QuotaWindow.MINUTE]
    store.add([state((NOON_US, 4), window=QuotaWindow.DAY)], NOON)
    assert sorted(used(each) for each in store.load()) == [1, 4]


def test_what_nobody_used_for_months_is_removed(records: SqlRecordStore) -> None:
    store = SqlQuotaStore(records)
    store.add([state((NOON_US, 1), window=QuotaWindow.DAY)], NOON)
    store.add([state((NOON_US, 1))], NOON + timedelta(days=63))
    assert [each.window for each in store.load()] == [QuotaWindow.MINUTE]


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(-5, 9)), max_size=40))
def test_adding_differences_never_loses_or_invents_uses(steps: list[tuple[int, int]]) -> None:
    stored: MeterState | None = None
    expected = 0
    for second, amount in steps:
        stored = merged(stored, state((NOON_US + second * SECOND, amount)), NOON_US)
        expected = max(expected + amount, 0)
        assert used(stored) == expected
        assert all(amount > 0 for _, amount in stored.uses)


def test_uses_that_lapsed_are_dropped_and_many_are_joined_under_the_later_time() -> None:
    old = state((NOON_US - 61 * SECOND, 7))
    assert used(merged(old, state((NOON_US, 1)), NOON_US)) == 1
    many = state(*((NOON_US + i * 1000, 1) for i in range(1_000)))
    joined = merged(None, many, NOON_US)
    assert (len(joined.uses) <= 96, used(joined)) == (True, 1_000)
    assert joined.uses[-1][0] == NOON_US + 999_000


def test_of_a_calendar_window_only_the_newest_counts() -> None:
    day = 86_400 * SECOND
    yesterday = state((NOON_US - day, 50), window=QuotaWindow.DAY, zone="UTC")
    today = state((NOON_US, 2), window=QuotaWindow.DAY, zone="UTC")
    assert used(merged(yesterday, today, NOON_US)) == 2
    assert used(merged(today, yesterday, NOON_US)) == 2


def test_uses_counted_in_another_zone_are_not_mixed_in() -> None:
    utc = state((NOON_US, 5), window=QuotaWindow.DAY, zone="UTC")
    rolling = state((NOON_US, 1), window=QuotaWindow.DAY)
    assert used(merged(utc, rolling, NOON_US)) == 1


def test_a_process_that_learned_nothing_does_not_forget_what_another_did() -> None:
    learned = Limit(metric=QuotaMetric.REQUESTS, window=QuotaWindow.MINUTE, amount=5)
    known = state((NOON_US, 1), learned=learned, closed_until_us=NOON_US + 5)
    found = merged(known, state((NOON_US, 1)), NOON_US)
    assert (found.learned, found.closed_until_us) == (learned, NOON_US + 5)
    assert msgspec.json.decode(msgspec.json.encode(found), type=MeterState) == found
