"""What the moment allows: cooling models, used-up quotas, closed providers, keys."""

from __future__ import annotations

import pytest

from tests.support.routing import model, task
from ymera.core.model import Model
from ymera.core.route import Exclusion, ExclusionReason, RoutePolicy
from ymera.core.task import TaskComplexity, TaskProfile
from ymera.routing.filters import Admit
from ymera.routing.plan import Snapshot, explain_no_route, plan

MODELS = tuple(
    model(f"{name}/m", quality={"code": 0.9 - place / 10}) for place, name in enumerate("abcdef")
)
SNAPSHOT = Snapshot(models=MODELS)


class Gatekeeper:
    """Refuses some models and remembers who was asked about."""

    def __init__(self, *refused: str, key: str | None = None) -> None:
        self.refused = refused
        self.key = key
        self.looked_at: list[str] = []

    def __call__(self, model: Model, profile: TaskProfile) -> Exclusion | str | None:
        del profile
        self.looked_at.append(model.provider)
        if model.provider in self.refused:
            return Exclusion(
                model_id=model.id,
                reason=ExclusionReason.HEALTH,
                detail="It failed.",
                retry_after_s=5,
            )
        return self.key


def order(admit: Admit | None, count: int = 3, *, explain: bool = False) -> list[str]:
    made = plan(task(), SNAPSHOT, RoutePolicy(max_candidates=count), explain=explain, admit=admit)
    return [each.model.provider for each in made.candidates]


@pytest.mark.proves("engine.passed-over", "routing.selection")
@pytest.mark.parametrize("explain", [False, True])
def test_whoever_cannot_be_asked_now_makes_room_for_the_next(explain: bool) -> None:
    assert order(None, explain=explain) == ["a", "b", "c"]
    assert order(Gatekeeper("a", "c"), explain=explain) == ["b", "d", "e"]


@pytest.mark.proves("engine.passed-over", "routing.selection")
def test_the_reason_and_the_wait_stand_in_the_plan() -> None:
    made = plan(task(), SNAPSHOT, RoutePolicy(), admit=Gatekeeper("a"))
    (found,) = [each for each in made.exclusions if each.reason is ExclusionReason.HEALTH]
    assert (found.model_id, found.retry_after_s) == ("a/m", 5)
    assert len(made.candidates) + len(made.exclusions) == len(MODELS), "each model once"


@pytest.mark.proves("keys.rotation", "routing.selection")
def test_each_candidate_names_the_key_it_would_be_asked_with() -> None:
    made = plan(task(), SNAPSHOT, RoutePolicy(), admit=Gatekeeper(key="KEY_2"))
    assert {each.key_id for each in made.candidates} == {"KEY_2"}


@pytest.mark.proves("engine.passed-over")
def test_a_plan_to_be_carried_out_looks_no_further_than_it_must() -> None:
    gate = Gatekeeper("b")
    order(gate)
    assert gate.looked_at == ["a", "b", "c", "d"]
    explaining = Gatekeeper("b")
    order(explaining, explain=True)
    assert explaining.looked_at == list("abcdef")


@pytest.mark.proves("engine.no-route-wait", "routing.selection")
@pytest.mark.parametrize(
    ("reason", "way_out"),
    [
        (ExclusionReason.HEALTH, "Try again later"),
        (ExclusionReason.QUOTA, "Try again later"),
        (ExclusionReason.KEY, "ymera keys set a"),
        (ExclusionReason.CLOSED, "ymera providers open a"),
    ],
)
def test_when_nobody_is_left_the_hint_names_the_way_out(
    reason: ExclusionReason, way_out: str
) -> None:
    def refuse(model: Model, _profile: TaskProfile) -> Exclusion:
        return Exclusion(model_id=model.id, reason=reason, detail="Sentence.")

    made = plan(task(), Snapshot(models=MODELS[:1]), RoutePolicy(), admit=refuse)
    assert made.candidates == ()
    _, hint = explain_no_route(made)
    assert way_out in hint


@pytest.mark.proves("document.select-complexity", "routing.selection")
@pytest.mark.parametrize(
    ("complexity", "first"), [(TaskComplexity.SIMPLE, "quick"), (TaskComplexity.COMPLEX, "good")]
)
def test_an_easy_task_goes_to_the_quick_model_and_a_hard_one_to_the_good(
    complexity: TaskComplexity, first: str
) -> None:
    models = (
        model("good/m", quality={"code": 0.72}, speed_tps=20.0),
        model("quick/m", quality={"code": 0.6}, speed_tps=900.0),
    )
    policy = RoutePolicy(quality_weight=0.7, speed_weight=0.2)
    made = plan(task(complexity=complexity), Snapshot(models=models), policy)
    assert made.candidates[0].model.provider == first
