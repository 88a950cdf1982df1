"""Walks a plan: each phase starts as soon as those it uses have ended, branches side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ymera.phases.dag import uses
from ymera.phases.types import PhaseSpec

__all__ = ["Plan", "ancestors", "plan_of", "walk"]

Plan = Sequence[tuple[str, Sequence[str]]]
"""Phases in a valid order, each with the names of those it uses."""


def plan_of(phases: Sequence[PhaseSpec]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the plan of phases that are in a valid order."""
    return [(phase.name, uses(phase)) for phase in phases]


def ancestors(plan: Plan) -> Mapping[str, frozenset[str]]:
    """Return for each phase all phases whose artefacts bear on its own."""
    found: dict[str, frozenset[str]] = {}
    for name, used in plan:
        found[name] = frozenset(used).union(*(found[each] for each in used))
    return found


async def walk(plan: Plan, perform: Callable[[str], Awaitable[None]]) -> None:
    """Perform every phase once, in the order the plan asks for.

    Args:
        plan: the phases.
        perform: carries one out; a failed phase is no exception.

    Raises:
        BaseException: what `perform` raised first; the phases under way are cancelled.
    """
    tasks: dict[str, asyncio.Task[None]] = {}

    async def one(name: str, used: Sequence[str]) -> None:
        if used:
            await asyncio.wait([tasks[each] for each in used])
            for each in used:
                tasks[each].result()
        await perform(name)

    try:
        for name, used in plan:
            tasks[name] = asyncio.create_task(one(name, used), name=f"phase {name}")
        await asyncio.gather(*tasks.values())
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
