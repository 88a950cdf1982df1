"""The running totals."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.records import answered, record
from ymera.monitoring.counters import Counters, CountersSnapshot


@pytest.mark.proves("engine.metrics", "core.unknown-cost")
async def test_totals_follow_every_request() -> None:
    counters = Counters()
    counters.emit(answered())
    counters.emit(answered(model_id="b/z", provider="b", usage=None, cost_usd=None))
    counters.emit(answered(model_id="b/z", provider=None, error_code="provider_error"))
    counters.emit(record(error_code="no_route", latency_s=0.1))
    await counters.close()

    snapshot = counters.snapshot()

    assert snapshot == CountersSnapshot(
        requests=4,
        succeeded=2,
        failed=2,
        by_model={"local/tiny": 1, "b/z": 2},
        by_provider={"local": 1, "b": 1},
        by_error={"provider_error": 1, "no_route": 1},
        input_tokens=22,
        output_tokens=44,
        usage_unknown=1,
        cost_usd=Decimal("0.002468"),
        cost_known=2,
        cost_unknown=1,
        latency_s=pytest.approx(2.5),  # type: ignore[arg-type]
    )


def test_a_snapshot_does_not_change_afterwards() -> None:
    counters = Counters()
    before = counters.snapshot()
    counters.emit(answered())
    assert before.by_model == {}
    assert before.requests == 0
