"""Reviews, revisions, trimmed context, and what is made of answers that go round in circles."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tests.support.phases import BAD, CODE, GOOD, Cast, phase, run_of, text_of
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.phases.budget import BudgetLedger
from ymera.phases.parsers import longest_beginning, parser_of
from ymera.phases.types import ArtefactKind, Budget, OutputContract, PhaseOutcome, PhaseState
from ymera.testing.scripted import ScriptedProvider

BUSY = ProviderError("The host is busy.", kind=ProviderErrorKind.UPSTREAM_BUSY)
REVISE = '{"verdict": "revise", "issues": ["The names are bad everywhere."]}'
ACCEPT = '{"verdict": "accept", "issues": []}'


def one(*answers: object) -> Cast:
    return Cast({"a": ScriptedProvider(answers=answers)})  # type: ignore[arg-type]


@pytest.mark.proves("phases.review")
async def test_a_review_goes_to_another_model_than_made_the_artefact() -> None:
    cast = Cast(
        {"a": ScriptedProvider(answers=[GOOD, "x"]), "b": ScriptedProvider(answers=[ACCEPT])}
    )
    review = phase("review", review_of="code", output=OutputContract(kind=ArtefactKind.JSON))
    outcomes = await cast.play(run_of(phase("code", output=CODE), review))
    assert (outcomes["code"].model, outcomes["review"].model) == ("a/m", "b/m")
    assert cast.asked("b")[0].hints.avoid_models == {"a/m": "made the artefact it would review"}


@pytest.mark.proves("phases.review")
async def test_the_maker_reviews_its_own_where_it_is_alone_and_the_reason_says_so() -> None:
    cast = one(GOOD, ACCEPT)
    review = phase("review", review_of="code", output=OutputContract(kind=ArtefactKind.JSON))
    outcomes = await cast.play(run_of(phase("code", output=CODE), review))
    assert outcomes["review"].reason.endswith(
        "It made the artefact it would review, but no other can be asked first."
    )


def revising(**facts: object) -> tuple[object, ...]:
    return (
        phase("code", output=CODE),
        phase(
            "review", review_of="code", optional=True, output=OutputContract(kind=ArtefactKind.JSON)
        ),
        phase(
            "combine",
            "{{ artefacts.code }} {{ artefacts.review }}",
            revises="code",
            after=("review",),
            output=CODE,
            **facts,
        ),
    )


@pytest.mark.proves("phases.combine")
async def test_a_review_that_finds_something_is_worked_in() -> None:
    better = "```python\ndef plus(first, second):\n    return first + second\n```"
    cast = one(GOOD, REVISE, better)
    outcomes = await cast.play(run_of(*revising()))  # type: ignore[arg-type]
    assert text_of(outcomes["combine"]).startswith("def plus")
    prompt = cast.asked("a")[2].messages[-1].text
    assert "- The names are bad everywhere." in prompt
    assert "return a + b" in prompt


@pytest.mark.proves("phases.combine")
async def test_nothing_is_asked_when_the_review_finds_nothing() -> None:
    cast = one(GOOD, ACCEPT)
    outcomes = await cast.play(run_of(*revising()))  # type: ignore[arg-type]
    assert text_of(outcomes["combine"]) == text_of(outcomes["code"])
    assert outcomes["combine"].spend.calls == 0
    assert outcomes["combine"].model is None
    assert "asks for no change" in outcomes["combine"].reason


@pytest.mark.proves("phases.combine", "document.combine")
async def test_a_checked_artefact_survives_a_revision_that_does_not_parse() -> None:
    cast = one(GOOD, REVISE, BAD, BAD, BAD, BAD)
    outcomes = await cast.play(run_of(*revising()))  # type: ignore[arg-type]
    combine = outcomes["combine"]
    assert combine.state is PhaseState.DONE
    assert text_of(combine) == text_of(outcomes["code"])
    assert "No revision was used, code stands" in combine.losses[-1]
    assert combine.spend.calls > 0


@pytest.mark.proves("phases.combine")
async def test_a_revision_that_loses_most_of_the_artefact_is_not_used() -> None:
    long = "```python\n" + "\n".join(f"value_{n} = {n} * 2" for n in range(20)) + "\n```"
    cast = one(long, REVISE, "```python\nx = 1\n```", "```python\nx = 2\n```")
    outcomes = await cast.play(run_of(*revising()))  # type: ignore[arg-type]
    assert text_of(outcomes["combine"]) == text_of(outcomes["code"])
    assert "keeps" in outcomes["combine"].losses[-1]


@pytest.mark.proves("phases.combine")
async def test_a_checked_artefact_survives_the_end_of_the_budget() -> None:
    cast = one(GOOD, REVISE, GOOD)
    outcomes = await cast.play(run_of(*revising(), budget=Budget(calls=2)))  # type: ignore[arg-type]
    assert outcomes["combine"].state is PhaseState.DONE
    assert "budget" in outcomes["combine"].losses[-1]


@pytest.mark.proves("phases.combine")
async def test_without_a_review_the_artefact_stands() -> None:
    cast = one(GOOD, BUSY, GOOD)
    outcomes = await cast.play(run_of(*revising()))  # type: ignore[arg-type]
    assert outcomes["review"].state is PhaseState.FAILED
    assert "there is no review of it" in outcomes["combine"].reason
    assert len(cast.asked("a")) == 2


@pytest.mark.proves("phases.trim")
async def test_context_is_cut_to_fit_the_older_first_and_the_loss_reported() -> None:
    older = " ".join(f"old{n}" for n in range(200))
    newer = " ".join(f"new{n}" for n in range(200))
    cast = one(older, newer, "done")
    cast.context_tokens = 800
    outcomes = await cast.play(
        run_of(
            phase("first"),
            phase("second"),
            phase(
                "write", "{{ artefacts.first }}\n{{ artefacts.second }}", after=("first", "second")
            ),
        )
    )
    prompt = cast.asked("a")[2].messages[-1].text
    assert prompt.count("new") == 200
    assert 0 < prompt.count("old") < 200
    (loss,) = outcomes["write"].losses
    assert loss.startswith("first was cut: ")
    assert "characters left out" in prompt


@pytest.mark.proves("phases.trim")
async def test_what_cannot_be_shown_whole_is_not_revised() -> None:
    long = "```python\n" + "\n".join(f"value_{n} = {n} * 2" for n in range(200)) + "\n```"
    cast = one(long, REVISE, GOOD)
    cast.context_tokens = 700
    outcomes = await cast.play(run_of(*revising()))  # type: ignore[arg-type]
    assert "does not fit into a prompt whole" in outcomes["combine"].reason
    assert any("code was cut" in loss for loss in outcomes["combine"].losses)


async def test_outcomes_survive_being_stored() -> None:
    cast = one(GOOD, REVISE, BAD)
    outcomes = await cast.play(run_of(*revising()))  # type: ignore[arg-type]
    stored = msgspec.json.encode(outcomes)
    assert msgspec.json.decode(stored, type=dict[str, PhaseOutcome]) == outcomes
    assert isinstance(BudgetLedger(Budget(), monotonic=lambda: 0.0).spend.usd, Decimal)


LOOPING = "```python\nimport json\n\n\ndef first(value):\n    return json.dumps(value)\n\n\n" + (
    "def first_list_of_all_values(value):\n    return first_list_of_values(value)\n" * 20
)


@pytest.mark.proves("phases.retry")
async def test_what_two_looping_answers_had_before_their_loop_is_used() -> None:
    cast = one(LOOPING, LOOPING, GOOD)
    outcome = (await cast.play(run_of(phase("code", output=CODE, retries=3))))["code"]
    assert outcome.state is PhaseState.DONE
    assert text_of(outcome).startswith("import json")
    assert text_of(outcome).count("first_list_of_all_values") == 1
    assert "repeat itself" in outcome.losses[-1]
    assert outcome.spend.calls == 2


@pytest.mark.proves("phases.retry")
async def test_a_good_answer_after_a_looping_one_wins() -> None:
    cast = one(LOOPING, GOOD)
    outcome = (await cast.play(run_of(phase("code", output=CODE, retries=1))))["code"]
    assert text_of(outcome).startswith("def add")
    assert outcome.losses == ()


@pytest.mark.proves("phases.retry")
async def test_one_looping_answer_is_used_when_nothing_better_comes() -> None:
    cast = one(LOOPING, BAD, BAD)
    outcome = (await cast.play(run_of(phase("code", output=CODE, retries=1))))["code"]
    assert outcome.state is PhaseState.DONE
    assert text_of(outcome).startswith("import json")


FUNCTIONS = "\n\n".join(f"def f{n}(x):\n    return x + {n}" for n in range(9))
CUT = f"```python\n{FUNCTIONS}\n\ndef g("


@pytest.mark.proves("phases.retry")
async def test_the_longest_beginning_that_parses_is_used_when_no_whole_answer_comes() -> None:
    cast = one(BAD, CUT, BAD)
    outcome = (await cast.play(run_of(phase("code", output=CODE, retries=2))))["code"]
    assert outcome.state is PhaseState.DONE
    assert text_of(outcome).endswith("return x + 8")
    assert outcome.losses[-1] == (
        "Not valid Python: line 28: '(' was never closed."
        " Its first 26 of 28 lines parse and are used."
    )


@pytest.mark.proves("phases.retry")
async def test_less_than_half_of_an_answer_is_no_artefact() -> None:
    broken = "```python\nx = 1\n" + "this is no code at all\n" * 5 + "```"
    outcome = (await one(broken).play(run_of(phase("code", output=CODE, retries=0))))["code"]
    assert (outcome.state, outcome.artefact) == (PhaseState.FAILED, None)


def test_a_beginning_of_sql_ends_with_a_statement() -> None:
    parse = parser_of("sql")
    assert parse is not None
    text = "SELECT 1;\nDELETE FROM users\nWHERE id = = 5"
    assert longest_beginning(text, parse) == "SELECT 1;"
    assert longest_beginning("DELETE FROM users\nWHERE id = = 5", parse) is None
