"""Percentiles: exact while few, within the promised error beyond, and sketches that add up."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from ddsketch import LogCollapsingLowestDenseDDSketch
from hypothesis import given
from hypothesis import strategies as st

from ymera.monitoring.latency import RELATIVE_ERROR, WINDOW, LatencySummary, LatencyWindow

times = st.floats(0.0001, 3_600)


def summary_of(values: list[float]) -> LatencySummary:
    window = LatencyWindow()
    for value in values:
        window.add(value)
    return window.summary()


@pytest.mark.proves("metrics.percentiles", "document.metrics-times")
@given(values=st.lists(times, max_size=130))
def test_few_times_give_the_documents_numbers(values: list[float]) -> None:
    found, count = summary_of(values), len(values)
    assert found.samples == count
    assert found.mean == pytest.approx(statistics.mean(values) if values else 0)
    assert found.p50 == (statistics.median(values) if values else 0)
    assert found.p95 == (statistics.quantiles(values, n=20)[18] if count > 20 else 0)
    assert found.p99 == (statistics.quantiles(values, n=100)[98] if count > 100 else 0)


@pytest.mark.proves("metrics.percentiles")
@given(seed=st.integers(0, 2**32), count=st.integers(251, 1_900), spread=st.floats(0.1, 3))
def test_many_times_are_within_one_percent_of_the_exact_quantile(
    seed: int, count: int, spread: float
) -> None:
    chance = random.Random(seed)
    values = [chance.lognormvariate(0, spread) for _ in range(count)]
    found, ranked = summary_of(values), sorted(values)
    assert found.samples == count
    assert found.mean == pytest.approx(statistics.fmean(values))
    for share, told in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        exact = ranked[math.floor(share * (count - 1))]
        assert told == pytest.approx(exact, rel=RELATIVE_ERROR * 1.0001)


@pytest.mark.proves("metrics.percentiles")
def test_the_window_forgets_what_is_long_ago() -> None:
    window = LatencyWindow()
    for _ in range(5_000):
        window.add(60.0)
    for _ in range(2 * WINDOW):
        window.add(1.0)
    found = window.summary()
    assert WINDOW <= found.samples < 2 * WINDOW
    assert found.mean == pytest.approx(1.0)
    assert found.p99 == pytest.approx(1.0, rel=RELATIVE_ERROR)


@given(left=st.lists(times, min_size=1), right=st.lists(times, min_size=1))
def test_merged_sketches_are_the_same_either_way(left: list[float], right: list[float]) -> None:
    def merged(first: list[float], second: list[float]) -> LogCollapsingLowestDenseDDSketch:
        one, other = (LogCollapsingLowestDenseDDSketch(RELATIVE_ERROR) for _ in range(2))
        for value in first:
            one.add(value)
        for value in second:
            other.add(value)
        one.merge(other)
        return one

    a, b = merged(left, right), merged(right, left)
    assert a.count == b.count == len(left) + len(right)
    for share in (0.0, 0.25, 0.5, 0.95, 1.0):
        assert a.get_quantile_value(share) == b.get_quantile_value(share)
