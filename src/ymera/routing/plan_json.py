"""A route plan as data: what `ymera route --json` prints and `POST /api/route` answers."""

from __future__ import annotations

from ymera.core.route import RoutePlan

__all__ = ["plan_json"]


def plan_json(plan: RoutePlan) -> dict[str, object]:
    """Return the plan as data: task, policy, candidates in order, every exclusion."""
    return {
        "task": plan.profile,
        "policy": plan.policy,
        "candidates": [
            {
                "model": each.model.id,
                "provider": each.model.provider,
                "score": each.score,
                "terms": each.terms,
                "reason": each.reason,
                "free": each.model.free.may_auto_route,
            }
            for each in plan.candidates
        ],
        "exclusions": [
            {"model": each.model_id, "reason": each.reason, "detail": each.detail}
            for each in plan.exclusions
        ],
    }
