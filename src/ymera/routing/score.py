"""How good a model is for a task: catalogue facts, corrected a little by experience.

score = quality_weight * quality + speed_weight * speed + cost_weight * thrift
        + EXPERIENCE_WEIGHT * advantage + affinity - PRICE_WEIGHT * price

Quality, speed and thrift are 0..1; the advantage that experience gives a model is -0.5..0.5, and
0 for one never tried. Affinity is what staying with a conversation's model is worth
(`ymera.routing.affinity`), the price what the quota of a call is worth to later ones, 0..1
(`ymera.routing.prices`).
"""

from __future__ import annotations

from ymera.core.model import Model
from ymera.core.route import Candidate, RoutePolicy
from ymera.core.task import TaskComplexity, TaskProfile
from ymera.routing.filters import estimated_cost_usd
from ymera.routing.shapes import Shape, quality_key

__all__ = ["EXPERIENCE_WEIGHT", "PRICE_WEIGHT", "Scoring"]

EXPERIENCE_WEIGHT = 0.2
"""Moves a score by 0.1 at most, a tenth of its range.

That reorders neighbours, whose scores are some hundredths apart, and takes a model that keeps
failing out of its place. It does not lift a weak model that always answers over one that ranks
far better: that an answer came says little of how good it was.
"""

PRICE_WEIGHT = 0.2
"""What the last of a quota that comes back tomorrow weighs in points of the score."""

_FURTHEST_ADVANTAGE = 0.5

# Complexity moves this share of the smaller weight: hard tasks towards quality, easy ones
# towards speed. A policy that wants only one of them (`best`) is left alone.
_SHIFT = {TaskComplexity.SIMPLE: -1.0, TaskComplexity.MEDIUM: 0.0, TaskComplexity.COMPLEX: 1.0}


class Scoring:
    """Scores models for one task.

    Args:
        profile: the task.
        policy: the setting of the decision.
    """

    __slots__ = ("_key", "_policy", "_profile", "_quality_weight", "_share", "_speed_weight")

    def __init__(self, profile: TaskProfile, policy: RoutePolicy) -> None:
        shift = _SHIFT[profile.complexity] * policy.quality_weight * policy.speed_weight
        self._quality_weight = policy.quality_weight + shift
        self._speed_weight = policy.speed_weight - shift
        self._key = quality_key(profile)
        self._share = profile.type_probability
        self._profile = profile
        self._policy = policy

    def candidate(
        self, shape: Shape, advantage: float = 0.0, *, staying: float = 0.0, price: float = 0.0
    ) -> Candidate:
        """Return a model as a candidate; its reason is written once its rank is known.

        Args:
            shape: the model.
            advantage: what experience speaks for or against it, -0.5..0.5; 0 = nothing.
            staying: bonus of the model that answered this conversation's last turn; below 0 for
                one that the conversation will soon have to leave; 0 for others.
            price: what the quota that a call would use is worth to later calls, 0..1.
        """
        terms = {
            "quality": self._quality_weight * shape.quality(self._key, self._share),
            "speed": self._speed_weight * shape.speed,
        }
        if self._policy.cost_weight:
            thrift = _thrift(shape.model, self._profile, self._policy)
            terms["thrift"] = self._policy.cost_weight * thrift
        if advantage:
            if not -_FURTHEST_ADVANTAGE <= advantage <= _FURTHEST_ADVANTAGE:
                advantage = _FURTHEST_ADVANTAGE if advantage > 0 else -_FURTHEST_ADVANTAGE
            terms["experience"] = EXPERIENCE_WEIGHT * advantage
        if staying:
            terms["affinity" if staying > 0 else "outgrown"] = staying
        if price:
            terms["quota"] = -PRICE_WEIGHT * price
        return Candidate(model=shape.model, score=sum(terms.values()), terms=terms, reason="")

    def reason(self, place: int, candidate: Candidate, shape: Shape, *, alone: bool) -> str:
        """Return one sentence for people: why this model stands at this place.

        Args:
            place: 1 = asked first.
            candidate: the candidate.
            shape: its model.
            alone: whether it is the only model that can be asked.
        """
        facts = shape.facts(self._key)
        if len(candidate.terms) > _PLAIN_TERMS:
            facts += _besides(candidate.terms)
        if alone:
            return f"Only model that can be asked now: {facts}."
        kind = "free" if shape.model.free.may_auto_route else "paid"
        if place == 1:
            return f"Best {kind} model here for {self._profile.type}: {facts}."
        return f"Number {place} for {self._profile.type}, {kind}: {facts}."


_PLAIN_TERMS = 2
"""Quality and speed, which every candidate has."""

_SAID = {
    "experience": "experience",
    "affinity": "answered this conversation's last turn",
    "outgrown": "too few tokens a minute for the next turns",
    "quota": "scarcity of its quota",
}


def _besides(terms: dict[str, float]) -> str:
    """Return what besides quality and speed moved a score."""
    said = ""
    for name, value in terms.items():
        if value and name in _SAID:
            said += f", {_SAID[name]} {value:+.3f}"
    return said


def _thrift(model: Model, profile: TaskProfile, policy: RoutePolicy) -> float:
    """Return the share of the budget that is left over, 0..1; 1 for free models."""
    cost = estimated_cost_usd(model, profile)
    if not cost or policy.max_cost_usd <= 0:
        return 1.0
    return max(0.0, 1 - float(cost / policy.max_cost_usd))
