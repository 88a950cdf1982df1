"""Carries out one phase: prompt, question, checks, retries, other models, and how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial

import msgspec

from ymera.core.answer import FinishReason
from ymera.core.chat import ChatRequest
from ymera.core.errors import NoRoute, Unsupported, YmeraError
from ymera.engine.trace import INTERNAL_ERROR, Clock
from ymera.phases.budget import BudgetLedger
from ymera.phases.calls import Ask, AskWithTools, Meter, PhaseAnswer
from ymera.phases.checks import beginning_of, examine, no_shrinking
from ymera.phases.dag import uses
from ymera.phases.prompt import build_prompt, language_of
from ymera.phases.tries import Tries, prompt_tokens
from ymera.phases.types import PhaseOutcome, PhaseSpec, RunSpec
from ymera.phases.work import PhaseWork, asks_for_nothing, missing_input

__all__ = ["Ask", "AskWithTools", "PhaseAnswer", "PhaseRunner", "Rejected", "Report"]

_log = logging.getLogger(__name__)

Report = Callable[[str, dict[str, str | int | float | bool | None]], None]
"""Told of what happens inside a phase: the kind (`phase.retry`) and a few facts."""

Rejected = Callable[[RunSpec, PhaseSpec, str, float], None]
"""Told of an answer that failed its checks: whose it was (model) and its seconds."""

_TIMEOUT = "timeout"
_CHECK_FAILED = "check_failed"
_BUDGET = "budget_exceeded"


class PhaseRunner:
    """Carries out phases; one instance serves every run.

    Args:
        ask: one model call through the gateway.
        ask_with_tools: for phases that name tools or context; None: they do without, and say so.
        clock: wall and monotonic time.
        context_tokens: returns the tokens of context of the model likely to be asked for a phase;
            prompts are trimmed to fit beside their answer.
        first_choice: returns the id of the model that a request would go to, None when none can
            serve it; None: nobody knows beforehand.
        rejected: told of every answer that failed its checks, and in how many seconds it came.
        max_usd_per_call: most that one call may be estimated to cost.
    """

    def __init__(
        self,
        *,
        ask: Ask,
        clock: Clock,
        ask_with_tools: AskWithTools | None = None,
        context_tokens: Callable[[RunSpec, PhaseSpec], int] = lambda _spec, _phase: 4096,
        first_choice: Callable[[ChatRequest], str | None] | None = None,
        rejected: Rejected = lambda _spec, _phase, _model, _time_s: None,
        max_usd_per_call: Decimal = Decimal(0),
    ) -> None:
        self._ask = ask
        self._ask_with_tools = ask_with_tools
        self._clock = clock
        self._context_tokens = context_tokens
        self._first_choice = first_choice
        self._rejected = rejected
        self._max_usd_per_call = max_usd_per_call

    async def run(
        self,
        spec: RunSpec,
        phase: PhaseSpec,
        outcomes: Mapping[str, PhaseOutcome],
        budget: BudgetLedger,
        report: Report,
    ) -> PhaseOutcome:
        """Return how the phase ended; a failed phase is an outcome, not an exception.

        Args:
            spec: the run.
            phase: one of its phases.
            outcomes: of all earlier phases, failed and skipped ones included.
            budget: of the run.
            report: told of retries.

        Raises:
            CancelledError: the run is being cancelled.
        """
        meter = Meter(budget, self._max_usd_per_call)
        work = PhaseWork(phase=phase, meter=meter, clock=self._clock)
        missing = missing_input(spec, phase, outcomes)
        if missing is not None:
            return work.skipped(missing)
        left_s = budget.remaining_s()
        try:
            async with asyncio.timeout(min(phase.timeout_s, left_s)):
                await self._make(spec, work, outcomes, report)
        except TimeoutError:
            if left_s < phase.timeout_s:
                work.fail(_BUDGET, f"The run's {budget.budget.seconds:g} seconds are over.")
            else:
                work.fail(_TIMEOUT, f"{phase.name} took longer than {phase.timeout_s:g} seconds.")
        except YmeraError as error:
            work.fail(error.code, " ".join(filter(None, (error.message, error.hint))))
        except Exception as error:  # noqa: BLE001 - a bug of ours must not leave a run without end
            _log.exception("phase %s of %s", phase.name, spec.id)
            bug = type(error).__name__  # its text may hold the prompt
            work.fail(INTERNAL_ERROR, f"Ymera met a bug ({bug}); its log says where.")
        return work.ended()

    async def _make(
        self,
        spec: RunSpec,
        work: PhaseWork,
        outcomes: Mapping[str, PhaseOutcome],
        report: Report,
    ) -> None:
        """Try until an artefact counts; what failed last is left in `work`."""
        tries = self._prepared(spec, work, outcomes)
        language = language_of(spec, work.phase)
        while tries is not None:
            request = tries.request()
            if self._keeps_no_form(request):
                tries.structured = False
                continue
            asked_s = self._clock.monotonic()
            try:
                answer = await self._answer(spec, work, request)
            except YmeraError as error:
                work.request_ids += (error.request_id,) if error.request_id else ()
                if tries.structured and _wants_less_form(error, request):
                    tries.structured = False
                    continue
                if not tries.failed(retryable=error.retryable):
                    raise
                _tell(report, tries, None, error.message)
                continue
            took_s = self._clock.monotonic() - asked_s
            rejected = partial(self._rejected, spec, work.phase, answer.model, took_s)
            problem = _take(work, tries, answer, language, rejected)
            if problem is None:
                return
            _tell(report, tries, answer.model, problem)

    def _prepared(
        self, spec: RunSpec, work: PhaseWork, outcomes: Mapping[str, PhaseOutcome]
    ) -> Tries | None:
        """Return what to ask; None when nothing has to be asked."""
        phase = work.phase
        before = outcomes[phase.revises].artefact if phase.revises else None
        if before is not None:
            work.standing = before
            reason = asks_for_nothing(spec, phase, outcomes)
            if reason is not None:
                work.stands(reason)
                return None
        room = prompt_tokens(spec, phase, self._context_tokens(spec, phase))
        prompt = build_prompt(spec, phase, outcomes, context_tokens=room)
        work.losses += prompt.losses
        if before is not None and before.phase in prompt.cut:
            work.stands(f"{before.phase} does not fit into a prompt whole, so nothing is changed")
            return None
        if (phase.tools or phase.context) and self._ask_with_tools is None:
            work.losses += ("No tools and no context from outside: they are not set up here.",)
        alone = build_prompt(spec, phase, outcomes, context_tokens=room, alone=True)
        return Tries(
            spec,
            phase,
            prompt,
            room=room,
            has_other=self._has_other,
            alone=alone if alone.messages != prompt.messages else None,
            avoid=_makers(phase, outcomes),
        )

    def _has_other(self, request: ChatRequest) -> bool:
        """Whether the request would go to a model it does not avoid; True where nobody knows."""
        if self._first_choice is None:
            return True
        return self._first_choice(request) not in {None, *request.hints.avoid_models}

    def _keeps_no_form(self, request: ChatRequest) -> bool:
        """Whether no model keeps to the form; known before asking, so that no request fails."""
        if request.response_format is None or self._first_choice is None:
            return False
        plain = msgspec.structs.replace(request, response_format=None)
        return self._first_choice(request) is None and self._first_choice(plain) is not None

    async def _answer(self, spec: RunSpec, work: PhaseWork, request: ChatRequest) -> PhaseAnswer:
        phase, meter = work.phase, work.meter
        if (phase.tools or phase.context) and self._ask_with_tools is not None:
            return await self._ask_with_tools(
                request, spec.principal, tools=phase.tools, context=phase.context, meter=meter
            )
        request, reservation = meter.reserve(request)
        try:
            answer = await self._ask(request, spec.principal)
        except YmeraError as error:
            meter.failed(reservation, error)
            raise
        except BaseException:
            meter.lost(reservation)
            raise
        meter.settle(reservation, answer.usage, answer.cost_usd, answer.text)
        return answer


def _take(
    work: PhaseWork,
    tries: Tries,
    answer: PhaseAnswer,
    language: str | None,
    rejected: Callable[[], None],
) -> str | None:
    """Look at an answer; return what is wrong with it when there is another try, else None."""
    phase = work.phase
    found = examine(phase, answer.text, answer.finish_reason, language=language)
    checks, problem = found.checks, found.problem
    if problem is None and work.standing is not None:
        shrinking = no_shrinking(found.artefact, work.standing)
        checks = (*checks, shrinking)
        problem = None if shrinking.passed else shrinking.detail
    work.answered(answer, checks)
    if problem is None:
        work.made(found.artefact, found.losses)
        if tries.is_alone:
            work.losses += (f"Made without {', '.join(uses(phase))}: a try with them failed.",)
        return None
    rejected()
    work.spares(beginning_of(found, phase.output.min_chars))
    if found.loops and work.settles_for_spare():  # further tries would cost much and end alike
        return None
    cut = answer.finish_reason is FinishReason.LENGTH
    quoted = "" if found.loops else answer.text  # a model that sees a loop goes on with it
    if tries.rejected(answer.model, quoted, problem, needs_room=cut and not found.loops):
        return problem
    work.fail(_CHECK_FAILED, f"{phase.name} failed its checks: {problem}")
    return None


def _makers(phase: PhaseSpec, outcomes: Mapping[str, PhaseOutcome]) -> dict[str, str]:
    """Return the model that should not review: the one that made what is reviewed."""
    reviewed = outcomes.get(phase.review_of) if phase.review_of else None
    if reviewed is None or reviewed.model is None:
        return {}
    return {reviewed.model: "made the artefact it would review"}


def _wants_less_form(error: YmeraError, request: ChatRequest) -> bool:
    """Whether no model could be asked because of the form that was wished for."""
    if request.response_format is None:
        return False
    if isinstance(error, NoRoute):
        return not error.failures
    return isinstance(error, Unsupported) and error.param == "response_format"


def _tell(report: Report, tries: Tries, model: str | None, why: str) -> None:
    report(
        "phase.retry",
        {
            "try": tries.total + 1,
            "model": model,
            "why": why,
            "other_model": tries.turns_to_another,
        },
    )
