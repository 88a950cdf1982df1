"""How the vendors of a simulated day answer: refusals in their own words, faults, late bills."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from bench.quota.world import FAULTS, START, UNITS_PER_CALL, TrueLimit, World
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Dialect, Model
from ymera.core.quota import PoolKey, QuotaMetric
from ymera.core.usage import Usage
from ymera.testing.faults import Refusal
from ymera.testing.refusals import body_of
from ymera.testing.vendors import habits_of
from ymera.wire.rate_limits import limits_of_failure
from ymera.wire.upstream_error import decode_error

__all__ = ["Answer", "Vendor"]

_LATE_COST = Decimal("0.0004")
_MEAN_ANSWER_S = 4.0
_REFUSED_FAULTS = frozenset({"server error", "overloaded"})
"""Answered with an error: counted by vendors whose row says that they count failures."""


@dataclass(kw_only=True)
class Answer:
    """What came of one call.

    Attributes:
        takes_s: seconds until it ends.
        error, why: how it failed.
        began: whether anything of an answer had come.
        usage, cost_usd: as the vendor tells.
        counted: limits to be corrected when it ends.
    """

    takes_s: float
    error: ProviderError | None = None
    why: str = ""
    began: bool = True
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    counted: list[TrueLimit] = field(default_factory=list)
    tokens: tuple[int, int] = (0, 0)


class Vendor:
    """Answers for all of them."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self.spent_on_faults: Counter[tuple[PoolKey, int]] = Counter()
        """Calls that failed and counted, by narrowest pool and minute."""

    def ask(self, model: Model, tokens: tuple[int, int], at_s: float) -> Answer:
        """Return how one call goes."""
        turning = self._world.turning.get(model.id)
        turned = turning is not None and at_s >= turning.at_s
        if turning is not None and turned and not turning.late:
            return self._refused(model, 402, "Payment required: insufficient credit", at_s, "402")
        limits = self._world.limits_of(model)
        full = next((each for each in limits if _is_full(each, tokens[0], at_s)), None)
        if full is not None:
            return self._over(model, full, at_s)
        fault = self._fault()
        if fault in _REFUSED_FAULTS and not self._world.counts_failed(model):
            return self._failed(model, str(fault), at_s)
        for limit in limits:
            limit.count(at_s, _taken(limit, tokens[0]))
        if fault is not None:
            self.spent_on_faults[self._world.pools_of[model.id][0], int(at_s // 60)] += 1
            answer = self._failed(model, fault, at_s)
        else:
            usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1])
            cost = _LATE_COST if turning is not None and turned else None
            takes_s = 0.5 + self._rng.expovariate(1 / _MEAN_ANSWER_S)
            answer = Answer(takes_s=takes_s, usage=usage, cost_usd=cost, tokens=tokens)
        answer.counted = limits
        return answer

    def ended(self, answer: Answer, at_s: float) -> None:
        """Count what is only known at the end, and free the place of the call."""
        for limit in answer.counted:
            if limit.metric is QuotaMetric.CONCURRENT:
                limit.count(at_s, -1)
            elif limit.metric is QuotaMetric.TOKENS and answer.tokens[1]:
                limit.count(at_s, answer.tokens[1])

    def _fault(self) -> str | None:
        draw = self._rng.random()
        for fault, share in FAULTS.items():
            draw -= share
            if draw < 0:
                return fault
        return None

    def _failed(self, model: Model, fault: str, at_s: float) -> Answer:
        if fault == "server error":
            return self._refused(model, 500, "Internal server error", at_s, fault)
        if fault == "overloaded":
            return self._refused(model, 503, "The model is overloaded", at_s, fault)
        cut = fault == "cut"
        message = "The answer was cut." if cut else "No answer came in time."
        error = ProviderError(message, kind=ProviderErrorKind.TRANSIENT)
        return Answer(takes_s=5.0 if cut else 30.0, error=error, why=fault, began=cut)

    def _over(self, model: Model, limit: TrueLimit, at_s: float) -> Answer:
        told = not limit.assumed or model.provider == "google"  # its errors carry the number
        refusal = Refusal(
            status=429,
            message="Too many requests",
            window=limit.window if told else None,
            metric=limit.metric.value,
            limit=limit.amount if told else None,
            used=limit.used(at_s),
            requested=1,
            model=model.upstream_id,
        )
        why = f"429, limit {'documented' if told else 'not published'}"
        return self._answered(model, refusal, at_s, why)

    def _refused(self, model: Model, status: int, message: str, at_s: float, why: str) -> Answer:
        return self._answered(model, Refusal(status=status, message=message), at_s, why)

    def _answered(self, model: Model, refusal: Refusal, at_s: float, why: str) -> Answer:
        now = START + timedelta(seconds=at_s)
        body = body_of(refusal, Dialect.OPENAI_CHAT, habits_of(model.provider).words)
        error = decode_error(refusal.status, {}, body, now=now)
        error.limits = limits_of_failure(error.kind, refusal.status, {}, body, model.provider, now)
        return Answer(takes_s=0.3, error=error, why=why, began=False)


def _is_full(limit: TrueLimit, tokens_in: int, at_s: float) -> bool:
    return limit.used(at_s) + _taken(limit, tokens_in) > limit.amount


def _taken(limit: TrueLimit, tokens_in: int) -> int:
    if limit.metric is QuotaMetric.TOKENS:
        return tokens_in
    return UNITS_PER_CALL if limit.metric is QuotaMetric.UNITS else 1
