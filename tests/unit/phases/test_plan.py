"""Everything that can be refused is refused before any call."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tests.support.phases import phase
from ymera.core.errors import InvalidRequest, TooLong
from ymera.core.task import TaskComplexity
from ymera.phases.load import Agents
from ymera.phases.plan import plan_run
from ymera.phases.types import AgentSpec, Budget, Parameter, Strategy

AGENT = AgentSpec(
    name="helper_agent",
    description="Tests.",
    phases=(phase("plan"), phase("write", after=("plan",)), phase("extra", optional=True)),
    single=phase("answer"),
    parameters={
        "language": Parameter(default="python", choices=("python", "sql")),
        "form": Parameter(description="What it is to be.", required=True),
        "note": Parameter(),
    },
    budget=Budget(calls=10, tokens=1000, usd=Decimal(5), seconds=60),
)
FORM = {"form": "a list"}


@pytest.mark.proves("phases.strategy")
@pytest.mark.parametrize(
    ("complexity", "strategy"),
    [
        (TaskComplexity.SIMPLE, Strategy.SINGLE_MODEL),
        (TaskComplexity.MEDIUM, Strategy.MULTI_MODEL),
        (TaskComplexity.COMPLEX, Strategy.MULTI_MODEL),
    ],
)
@pytest.mark.proves("document.strategies")
def test_the_complexity_of_the_task_chooses_the_strategy(
    complexity: TaskComplexity, strategy: Strategy
) -> None:
    spec = plan_run(AGENT, "Do it", FORM, complexity=complexity)
    assert spec.strategy is strategy
    assert str(complexity) in spec.strategy_reason
    names = [each.name for each in spec.phases]
    assert names == (
        ["answer"] if strategy is Strategy.SINGLE_MODEL else ["plan", "write", "extra"]
    )


@pytest.mark.proves("phases.strategy")
def test_the_complexity_is_inferred_from_the_task() -> None:
    coding = Agents().get("coding_agent")
    simple = plan_run(coding, "Create Python hello world function")
    assert (simple.complexity, simple.strategy) == (
        TaskComplexity.SIMPLE,
        Strategy.SINGLE_MODEL,
    )
    assert plan_run(coding, "Create a REST API").strategy is Strategy.MULTI_MODEL


@pytest.mark.proves("phases.strategy")
def test_the_agent_then_the_caller_then_the_configuration_decide() -> None:
    always = msgspec.structs.replace(AGENT, strategy=Strategy.MULTI_MODEL)
    simple = TaskComplexity.SIMPLE
    assert plan_run(always, "Do", FORM, complexity=simple).strategy is Strategy.MULTI_MODEL
    forced = plan_run(always, "Do", FORM, strategy="single_model")
    assert (forced.strategy, forced.strategy_reason) == (
        Strategy.SINGLE_MODEL,
        "The caller asked for it.",
    )
    off = plan_run(always, "Do", FORM, strategy="multi_model", enable_multi_model=False)
    assert off.strategy is Strategy.SINGLE_MODEL
    assert "enable_multi_model" in off.strategy_reason


@pytest.mark.proves("phases.strategy")
def test_an_agent_without_phases_asks_one_model() -> None:
    plain = msgspec.structs.replace(AGENT, phases=())
    assert plan_run(plain, "Do", FORM).strategy is Strategy.SINGLE_MODEL
    with pytest.raises(InvalidRequest, match="has no phases"):
        plan_run(plain, "Do", FORM, strategy=Strategy.MULTI_MODEL)


@pytest.mark.proves("phases.bad-input")
@pytest.mark.parametrize(
    ("task", "parameters", "says", "hints"),
    [
        (" \n", FORM, "task is empty", "Say what to do"),
        ("\ud800", FORM, "not valid UTF-8", "iconv"),
        ("Do", {}, "needs the parameter 'form'", "-p form="),
        ("Do", {"form": " "}, "needs the parameter 'form'", "What it is to be."),
        ("Do", {**FORM, "lanugage": "sql"}, "no parameter 'lanugage'", "'language'"),
        ("Do", {**FORM, "xyz": "1"}, "no parameter 'xyz'", "language, form, note"),
        ("Do", {**FORM, "language": "perl"}, "cannot be 'perl'", "python, sql"),
        ("Do", {**FORM, "note": ["a"]}, "must be text, not list", "Write it"),
        ("Do", {**FORM, "note": "\udfff"}, "'note' is not valid UTF-8", "iconv"),
    ],
)
def test_a_task_that_does_not_fit_is_refused_with_a_way_out(
    task: str, parameters: dict[str, object], says: str, hints: str
) -> None:
    with pytest.raises(InvalidRequest, match=says) as refused:
        plan_run(AGENT, task, parameters)
    assert hints in str(refused.value.hint)


@pytest.mark.proves("phases.bad-input")
def test_a_task_over_the_limit_is_refused() -> None:
    with pytest.raises(TooLong, match="1,012 characters"):
        plan_run(AGENT, "x" * 994, {**FORM, "note": "123456"}, max_task_chars=999)


@pytest.mark.proves("phases.bad-input")
def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Unknown strategy 'dual'") as refused:
        plan_run(AGENT, "Do", FORM, strategy="dual")
    assert "single_model, multi_model" in str(refused.value.hint)


@pytest.mark.proves("phases.bad-input", "phases.budget")
def test_a_budget_too_small_for_the_phases_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="1 calls is too small: 2 phases") as refused:
        plan_run(AGENT, "Do", FORM, strategy="multi_model", budget=Budget(calls=1))
    assert refused.value.param == "budget.calls"
    assert plan_run(AGENT, "Do", FORM, budget=Budget(calls=1), strategy="single_model").phases
    with pytest.raises(InvalidRequest, match="0 seconds"):
        plan_run(AGENT, "Do", FORM, budget=Budget(seconds=0))
    with pytest.raises(InvalidRequest, match="below 0"):
        plan_run(AGENT, "Do", FORM, budget=Budget(usd=Decimal(-1)))


@pytest.mark.proves("phases.budget")
def test_each_bound_is_the_least_of_agent_caller_and_configuration() -> None:
    caller = Budget(calls=8, tokens=5000, usd=Decimal(2), seconds=90)
    most = Budget(calls=9, tokens=800, usd=Decimal(3), seconds=100)
    spec = plan_run(AGENT, "Do", FORM, budget=caller, most=most)
    assert spec.budget == Budget(calls=8, tokens=800, usd=Decimal(2), seconds=60)
    assert plan_run(AGENT, "Do", FORM).budget.usd == 0


def test_parameters_are_filled_in_and_numbers_become_text() -> None:
    spec = plan_run(AGENT, "Do", {**FORM, "note": 3})
    assert spec.parameters == {"language": "python", "form": "a list", "note": "3"}
    assert spec.id.startswith("run_")
    assert plan_run(AGENT, "Do", FORM).id != spec.id
    assert plan_run(AGENT, "Do", FORM, id="run_x").id == "run_x"
