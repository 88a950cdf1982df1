"""Ratings in the database, and what stored requests add up to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect, update

from tests.support.records import NOON, answered, record
from ymera.storage.feedback import Feedback, SqlFeedbackStore
from ymera.storage.records import SqlRecordStore
from ymera.storage.schema import SCHEMA_VERSION, feedback, requests, schema_version


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqlRecordStore]:
    store = SqlRecordStore(tmp_path / "records.db")
    yield store
    store.close()


def said(request_id: str = "req-1", rating: float = 4.0, *, minutes: float = 0) -> Feedback:
    at = NOON + timedelta(minutes=minutes)
    return Feedback(request_id=request_id, at=at, rating=rating, comment="so so")


@pytest.mark.proves("feedback.stored")
def test_a_rating_is_stored_and_read_back(records: SqlRecordStore) -> None:
    store = SqlFeedbackStore(records)
    assert store.get("req-1") is None
    assert store.put(said()) is None
    assert store.get("req-1") == said()


@pytest.mark.proves("feedback.replaced")
def test_a_second_rating_replaces_the_first_and_tells_it(records: SqlRecordStore) -> None:
    store = SqlFeedbackStore(records)
    store.put(said())
    assert store.put(said(rating=1.0, minutes=5)) == said()
    assert store.get("req-1") == said(rating=1.0, minutes=5)


@pytest.mark.proves("retention.exact")
def test_only_ratings_from_before_are_deleted(records: SqlRecordStore) -> None:
    store = SqlFeedbackStore(records)
    for name, minutes in (("old", -1), ("edge", 0), ("new", 1)):
        store.put(said(name, minutes=minutes))
    assert store.delete_before(NOON) == 1
    assert [store.get(name) is not None for name in ("old", "edge", "new")] == [False, True, True]


@pytest.mark.proves("storage.upgrade")
def test_a_database_of_version_1_gets_the_table_and_keeps_its_records(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        requests.create(connection)
        schema_version.create(connection)
        connection.execute(schema_version.insert().values(version=1))
    first = SqlRecordStore(path)
    first.write_batch([answered("old")])
    assert SqlFeedbackStore(first).put(said("old")) is None
    assert first.get("old") is not None
    first.close()
    with engine.begin() as connection:
        assert inspect(connection).has_table(feedback.name)
        assert connection.execute(update(schema_version).values(version=SCHEMA_VERSION)).rowcount
    engine.dispose()


@pytest.mark.proves("storage.totals", "core.unknown-cost")
def test_totals_tell_known_from_unknown(records: SqlRecordStore) -> None:
    records.write_batch(
        [
            answered("a", minutes=-60),
            answered("b", usage=None, cost_usd=None, model_id="b/z", latency_s=3.0),
            answered("c", error_code="provider_error"),
            record("d", error_code="no_route"),
        ]
    )
    found = records.totals()
    assert (found.requests, found.succeeded, found.failed) == (4, 2, 2)
    assert found.models == {"local/tiny": 2, "b/z": 1}
    assert found.errors == {"no_route": 1, "provider_error": 1}
    assert (found.input_tokens, found.output_tokens, found.usage_unknown) == (22, 44, 1)
    assert found.cost_usd == Decimal("0.002468")
    assert (found.cost_known, found.cost_unknown) == (2, 1)
    assert (found.p50_latency_s, found.p95_latency_s) == (0.8, 3.0)
    assert records.totals(NOON).requests == 3
    assert records.totals(NOON + timedelta(days=1)).p50_latency_s is None


@pytest.mark.proves("storage.totals")
@given(times=st.lists(st.floats(0, 1_000), min_size=1, max_size=40))
def test_stored_percentiles_are_the_exact_nearest_rank(
    tmp_path_factory: pytest.TempPathFactory, times: list[float]
) -> None:
    store = SqlRecordStore(tmp_path_factory.mktemp("totals") / "records.db")
    store.write_batch([answered(f"r{n}", latency_s=time_s) for n, time_s in enumerate(times)])
    found = store.totals()
    store.close()
    for share, told in ((0.5, found.p50_latency_s), (0.95, found.p95_latency_s)):
        assert told is not None
        below = sum(time_s <= told for time_s in times)
        assert told in times
        assert below >= share * len(times)
        assert sum(time_s < told for time_s in times) < share * len(times)
