"""What a decision looks at of each model, worked out once: the models change far less often.

A shape answers two questions without looking at the model again: does a request surely fit, and
what speaks for the model. Where it does not surely fit, `ymera.routing.filters` says why.
"""

from __future__ import annotations

import re
from functools import lru_cache
from sys import maxsize

from ymera.core.model import Model, ModelKind
from ymera.core.task import TaskProfile, TaskType
from ymera.routing.filters import MIN_ANSWER_TOKENS

__all__ = ["QUALITY_KEYS", "Shape", "Size", "quality_key"]

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

_UNKNOWN_QUALITY = 0.3
_LARGEST_UNRATED = 0.5
_CODER_FACTOR = 1.5
_NEUTRAL_SPEED = 0.5
_TYPICAL_TPS = 100.0
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")

_TOOLS, _VISION, _SCHEMA, _PRIVATE = 1, 2, 4, 8


def quality_key(profile: TaskProfile) -> str:
    """Return the Arena category that speaks for this task."""
    key = QUALITY_KEYS[profile.type]
    long = profile.est_input_tokens > _LONG_PROMPT_TOKENS
    return _LONG_CONTEXT if long and key in {_GENERAL, "instruction"} else key


class Size:
    """What a request takes and needs, in the form shapes compare with.

    Attributes:
        tokens: of the prompt.
        hosted, embedded: answer tokens that must fit, by where the model runs. A hosted model
            refuses a bound it cannot keep; an embedded one just stops early, and so does any
            model that was given no bound.
        needs: one bit for each thing the model has to be able to do.
    """

    __slots__ = ("embedded", "hosted", "needs", "tokens")

    def __init__(self, profile: TaskProfile) -> None:
        needs, answer = profile.needs, profile.est_output_tokens
        self.tokens = profile.est_input_tokens
        self.embedded = min(answer, MIN_ANSWER_TOKENS)
        self.hosted = answer if profile.output_bounded else self.embedded
        self.needs = _bits(needs.tools, needs.vision, needs.json_schema, needs.private)


class Shape:
    """One model as decisions see it.

    Attributes:
        model: the model.
        speed: 0..1: 0.5 at 100 tokens a second, and where no dated source gives a number.
    """

    __slots__ = ("_can", "_ceiling", "_facts", "_pairs", "_room", "_surely", "model", "speed")

    def __init__(self, model: Model) -> None:
        free, embedded = model.free, model.weights is not None
        limits, tps = free.limits, model.speed_tps
        bounds = (model.context_window, limits.tpm, limits.tpd)
        self.model = model
        self.speed = _NEUTRAL_SPEED if tps is None else tps / (tps + _TYPICAL_TPS)
        self._surely = (
            model.kind is ModelKind.CHAT
            and free.may_auto_route
            and limits.rpm != 0
            and limits.rpd != 0
        )
        self._can = _bits(
            model.tools is True,
            model.vision is True,
            embedded or model.json_schema is True,
            embedded or model.trains_on_input is False,
        )
        self._ceiling = min((each for each in bounds if each is not None), default=maxsize)
        self._room = maxsize if model.max_output is None else model.max_output
        self._pairs: dict[str, tuple[float, float]] = {}
        self._facts: dict[str, str] = {}

    def surely_fits(self, size: Size) -> bool:
        """Return whether no requirement keeps the model out; False: the filters have to look."""
        room = size.hosted if self.model.weights is None else size.embedded
        return (
            self._surely
            and not size.needs & ~self._can
            and size.tokens + room <= self._ceiling
            and room <= self._room
        )

    def quality(self, key: str, share: float) -> float:
        """Return the expected quality for a task, 0 worst .. 1 best.

        A model without an Arena rank gets a prior from the size in its name, lower than what
        models of that size were ranked: 0.03 * (billions of parameters)^0.55, at most 0.5; 0.3
        when the name tells no size. Models named for code get half as much again for code.

        Args:
            key: the category that speaks for the task.
            share: how sure the task type is, 0..1; for the rest general quality counts.
        """
        pair = self._pairs.get(key)
        if pair is None:
            pair = self._pairs[key] = _qualities(self.model, key)
        return share * pair[0] + (1 - share) * pair[1]

    def facts(self, key: str) -> str:
        """Return what speaks for the model, for people."""
        facts = self._facts.get(key)
        if facts is None:
            facts = self._facts[key] = _facts(self.model, key)
        return facts


def _bits(tools: bool, vision: bool, schema: bool, private: bool) -> int:
    return (
        (_TOOLS if tools else 0)
        | (_VISION if vision else 0)
        | (_SCHEMA if schema else 0)
        | (_PRIVATE if private else 0)
    )


def _qualities(model: Model, key: str) -> tuple[float, float]:
    """Return the quality in a category, and the general one."""
    rated = model.quality
    if not rated:
        prior = _prior(model.id, key == "code")
        return prior, prior
    general = rated.get(_GENERAL)
    if general is None:
        general = sum(rated.values()) / len(rated)
    return rated.get(key, general), general


@lru_cache(maxsize=4096)
def _prior(model_id: str, code: bool) -> float:
    name = model_id.lower()
    sizes = [float(size) / (1_000 if unit == "m" else 1) for size, unit in _SIZE.findall(name)]
    prior = min(_LARGEST_UNRATED, 0.03 * max(sizes) ** 0.55) if sizes else _UNKNOWN_QUALITY
    return prior * _CODER_FACTOR if code and ("code" in name or "codestral" in name) else prior


def _facts(model: Model, key: str) -> str:
    if key in model.quality:
        quality = f"Arena {key} {model.quality[key]:.2f}"
    elif model.quality:
        quality = f"no Arena {key} rank, overall {_qualities(model, key)[1]:.2f}"
    else:
        quality = f"not ranked, estimated {_qualities(model, key)[0]:.2f} from its name"
    speed = f", {model.speed_tps:g} tokens/s" if model.speed_tps is not None else ""
    where = ", on this machine" if model.weights is not None else ""
    return f"{quality}{speed}{where}"
