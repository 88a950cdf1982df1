"""Free models before paid ones, then the higher score, then the id."""

from __future__ import annotations

from collections.abc import Sequence

from ymera.core.route import Candidate, RoutePolicy
from ymera.routing.selectors.registry import register

__all__ = ["free_first"]


@register("free_first")
def free_first(candidates: Sequence[Candidate], policy: RoutePolicy) -> list[Candidate]:
    """Return `candidates` best first; without `policy.prefer_free` the score alone decides."""

    def rank(candidate: Candidate) -> tuple[bool, float, str]:
        paid = policy.prefer_free and not candidate.model.free.may_auto_route
        return paid, -candidate.score, candidate.model.id

    return sorted(candidates, key=rank)
