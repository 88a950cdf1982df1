"""The order of phases: what must come before what, and what may run at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from ymera.core.errors import ConfigError
from ymera.phases.types import PhaseSpec

__all__ = ["downstream", "in_order", "uses"]


def in_order(phases: Sequence[PhaseSpec]) -> tuple[PhaseSpec, ...]:
    """Return the phases so that each comes after those it uses; otherwise as they were given.

    Raises:
        ConfigError: a phase is there twice, uses one that is not there, or they form a cycle.
    """
    by_name: dict[str, PhaseSpec] = {}
    for phase in phases:
        if phase.name in by_name:
            raise ConfigError(f"Two phases are called {phase.name!r}.", param="phases")
        by_name[phase.name] = phase
    for phase in phases:
        for used in uses(phase):
            if used not in by_name:
                raise ConfigError(
                    f"The phase {phase.name!r} uses {used!r}, which is no phase.",
                    hint=f"Phases: {', '.join(by_name)}.",
                    param=f"phases.{phase.name}.after",
                )
    sorter = TopologicalSorter({phase.name: uses(phase) for phase in phases})
    try:
        return tuple(by_name[name] for name in sorter.static_order())
    except CycleError as error:
        raise ConfigError(
            f"The phases form a cycle: {' -> '.join(error.args[1])}.",
            hint="A phase may use only what was made before it.",
            param="phases",
        ) from None


def uses(phase: PhaseSpec) -> tuple[str, ...]:
    """Return the names of the phases whose artefacts `phase` needs."""
    implied = (phase.review_of, phase.revises)
    return tuple(dict.fromkeys([*phase.after, *(each for each in implied if each is not None)]))


def downstream(phases: Sequence[PhaseSpec], name: str) -> Iterator[str]:
    """Yield `name` and every phase that uses it, directly or through others."""
    reached = {name}
    for phase in in_order(phases):
        if phase.name == name or reached.intersection(uses(phase)):
            reached.add(phase.name)
            yield phase.name
