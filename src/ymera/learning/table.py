"""What is known of each model by agent and task type, bounded, and what changes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from ymera.learning.math.ema import (
    LEARNING_RATE,
    ModelStats,
    advantage,
    observed,
    rated,
    rerated,
)

__all__ = ["CAPACITY", "Key", "Outcome", "Rating", "Table"]

CAPACITY = 2_000
"""Rows held at most: some 40 models, 14 task types and a handful of agents fit."""

_NOTHING: Mapping[str, float] = MappingProxyType({})
_UNKNOWN = ModelStats()


class Key(NamedTuple):
    """What a row is about; its text is the document's key of `performance_matrix`."""

    agent: str
    task_type: str
    model: str

    def __str__(self) -> str:
        return f"{self.agent}:{self.task_type}:{self.model}"


class Outcome(msgspec.Struct, frozen=True):
    """A model was asked: whether it answered, and the seconds it took (at least 0)."""

    key: Key
    success: bool
    time_s: float


class Rating(msgspec.Struct, frozen=True):
    """An answer was rated 1..5; `instead_of` is the rating it had before, None for its first."""

    key: Key
    rating: float
    instead_of: float | None = None


class Table:
    """Rows in the order they last changed; over `capacity` the longest unchanged one goes.

    Not for several threads at once. What `advantages` returned never changes afterwards.

    Args:
        rows: to begin with, the longest unchanged first.
        rate: weight of the newest observation, above 0 and at most 1.
        capacity: rows held at most, at least 1.

    Attributes:
        rate: may be set.
    """

    def __init__(
        self,
        rows: Iterable[tuple[Key, ModelStats]] = (),
        *,
        rate: float = LEARNING_RATE,
        capacity: int = CAPACITY,
    ) -> None:
        self.rate = rate
        self._capacity = capacity
        self._rows: dict[Key, ModelStats] = {}
        self._advantages: dict[tuple[str, str], dict[str, float]] = {}
        for key, stats in rows:  # nobody reads yet, so nothing is copied
            self._rows[key] = stats
            self._advantages.setdefault((key.agent, key.task_type), {})[key.model] = advantage(
                stats
            )
        while len(self._rows) > capacity:
            self._forget(next(iter(self._rows)))

    @property
    def rows(self) -> Mapping[Key, ModelStats]:
        """Every row, the longest unchanged first."""
        return MappingProxyType(self._rows)

    def advantages(self, agent: str, task_type: str) -> Mapping[str, float]:
        """Return the learned advantage by model, -0.5..0.5; a model without history is absent."""
        return self._advantages.get((agent, task_type), _NOTHING)

    def apply(self, event: Outcome | Rating) -> None:
        """Take in one event."""
        stats = self._rows.get(event.key, _UNKNOWN)
        if isinstance(event, Outcome):
            stats = observed(stats, success=event.success, time_s=event.time_s, rate=self.rate)
        elif event.instead_of is None:
            stats = rated(stats, event.rating, rate=self.rate)
        else:
            stats = rerated(stats, event.rating, event.instead_of, rate=self.rate)
        self._put(event.key, stats)

    def _put(self, key: Key, stats: ModelStats) -> None:
        self._rows.pop(key, None)
        self._rows[key] = stats
        pair = (key.agent, key.task_type)
        self._advantages[pair] = {**self._advantages.get(pair, {}), key.model: advantage(stats)}
        if len(self._rows) > self._capacity:
            self._forget(next(iter(self._rows)))

    def _forget(self, key: Key) -> None:
        del self._rows[key]
        pair = (key.agent, key.task_type)
        kept = {name: value for name, value in self._advantages[pair].items() if name != key.model}
        if kept:
            self._advantages[pair] = kept
        else:
            del self._advantages[pair]
