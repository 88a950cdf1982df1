"""Whatever a caller puts into a request, its record can be stored and read back."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.records import answered, record
from ymera.storage.records import SqlRecordStore
from ymera.storage.rows import summary_from_row, to_row

any_text = st.text(st.characters(exclude_categories=()), max_size=300)  # lone surrogates too
times = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(max_examples=60)
@given(id_=any_text, model=any_text, agent=any_text, prompt=any_text)
def test_any_text_can_be_stored(id_: str, model: str, agent: str, prompt: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = SqlRecordStore(Path(folder) / "records.db")
        store.write_batch([record(id_, requested_model=model, agent=agent, prompt=prompt)])
        (summary,) = store.recent()
        found = store.get(summary.id)
        store.close()
    assert found is not None
    assert found.prompt is not None
    assert len(found.prompt) == len(prompt)


@given(times)
def test_times_come_back_to_the_microsecond(at: datetime) -> None:
    assert summary_from_row(to_row(record(at=at))).at == at


@given(st.decimals(min_value=0, max_value=10**6, places=9))
def test_stored_cost_is_never_below_and_never_a_micro_dollar_above(cost: Decimal) -> None:
    stored = summary_from_row(to_row(answered(cost_usd=cost))).cost_usd
    assert stored is not None
    assert Decimal(0) <= stored - cost < Decimal("0.000001")
