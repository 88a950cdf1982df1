"""The names callers use instead of a model, each one setting of the same decision."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ymera.core.route import RoutePolicy

__all__ = ["ALIASES", "policy_for"]

_NOTHING = Decimal(0)

_TABLE = {
    # auto weighs quality and speed as most callers would.
    "auto": RoutePolicy(name="auto", quality_weight=0.8, speed_weight=0.2),
    # free is auto that spends nothing whatever the budget says.
    "free": RoutePolicy(name="free", quality_weight=0.8, speed_weight=0.2),
    "fast": RoutePolicy(name="fast", quality_weight=0.2, speed_weight=0.8),
    "best": RoutePolicy(name="best", quality_weight=1.0, speed_weight=0.0),
    # cheapest differs from auto only where a budget lets paid models in.
    "cheapest": RoutePolicy(
        name="cheapest", quality_weight=0.25, speed_weight=0.05, cost_weight=0.7
    ),
}

ALIASES: tuple[str, ...] = tuple(_TABLE)
"""Names of the policies, in the order they are listed to people."""


def policy_for(
    name: str, *, prefer_free: bool, max_cost_usd: Decimal, max_retries: int
) -> RoutePolicy | None:
    """Return the policy called `name`, or None when there is none.

    No policy spends anything unless `max_cost_usd` is above 0: `prefer_free=False` only stops
    ranking free models first.

    Args:
        name: one of `ALIASES`.
        prefer_free: rank free models before paid ones. `free` and `cheapest` always do, `best`
            never does: under a budget it asks the best model the budget allows.
        max_cost_usd: most that one request may cost, at least 0.
        max_retries: further candidates after the first, at least 0.
    """
    policy = _TABLE.get(name)
    if policy is None:
        return None
    return msgspec.structs.replace(
        policy,
        prefer_free=name in {"free", "cheapest"} or (prefer_free and name != "best"),
        max_cost_usd=_NOTHING if name == "free" else max(_NOTHING, max_cost_usd),
        max_candidates=1 + max(0, max_retries),
    )
