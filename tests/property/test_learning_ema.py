"""The averages and scores of learning, for any history."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.learning.math.ema import (
    HALF_TRUST_EXECUTIONS,
    NEUTRAL,
    ModelStats,
    advantage,
    ema_score,
    observed,
    rated,
    rerated,
)

seconds = st.floats(0, 1e6)
ratings = st.floats(1, 5)
rates = st.floats(0.001, 1)
executions = st.lists(st.tuples(st.booleans(), seconds), min_size=1, max_size=50)


def after(history: Iterable[tuple[bool, float]], rate: float = 0.1) -> ModelStats:
    stats = ModelStats()
    for success, time_s in history:
        stats = observed(stats, success=success, time_s=time_s, rate=rate)
    return stats


def document_score(stats: ModelStats) -> float:
    """The formula of task 2, written out again."""
    success_rate = stats.successes / stats.executions
    speed_score = 1.0 / (stats.avg_time + 1.0)
    rating_score = stats.avg_rating / 5.0
    return 0.4 * success_rate + 0.3 * speed_score + 0.3 * rating_score


@pytest.mark.proves("learning.averages")
@given(history=executions, rate=rates)
def test_an_average_starts_at_its_first_observation_and_stays_among_them(
    history: list[tuple[bool, float]], rate: float
) -> None:
    times = [time_s for _, time_s in history]
    assert after(history[:1], rate).avg_time == times[0]
    slack = 1e-9 * max(times)
    assert min(times) - slack <= after(history, rate).avg_time <= max(times) + slack


@pytest.mark.proves("learning.averages")
@given(history=executions)
def test_every_execution_is_counted(history: list[tuple[bool, float]]) -> None:
    stats = after(history)
    assert stats.executions == len(history)
    assert stats.successes == sum(success for success, _ in history)


@pytest.mark.proves("learning.formula", "document.training-formula")
@given(history=executions, given_ratings=st.lists(ratings, max_size=20))
def test_the_score_is_the_documents_formula(
    history: list[tuple[bool, float]], given_ratings: list[float]
) -> None:
    stats = after(history)
    for rating in given_ratings:
        stats = rated(stats, rating)
    assert ema_score(stats) == pytest.approx(document_score(stats))
    assert 0 <= ema_score(stats) <= 1


@pytest.mark.proves("learning.formula", "document.training-formula")
def test_no_history_is_neutral_and_a_missing_rating_counts_as_nothing() -> None:
    assert ema_score(None) == ema_score(ModelStats()) == NEUTRAL == 0.5
    reliable = after([(True, 4.0)] * 10)
    assert ema_score(reliable) == pytest.approx(0.4 + 0.3 / 5)
    assert ema_score(reliable) < NEUTRAL  # the consequence docs/learning.md tells of


@pytest.mark.proves("learning.advantage")
@given(history=executions, given_ratings=st.lists(ratings, max_size=20))
def test_the_advantage_is_bounded_and_nothing_without_history(
    history: list[tuple[bool, float]], given_ratings: list[float]
) -> None:
    stats = after(history)
    for rating in given_ratings:
        stats = rated(stats, rating)
    assert -0.5 <= advantage(stats) <= 0.5
    assert advantage(ModelStats()) == 0


@pytest.mark.proves("learning.advantage")
@given(count=st.integers(1, 500), time_s=seconds)
def test_a_model_that_never_failed_is_not_worse_off_than_one_never_tried(
    count: int, time_s: float
) -> None:
    assert advantage(after([(True, time_s)] * count)) > 0


@pytest.mark.proves("learning.advantage")
@given(count=st.integers(1, 500), time_s=seconds)
def test_a_model_that_always_fails_loses_however_quickly_it_does(count: int, time_s: float) -> None:
    stats = after([(False, time_s)] * count)
    expected = (0.15 - NEUTRAL) * count / (count + HALF_TRUST_EXECUTIONS)
    assert advantage(stats) == pytest.approx(expected)


@pytest.mark.proves("learning.advantage")
@given(history=executions, low=ratings, high=ratings)
def test_a_better_rating_never_lowers_the_advantage(
    history: list[tuple[bool, float]], low: float, high: float
) -> None:
    low, high = sorted((low, high))
    stats = after(history)
    assert advantage(rated(stats, low)) <= advantage(rated(stats, high)) + 1e-12


@pytest.mark.proves("learning.advantage")
@given(count=st.integers(1, 500), time_s=seconds)
def test_answers_that_everybody_rates_worst_lose_however_quick_they_are(
    count: int, time_s: float
) -> None:
    stats = after([(True, time_s)] * count)
    for _ in range(count):
        stats = rated(stats, 1.0)
    assert advantage(stats) < 0


@pytest.mark.proves("feedback.replaced")
@given(earlier=st.lists(ratings, max_size=10), first=ratings, second=ratings)
def test_changing_the_newest_rating_is_as_if_it_had_been_given_at_once(
    earlier: list[float], first: float, second: float
) -> None:
    stats = ModelStats()
    for rating in earlier:
        stats = rated(stats, rating)
    changed = rerated(rated(stats, first), second, first)
    assert changed.ratings == len(earlier) + 1
    assert changed.avg_rating == pytest.approx(rated(stats, second).avg_rating)
