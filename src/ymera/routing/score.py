"""How good a model is for a task: catalogue facts, corrected a little by experience.

score = quality_weight * quality + speed_weight * speed + cost_weight * thrift
        + EXPERIENCE_WEIGHT * advantage + affinity

Quality, speed and thrift are 0..1; the advantage that experience gives a model is -0.5..0.5, and
0 for one never tried. Affinity is what staying with a conversation's model is worth
(`ymera.routing.affinity`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from ymera.core.model import Model
from ymera.core.route import Candidate, RoutePolicy
from ymera.core.task import TaskComplexity, TaskProfile, TaskType
from ymera.routing.filters import estimated_cost_usd

__all__ = ["EXPERIENCE_WEIGHT", "QUALITY_KEYS", "candidate_of", "quality_of", "reason_of"]

_GENERAL = "chat"
_LONG_CONTEXT = "long_context"
_LONG_PROMPT_TOKENS = 32_000

QUALITY_KEYS = {
    TaskType.TEXT_GENERATION: _GENERAL,
    TaskType.CHAT: _GENERAL,
    TaskType.CODE_GENERATION: "code",
    TaskType.CODE_ANALYSIS: "code",
    TaskType.REASONING: "reasoning_math",
    TaskType.QUESTION_ANSWERING: _GENERAL,
    TaskType.RESEARCH: _LONG_CONTEXT,
    TaskType.DATA_ANALYSIS: "reasoning_math",
    TaskType.DATABASE_QUERY: "code",
    TaskType.DOCUMENTATION: "instruction",
    TaskType.SUMMARIZATION: "instruction",
    TaskType.TRANSLATION: _GENERAL,
    TaskType.TOOL_USE: "instruction",
    TaskType.VISION: "vision",
}
"""Which key of `Model.quality` (an Arena category) speaks for a task type."""

EXPERIENCE_WEIGHT = 0.2
"""Moves a score by 0.1 at most, a tenth of its range.

That reorders neighbours, whose scores are some hundredths apart, and takes a model that keeps
failing out of its place. It does not lift a weak model that always answers over one that ranks
far better: that an answer came says little of how good it was.
"""

_FURTHEST_ADVANTAGE = 0.5
_UNKNOWN_QUALITY = 0.3
_LARGEST_UNRATED = 0.5
_CODER_FACTOR = 1.5
_NEUTRAL_SPEED = 0.5
_TYPICAL_TPS = 100.0

_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")

# Complexity moves this share of the smaller weight: hard tasks towards quality, easy ones
# towards speed. A policy that wants only one of them (`best`) is left alone.
_SHIFT = {TaskComplexity.SIMPLE: -1.0, TaskComplexity.MEDIUM: 0.0, TaskComplexity.COMPLEX: 1.0}


def candidate_of(
    model: Model,
    profile: TaskProfile,
    policy: RoutePolicy,
    advantage: float = 0.0,
    *,
    staying: float = 0.0,
) -> Candidate:
    """Return `model` as a candidate; its reason is written once its rank is known.

    Args:
        model: the model.
        profile: the task.
        policy: the setting of the decision.
        advantage: what experience speaks for or against the model, -0.5..0.5; 0 = nothing.
        staying: bonus of the model that answered this conversation's last turn; 0 for others.
    """
    shift = _SHIFT[profile.complexity] * policy.quality_weight * policy.speed_weight
    terms = {
        "quality": (policy.quality_weight + shift) * quality_of(model, profile),
        "speed": (policy.speed_weight - shift) * _speed(model),
    }
    if policy.cost_weight:
        terms["thrift"] = policy.cost_weight * _thrift(model, profile, policy)
    if advantage:
        if not -_FURTHEST_ADVANTAGE <= advantage <= _FURTHEST_ADVANTAGE:
            advantage = _FURTHEST_ADVANTAGE if advantage > 0 else -_FURTHEST_ADVANTAGE
        terms["experience"] = EXPERIENCE_WEIGHT * advantage
    if staying:
        terms["affinity"] = staying
    return Candidate(model=model, score=sum(terms.values()), terms=terms, reason="")


def quality_of(model: Model, profile: TaskProfile) -> float:
    """Return the expected quality for the task, 0 worst .. 1 best.

    The less sure the task type is, the more general quality counts. A model without an Arena
    rank gets a prior from the size in its name, lower than what models of that size were ranked:
    0.03 * (billions of parameters)^0.55, at most 0.5; 0.3 when the name tells no size. Models
    named for code get half as much again for code.
    """
    key = _quality_key(profile)
    rated = model.quality
    if not rated:
        return _prior(model.id, key == "code")
    general = rated.get(_GENERAL)
    if general is None:
        general = sum(rated.values()) / len(rated)
    share = profile.type_probability
    return share * rated.get(key, general) + (1 - share) * general


def _quality_key(profile: TaskProfile) -> str:
    """Return the Arena category that speaks for this task."""
    key = QUALITY_KEYS[profile.type]
    long = profile.est_input_tokens > _LONG_PROMPT_TOKENS
    return _LONG_CONTEXT if long and key in {_GENERAL, "instruction"} else key


@lru_cache(maxsize=4096)
def _prior(model_id: str, code: bool) -> float:
    name = model_id.lower()
    sizes = [float(size) / (1_000 if unit == "m" else 1) for size, unit in _SIZE.findall(name)]
    prior = min(_LARGEST_UNRATED, 0.03 * max(sizes) ** 0.55) if sizes else _UNKNOWN_QUALITY
    return prior * _CODER_FACTOR if code and ("code" in name or "codestral" in name) else prior


def _speed(model: Model) -> float:
    """Return 0..1: 0.5 at 100 tokens per second, and where no dated source gives a number."""
    tps = model.speed_tps
    return _NEUTRAL_SPEED if tps is None else tps / (tps + _TYPICAL_TPS)


def _thrift(model: Model, profile: TaskProfile, policy: RoutePolicy) -> float:
    """Return the share of the budget that is left over, 0..1; 1 for free models."""
    cost = estimated_cost_usd(model, profile)
    if not cost or policy.max_cost_usd <= 0:
        return 1.0
    return max(0.0, 1 - float(cost / policy.max_cost_usd))


def reason_of(place: int, candidate: Candidate, profile: TaskProfile, *, alone: bool) -> str:
    """Return one sentence for people: why this model stands at this place.

    Args:
        place: 1 = asked first.
        candidate: the candidate.
        profile: the task.
        alone: whether it is the only model that can be asked.
    """
    model = candidate.model
    facts = _facts(model, profile) + _experience(candidate) + _affinity(candidate)
    if alone:
        return f"Only model that can be asked now: {facts}."
    kind = "free" if model.free.may_auto_route else "paid"
    if place == 1:
        return f"Best {kind} model here for {profile.type}: {facts}."
    return f"Number {place} for {profile.type}, {kind}: {facts}."


def _facts(model: Model, profile: TaskProfile) -> str:
    key = _quality_key(profile)
    if key in model.quality:
        quality = f"Arena {key} {model.quality[key]:.2f}"
    elif model.quality:
        quality = f"no Arena {key} rank, overall {quality_of(model, profile):.2f}"
    else:
        quality = f"not ranked, estimated {quality_of(model, profile):.2f} from its name"
    speed = f", {model.speed_tps:g} tokens/s" if model.speed_tps is not None else ""
    where = ", on this machine" if model.weights is not None else ""
    return f"{quality}{speed}{where}"


def _experience(candidate: Candidate) -> str:
    learned = candidate.terms.get("experience", 0.0)
    return f", experience {learned:+.3f}" if learned else ""


def _affinity(candidate: Candidate) -> str:
    bonus = candidate.terms.get("affinity", 0.0)
    return f", answered this conversation's last turn {bonus:+.3f}" if bonus else ""
