from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.routing import PAID, WEIGHTS, model, task
from ymera.core.model import Model
from ymera.core.route import Candidate, RoutePolicy
from ymera.core.task import TaskComplexity, TaskProfile, TaskType
from ymera.core.usage import Price
from ymera.routing.score import Scoring
from ymera.routing.shapes import QUALITY_KEYS, Shape, quality_key

RATED = {"chat": 0.5, "code": 0.9, "long_context": 0.7, "instruction": 0.6}
POLICY = RoutePolicy()


def quality_of(candidate: Model, profile: TaskProfile) -> float:
    return Shape(candidate).quality(quality_key(profile), profile.type_probability)


def candidate_of(candidate: Model, profile: TaskProfile, policy: RoutePolicy) -> Candidate:
    return Scoring(profile, policy).candidate(Shape(candidate))


def test_every_task_type_has_an_arena_category() -> None:
    assert set(QUALITY_KEYS) == set(TaskType)


@pytest.mark.proves("document.select-task-type")
def test_quality_is_the_rank_in_the_category_of_the_task() -> None:
    assert quality_of(model(quality=RATED), task()) == 0.9
    assert quality_of(model(quality=RATED), task(type=TaskType.CHAT)) == 0.5


def test_a_category_without_a_rank_falls_back_to_the_general_one() -> None:
    vision = task(type=TaskType.VISION)

    assert quality_of(model(quality=RATED), vision) == 0.5
    assert quality_of(model(quality={"code": 0.2, "webdev": 0.4}), vision) == pytest.approx(0.3)


def test_an_unsure_type_leans_on_general_quality() -> None:
    assert quality_of(model(quality=RATED), task(type_probability=0.5)) == pytest.approx(0.7)


def test_a_long_prompt_is_judged_by_long_context() -> None:
    long = {"est_input_tokens": 50_000}

    assert quality_of(model(quality=RATED), task(type=TaskType.SUMMARIZATION, **long)) == 0.7
    assert quality_of(model(quality=RATED), task(**long)) == 0.9


def test_an_unrated_model_is_judged_by_the_size_in_its_name() -> None:
    chat = task(type=TaskType.CHAT)
    ids = ("a/smollm-135m", "a/x-0.5b", "a/x-7b-a1b", "a/x:30b", "a/x-550b", "a/4.7-pro")

    assert [round(quality_of(model(id), chat), 3) for id in ids] == [
        0.01,
        0.02,
        0.087,
        0.195,
        0.5,
        0.3,
    ]


def test_an_unrated_model_named_for_code_counts_more_for_code() -> None:
    codestral = model("m/codestral-latest")

    assert quality_of(codestral, task()) == pytest.approx(0.45)
    assert quality_of(codestral, task(type=TaskType.CHAT)) == pytest.approx(0.3)


def score_of(candidate: Model, complexity: TaskComplexity, policy: RoutePolicy = POLICY) -> float:
    return candidate_of(candidate, task(complexity=complexity), policy).score


@pytest.mark.proves("document.select-complexity")
def test_easy_tasks_lean_to_the_fast_and_hard_ones_to_the_good() -> None:
    good = model("a/good", quality={"code": 0.9}, speed_tps=50)
    fast = model("a/fast", quality={"code": 0.6}, speed_tps=1_000)

    assert score_of(fast, TaskComplexity.SIMPLE) > score_of(good, TaskComplexity.SIMPLE)
    assert score_of(good, TaskComplexity.COMPLEX) > score_of(fast, TaskComplexity.COMPLEX)


def test_a_policy_that_wants_quality_alone_gets_it_for_every_complexity() -> None:
    best = RoutePolicy(quality_weight=1, speed_weight=0)
    rated = model(quality=RATED, speed_tps=1)

    assert [score_of(rated, each, best) for each in TaskComplexity] == [0.9, 0.9, 0.9]


def test_unknown_speed_is_neutral() -> None:
    assert score_of(model(), TaskComplexity.MEDIUM) == score_of(
        model(speed_tps=100), TaskComplexity.MEDIUM
    )


def test_thrift_is_the_share_of_the_budget_left() -> None:
    policy = RoutePolicy(
        quality_weight=0, speed_weight=0, cost_weight=1, max_cost_usd=Decimal("0.0042")
    )
    price = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(2))

    assert candidate_of(model(), task(), policy).score == 1
    assert candidate_of(model(free=PAID, price=price), task(), policy).terms == {
        "quality": 0,
        "speed": 0,
        "thrift": pytest.approx(0.5),
    }


@pytest.mark.parametrize(
    ("facts", "place", "alone", "sentence"),
    [
        ({}, 1, True, "Only model that can be asked now: Arena code 0.90, 50 tokens/s."),
        ({}, 1, False, "Best free model here for code_generation: Arena code 0.90, 50 tokens/s."),
        (
            {"free": PAID},
            2,
            False,
            "Number 2 for code_generation, paid: Arena code 0.90, 50 tokens/s.",
        ),
        (
            {"quality": {"chat": 0.4}, "speed_tps": None},
            1,
            False,
            "Best free model here for code_generation: no Arena code rank, overall 0.40.",
        ),
        (
            {"quality": {}, "speed_tps": None, "weights": WEIGHTS},
            1,
            True,
            "Only model that can be asked now: not ranked, estimated 0.30 from its name, "
            "on this machine.",
        ),
    ],
)
def test_a_candidate_says_why_it_stands_where_it_does(
    facts: dict[str, object], place: int, alone: bool, sentence: str
) -> None:
    rated = {"quality": {"code": 0.9}, "speed_tps": 50.0} | facts
    candidate = candidate_of(model(**rated), task(), POLICY)

    scoring = Scoring(task(), POLICY)
    assert scoring.reason(place, candidate, Shape(candidate.model), alone=alone) == sentence
