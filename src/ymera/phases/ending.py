"""How a run ended, judged from how its phases did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ymera.core.errors import RunFailed
from ymera.phases.types import PhaseOutcome, PhaseState, RunSpec, RunState

__all__ = ["Ending", "ending_of", "result_text"]


@dataclass(frozen=True)
class Ending:
    """The state of a run that ended, and why it is not `done`.

    Attributes:
        quotes: whether `error` may repeat what was asked or answered, or names of phases.
    """

    state: RunState
    error_code: str | None = None
    error: str | None = None
    quotes: bool = False


def ending_of(spec: RunSpec, outcomes: Mapping[str, PhaseOutcome]) -> Ending:
    """Return how a run ended; the error names the phase that failed first in plan order."""
    made = any(each.artefact is not None for each in outcomes.values())
    state = RunState.PARTIAL if made else RunState.FAILED
    for phase in spec.phases:
        outcome = outcomes.get(phase.name)
        if outcome is None:
            error = f"The phase {phase.name!r} was not reached."
            return Ending(state, RunFailed.code, error, quotes=True)
        if outcome.state is PhaseState.FAILED:
            error = f"The phase {phase.name!r} failed: {outcome.error or 'no reason given'}"
            return Ending(state, outcome.error_code or RunFailed.code, error, quotes=True)
    needed = [phase.name for phase in spec.phases if not phase.optional]
    skipped = [name for name in needed if outcomes[name].state is PhaseState.SKIPPED]
    if skipped:
        error = f"The phase {skipped[0]!r} was skipped: {outcomes[skipped[0]].error or 'no reason'}"
        return Ending(state, RunFailed.code, error, quotes=True)
    return Ending(RunState.DONE)


def result_text(result_phase: str, outcomes: Mapping[str, PhaseOutcome]) -> str:
    """Return the result artefact's text, else that of the last one made, else nothing."""
    chosen = outcomes.get(result_phase)
    if chosen is not None and chosen.artefact is not None:
        return chosen.artefact.text
    made = [each.artefact for each in outcomes.values() if each.artefact is not None]
    return made[-1].text if made else ""
