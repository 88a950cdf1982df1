"""Averages that favour what happened last, and two scores made from them.

`ema_score` is the formula of the user's document (task 2), to the letter. `advantage` is what the
router uses. They differ where the formula would mislead a router:

- The formula counts a missing rating as 0 of 5. A model that never fails but that nobody rated
  then scores 0.4 + 0.3 / (seconds + 1): below the neutral 0.5 of a model never tried as soon as it
  takes longer than two seconds. For the router a missing rating is a middling one.
- The formula credits a call that fails at once, or an answer that everybody rates worst, with
  its speed. For the router neither is worth anything for being quick.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = [
    "HALF_TRUST_EXECUTIONS",
    "LEARNING_RATE",
    "MAX_RATING",
    "MIN_RATING",
    "NEUTRAL",
    "ModelStats",
    "advantage",
    "ema_score",
    "observed",
    "rated",
    "rerated",
]

LEARNING_RATE = 0.1
"""Weight of the newest observation in an average (the document's value)."""

NEUTRAL = 0.5
"""Score of a model without any history (the document's value)."""

MIN_RATING, MAX_RATING = 1.0, 5.0

HALF_TRUST_EXECUTIONS = 5
"""After so many executions the router believes half of what they say."""

_SUCCESS_WEIGHT, _SPEED_WEIGHT, _RATING_WEIGHT = 0.4, 0.3, 0.3
_MIDDLING_RATING = MAX_RATING / 2
_GOOD_RATING = 4.0


class ModelStats(msgspec.Struct, frozen=True, kw_only=True):
    """How one model did on one task type for one agent.

    Attributes:
        executions: times it was asked.
        successes: times it answered, at most `executions`.
        avg_time: moving average of the seconds a call took, failed ones included; 0 before the
            first, and it starts at the first.
        avg_rating: moving average of the ratings, 1..5; 0 before the first, and it starts at the
            first.
        ratings: number of ratings.
    """

    executions: Annotated[int, msgspec.Meta(ge=0)] = 0
    successes: Annotated[int, msgspec.Meta(ge=0)] = 0
    avg_time: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    avg_rating: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.0
    ratings: Annotated[int, msgspec.Meta(ge=0)] = 0


def observed(
    stats: ModelStats, *, success: bool, time_s: float, rate: float = LEARNING_RATE
) -> ModelStats:
    """Return `stats` with one more execution of `time_s` seconds (at least 0).

    Args:
        stats: so far.
        success: whether the model answered.
        time_s: seconds the call took.
        rate: weight of this observation in the averages, above 0 and at most 1.
    """
    first = stats.executions == 0
    return ModelStats(
        executions=stats.executions + 1,
        successes=stats.successes + success,
        avg_time=time_s if first else _moved(stats.avg_time, time_s, rate),
        avg_rating=stats.avg_rating,
        ratings=stats.ratings,
    )


def rated(stats: ModelStats, rating: float, *, rate: float = LEARNING_RATE) -> ModelStats:
    """Return `stats` with one more rating, 1..5."""
    first = stats.ratings == 0
    return msgspec.structs.replace(
        stats,
        avg_rating=rating if first else _moved(stats.avg_rating, rating, rate),
        ratings=stats.ratings + 1,
    )


def rerated(
    stats: ModelStats, rating: float, instead_of: float, *, rate: float = LEARNING_RATE
) -> ModelStats:
    """Return `stats` with a rating changed from `instead_of` to `rating`, both 1..5.

    Exact for the only rating and for the newest one. The weight that an older one still has is
    not known; it is moved like the newest, and stays within 1..5.
    """
    if stats.ratings == 0:
        return rated(stats, rating, rate=rate)
    weight = 1.0 if stats.ratings == 1 else rate
    moved = stats.avg_rating + weight * (rating - instead_of)
    return msgspec.structs.replace(stats, avg_rating=min(max(moved, MIN_RATING), MAX_RATING))


def ema_score(stats: ModelStats | None) -> float:
    """Return the document's score, 0..1; 0.5 without history, a missing rating counts as 0.

    0.4 * successes / executions + 0.3 / (avg_time + 1) + 0.3 * avg_rating / 5
    """
    if stats is None or not stats.executions:
        return NEUTRAL
    return (
        _SUCCESS_WEIGHT * _success_rate(stats)
        + _SPEED_WEIGHT * _speed(stats)
        + _RATING_WEIGHT * stats.avg_rating / MAX_RATING
    )


def advantage(stats: ModelStats) -> float:
    """Return what experience speaks for (above 0) or against a model, -0.5..0.5; 0 = nothing.

    good * (0.4 + 0.3 / (avg_time + 1)) + 0.3 * rating / 5 - 0.5

    `good` is the share of calls that were answered, times the share of answers that were any
    good: all of them unless ratings say otherwise, then avg_rating / 4 up to 1. Without a rating
    `rating` is 2.5. The result is shrunk towards 0 while there is little evidence, by half after
    `HALF_TRUST_EXECUTIONS`, so that one broken connection condemns no model. A model that was
    rated but not asked yet is judged as if it had answered every other time.
    """
    answered = _success_rate(stats) if stats.executions else NEUTRAL
    speed = _speed(stats) if stats.executions else 1.0
    good, rating = answered, _MIDDLING_RATING
    if stats.ratings:
        rating = stats.avg_rating
        good *= min(1.0, rating / _GOOD_RATING)
    worth = good * (_SUCCESS_WEIGHT + _SPEED_WEIGHT * speed) + _RATING_WEIGHT * rating / MAX_RATING
    evidence = stats.executions + stats.ratings
    return (worth - NEUTRAL) * evidence / (evidence + HALF_TRUST_EXECUTIONS)


def _moved(average: float, value: float, rate: float) -> float:
    return rate * value + (1 - rate) * average


def _success_rate(stats: ModelStats) -> float:
    return stats.successes / stats.executions


def _speed(stats: ModelStats) -> float:
    return 1 / (stats.avg_time + 1)
