"""A phase in flight: what is known of it so far; ends as its `PhaseOutcome`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ymera.core.tool import ContextUse, ToolUse
from ymera.engine.trace import Clock
from ymera.phases.calls import Meter, PhaseAnswer
from ymera.phases.checks import Beginning, verdict_of
from ymera.phases.dag import uses
from ymera.phases.types import Artefact, Check, PhaseOutcome, PhaseSpec, PhaseState, RunSpec

__all__ = ["INPUT_MISSING", "PhaseWork", "asks_for_nothing", "missing_input"]

INPUT_MISSING = "input_missing"
"""Code of a phase that was skipped because something it needs was not made."""


_LOOPS_ENOUGH = 2


def missing_input(
    spec: RunSpec, phase: PhaseSpec, outcomes: Mapping[str, PhaseOutcome]
) -> str | None:
    """Return which input of `phase` is missing and why; None when it has what it needs."""
    optional = {each.name for each in spec.phases if each.optional}
    for name in uses(phase):
        outcome = outcomes.get(name)
        made = outcome is not None and outcome.artefact is not None
        if made or name in optional:
            continue
        state = "was not reached" if outcome is None else f"is {outcome.state}"
        return f"{phase.name} was skipped: it needs {name}, which {state}."
    return None


def asks_for_nothing(
    spec: RunSpec, phase: PhaseSpec, outcomes: Mapping[str, PhaseOutcome]
) -> str | None:
    """Return why there is nothing to revise, None when a review says what to change."""
    reviews = [each.name for each in spec.phases if each.review_of == phase.revises]
    artefacts = [outcomes[name].artefact for name in reviews if name in outcomes]
    verdicts = [verdict_of(artefact) for artefact in artefacts if artefact is not None]
    if not verdicts:
        return "there is no review of it"
    if any(verdict is not None and verdict.wants_changes for verdict in verdicts):
        return None
    return "its review asks for no change"


@dataclass(kw_only=True)
class PhaseWork:
    """Collects the facts of one phase while it runs.

    Attributes:
        phase: what is carried out.
        meter: its calls.
        standing: the checked artefact that stands when no revision of it counts.
        artefact: what was made.
    """

    phase: PhaseSpec
    meter: Meter
    clock: Clock
    standing: Artefact | None = None
    artefact: Artefact | None = None
    losses: tuple[str, ...] = ()
    request_ids: tuple[str, ...] = ()
    _spare: tuple[Beginning, PhaseAnswer] | None = None
    _loops: int = 0
    _answer: PhaseAnswer | None = None
    _reason: str = ""
    _checks: tuple[Check, ...] = ()
    _tools: tuple[ToolUse, ...] = ()
    _context: tuple[ContextUse, ...] = ()
    _error: tuple[str, str] | None = None
    _at: datetime = field(init=False)
    _started_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._at, self._started_s = self.clock.now(), self.clock.monotonic()

    def answered(self, answer: PhaseAnswer, checks: tuple[Check, ...]) -> None:
        """Note an answer and how it fared."""
        self._answer, self._reason, self._checks = answer, answer.reason, checks
        self.request_ids += answer.request_ids
        self._tools += answer.tools
        self._context += answer.context

    def made(self, artefact: Artefact, losses: tuple[str, ...]) -> None:
        """Note the artefact that counts, and what was left out of it."""
        self.artefact = artefact
        self.losses += losses

    def spares(self, beginning: Beginning | None) -> None:
        """Keep the longest beginning of the rejected answers, for when no whole one counts.

        What stands to be revised is better than a beginning.
        """
        if beginning is None or self.standing is not None or self._answer is None:
            return
        kept = self._spare[0].artefact.text if self._spare else ""
        if len(beginning.artefact.text) > len(kept):
            self._spare = beginning, self._answer

    def settles_for_spare(self) -> bool:
        """Note an answer caught in a loop; at the second, use the beginning that was kept.

        Returns:
            Whether one was used.
        """
        self._loops += 1
        if self._loops < _LOOPS_ENOUGH or self._spare is None:
            return False
        self._use_spare(self._spare)
        return True

    def stands(self, why: str) -> None:
        """Take over the artefact that was to be revised, as it is, without asking a model.

        Args:
            why: clause that says why there is nothing to do.
        """
        if self.standing is None:
            raise ValueError("there is no artefact to take over")
        self._reason = f"No model was asked: {self.standing.phase} stands, {why}."
        self._take_over()

    def fail(self, code: str, error: str) -> None:
        """Note why no artefact counts; one that was to be revised stands all the same."""
        if self.standing is None:
            if self._spare is not None:
                self._use_spare(self._spare)
            else:
                self._error = (code, error)
            return
        self.losses += (f"No revision was used, {self.standing.phase} stands: {error}",)
        self._answer = None
        self._checks = (Check(name="revision", passed=False, detail=error, decides=False),)
        self._reason = f"{self.standing.phase} stands as it was checked: no revision counts."
        self._take_over()

    def skipped(self, why: str) -> PhaseOutcome:
        """Return the outcome of a phase that could not begin."""
        return PhaseOutcome(
            phase=self.phase.name,
            state=PhaseState.SKIPPED,
            error_code=INPUT_MISSING,
            error=why,
            started_at=self._at,
            ended_at=self._at,
        )

    def ended(self) -> PhaseOutcome:
        """Return how it went."""
        answer, error = self._answer, self._error
        return PhaseOutcome(
            phase=self.phase.name,
            state=PhaseState.FAILED if self.artefact is None else PhaseState.DONE,
            artefact=self.artefact,
            model=answer.model if answer else None,
            provider=answer.provider if answer else None,
            reason=self._reason,
            spend=self.meter.spend(self.clock.monotonic() - self._started_s),
            usage=self.meter.usage if self.meter.calls else None,
            checks=self._checks,
            losses=self.losses,
            tools=self._tools,
            context=self._context,
            request_ids=self.request_ids,
            error_code=error[0] if error else None,
            error=error[1] if error else None,
            started_at=self._at,
            ended_at=self.clock.now(),
        )

    def _use_spare(self, spare: tuple[Beginning, PhaseAnswer]) -> None:
        beginning, self._answer = spare
        self.artefact, self._reason = beginning.artefact, self._answer.reason
        self._checks = (Check(name="whole", passed=False, detail=beginning.loss, decides=False),)
        self.losses += (beginning.loss,)

    def _take_over(self) -> None:
        if self.standing is not None:
            before = self.standing
            self.artefact = Artefact(
                phase=self.phase.name,
                kind=before.kind,
                text=before.text,
                language=before.language,
            )
