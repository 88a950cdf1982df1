"""Answers that break off or are rejected: what is paid for them, and what is learned of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.phases import BAD, CODE, GOOD, Cast, phase, run_of
from ymera.app.phase_calls import PhaseCalls
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import (
    ChatRequest,
    Message,
    Role,
    TextPart,
)
from ymera.core.errors import NoRoute, ProviderError, ProviderErrorKind
from ymera.phases.budget import BudgetLedger
from ymera.phases.calls import Meter
from ymera.phases.executor import PhaseRunner
from ymera.phases.types import Budget, PhaseState
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider

GONE = ProviderError("The host went away.", kind=ProviderErrorKind.TRANSIENT)


@pytest.mark.proves("phases.budget")
async def test_an_answer_that_broke_off_stays_paid_for_as_it_was_set_aside() -> None:
    answer = ChatAnswer(text="one two three four", finish_reason=FinishReason.STOP)
    broken = ScriptedAnswer(answer=answer, error=GONE, deltas_before_error=2)
    cast = Cast({"a": ScriptedProvider(answers=[broken, "A whole answer."])})
    outcome = (await cast.play(run_of(phase("plan", retries=1))))["plan"]
    assert outcome.state is PhaseState.DONE
    assert outcome.spend.calls == 2
    assert outcome.spend.tokens > 100  # the bound of the broken one, beside the whole one's few
    assert outcome.usage is None
    assert outcome.spend.usd == 0


@pytest.mark.proves("phases.budget", "runs.budget")
@pytest.mark.parametrize(("broke_off", "usd"), [(True, None), (False, 0)])
def test_what_a_call_cost_is_unknown_only_if_it_broke_off(
    broke_off: bool, usd: Decimal | None
) -> None:
    ledger = BudgetLedger(Budget(usd=Decimal(1)), monotonic=lambda: 0.0)
    meter = Meter(ledger, max_usd_per_call=Decimal("0.25"))
    message = Message(role=Role.USER, content=(TextPart("hello"),))
    _, reservation = meter.reserve(ChatRequest(model="auto", messages=(message,)))
    error = NoRoute("Nobody answers.")
    error.broke_off = broke_off
    meter.failed(reservation, error)
    assert meter.usd == usd
    assert ledger.spend.usd == (Decimal("0.25") if broke_off else 0)


@pytest.mark.proves("learning.rejected")
async def test_each_answer_that_fails_its_checks_is_told_and_one_that_passes_is_not() -> None:
    cast = Cast({"a": ScriptedProvider(answers=[BAD, GOOD])})
    gateway, clock = cast.stage.gateway(), cast.stage.time.clock()
    told: list[tuple[str, str, str]] = []
    runner = PhaseRunner(
        ask=PhaseCalls(lambda: gateway),
        clock=clock,
        rejected=lambda spec, phase, model, _: told.append((spec.agent.name, phase.name, model)),
    )
    spec = run_of(phase("write", output=CODE, retries=1))
    ledger = BudgetLedger(spec.budget, monotonic=clock.monotonic)
    outcome = await runner.run(spec, spec.phases[0], {}, ledger, lambda _kind, _facts: None)
    assert outcome.state is PhaseState.DONE
    assert told == [("test_agent", "write", "a/m")]
