from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.routing import PAID, WEIGHTS, model, task
from ymera.core.errors import ConfigError
from ymera.core.model import Model
from ymera.core.route import ExclusionReason, RoutePlan, RoutePolicy
from ymera.core.task import Needs
from ymera.core.usage import Price
from ymera.routing.plan import Snapshot, explain_no_route, plan

GOOD = model("a/good", quality={"code": 0.9})
FAIR = model("b/fair", quality={"code": 0.6})
POOR = model("c/poor", quality={"code": 0.3})
TINY = model("local/tiny-135m", weights=WEIGHTS)
OTHER = model("d/other", free=PAID)


def decide(*models: Model, availability: object = None, **policy: object) -> RoutePlan:
    snapshot = Snapshot(models=models, availability=availability or {})  # type: ignore[arg-type]
    return plan(task(), snapshot, RoutePolicy(**policy))  # type: ignore[arg-type]


def asked(found: RoutePlan) -> list[str]:
    return [each.model.id for each in found.candidates]


@pytest.mark.proves("routing.exclusions")
def test_every_model_is_in_the_plan_once() -> None:
    found = decide(POOR, OTHER, GOOD, FAIR, max_candidates=2)

    assert asked(found) == ["a/good", "b/fair"]
    assert [(each.model_id, each.reason, each.detail) for each in found.exclusions] == [
        ("d/other", ExclusionReason.NOT_FREE, "No money may be spent. It has no free tier."),
        ("c/poor", ExclusionReason.NOT_ASKED, "It ranks behind the 2 that will be asked."),
    ]
    assert [each.reason for each in found.candidates] == [
        "Best free model here for code_generation: Arena code 0.90.",
        "Number 2 for code_generation, free: Arena code 0.60.",
    ]


@pytest.mark.proves("routing.offline-refuge")
def test_the_last_place_is_kept_for_an_embedded_model() -> None:
    found = decide(GOOD, FAIR, POOR, TINY, max_candidates=2)

    assert asked(found) == ["a/good", "local/tiny-135m"]
    assert {each.model_id for each in found.exclusions} == {"b/fair", "c/poor"}


@pytest.mark.proves("routing.offline-refuge")
def test_a_single_place_goes_to_the_best() -> None:
    assert asked(decide(GOOD, TINY, max_candidates=1)) == ["a/good"]


def test_an_embedded_model_that_ranks_well_is_not_asked_twice() -> None:
    assert asked(decide(TINY, POOR, max_candidates=2)) == ["c/poor", "local/tiny-135m"]


@pytest.mark.proves("routing.second-provider")
def test_one_place_is_kept_for_another_provider() -> None:
    twins = [model(f"a/{name}", quality={"code": 0.9}) for name in ("one", "three", "two")]
    assert asked(decide(*twins, FAIR, POOR, max_candidates=3)) == ["a/one", "a/three", "b/fair"]
    with_refuge = decide(*twins, FAIR, TINY, max_candidates=3)
    assert asked(with_refuge) == ["a/one", "b/fair", "local/tiny-135m"]
    assert {each.model_id for each in with_refuge.exclusions} == {"a/three", "a/two"}


@pytest.mark.proves("routing.second-provider")
def test_no_paid_model_takes_the_place_of_a_free_one() -> None:
    twins = [model(f"a/{name}", quality={"code": 0.9}) for name in ("one", "three", "two")]
    price = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(1))
    paid = model("b/paid", quality={"code": 0.9}, free=PAID, price=price)
    found = decide(*twins, paid, max_candidates=2, max_cost_usd=Decimal(1))
    assert asked(found) == ["a/one", "a/three"]


def test_a_pinned_model_stands_alone() -> None:
    found = decide(GOOD, FAIR, only_model="b/fair")

    assert asked(found) == ["b/fair"]
    assert found.candidates[0].reason == "Only model that can be asked now: Arena code 0.60."
    assert [each.detail for each in found.exclusions] == ["Only b/fair was asked."]


def test_an_unknown_selector_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="dice"):
        decide(GOOD, selector="dice")


NO_KEY = (ExclusionReason.NO_KEY, "No key for A: set A_KEY.")
NOT_PULLED = (ExclusionReason.NOT_PULLED, "Not on this machine yet.")


@pytest.mark.proves("routing.nothing-left")
def test_nothing_to_ask_counts_the_reasons_and_names_the_cheapest_way_out() -> None:
    availability = {
        "a/good": NO_KEY,
        "b/fair": (ExclusionReason.NO_KEY, "No key for B: set B_KEY."),
        "a/more": NO_KEY,
        "local/tiny-135m": NOT_PULLED,
    }
    found = decide(FAIR, GOOD, model("a/more"), TINY, OTHER, availability=availability)

    assert found.candidates == ()
    assert explain_no_route(found) == (
        "No model can serve this now: 3 without a key, 1 not pulled, 1 not free.",
        "`ymera models pull tiny-135m` gets a free model for this machine. "
        "A stronger one: No key for A: set A_KEY.",
    )


@pytest.mark.proves("routing.nothing-left")
@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        (ExclusionReason.NO_KEY, "Why."),
        (ExclusionReason.NO_CONSENT, "Why. `ymera setup --consent a` agrees to them."),
        (
            ExclusionReason.NOT_PULLED,
            "`ymera models pull good` gets a free model for this machine.",
        ),
        (ExclusionReason.HEALTH, "Try again later: Why."),
        (ExclusionReason.LIMIT_MINUTE, "Shorten the prompt or split it. Why."),
        (ExclusionReason.NOT_CALLABLE, "Why."),
        (
            ExclusionReason.NOT_FREE,
            "Name a free model, or set a budget (budget.max_usd_per_request).",
        ),
        (
            ExclusionReason.PRIVACY,
            "Pull a local model, or send the request without asking for privacy.",
        ),
    ],
)
def test_each_reason_has_its_way_out(reason: ExclusionReason, hint: str) -> None:
    found = decide(GOOD, availability={"a/good": (reason, "Why.")})

    assert explain_no_route(found)[1] == hint


@pytest.mark.proves("routing.nothing-left")
def test_a_missing_capability_sends_to_the_list_of_models() -> None:
    found = plan(task(needs=Needs(vision=True)), Snapshot(models=(GOOD,)), RoutePolicy())

    assert explain_no_route(found) == (
        "No model can serve this now: 1 blind to images.",
        "`ymera models` shows which models can; a key for one of them opens the way.",
    )


@pytest.mark.proves("routing.nothing-left")
def test_a_pinned_model_that_cannot_be_asked_gives_its_own_reason() -> None:
    found = decide(GOOD, FAIR, only_model="b/fair", availability={"b/fair": NO_KEY})

    assert explain_no_route(found) == (
        "b/fair cannot serve this: No key for A: set A_KEY.",
        "Or name another model: `ymera models` lists them, `auto` chooses by itself.",
    )


@pytest.mark.proves("routing.nothing-left")
@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        (ExclusionReason.CLOSED, "`ymera providers open b` is the way back."),
        (ExclusionReason.NO_CONSENT, "`ymera setup --consent b` agrees to them."),
        (ExclusionReason.QUOTA, "Try again later."),
        (ExclusionReason.LIMIT_DAY, "Shorten the prompt or split it."),
    ],
)
def test_of_a_pinned_model_the_hint_does_not_repeat_the_reason(
    reason: ExclusionReason, hint: str
) -> None:
    found = decide(GOOD, FAIR, only_model="b/fair", availability={"b/fair": (reason, "Why.")})

    assert explain_no_route(found) == ("b/fair cannot serve this: Why.", hint)


@pytest.mark.proves("routing.nothing-left")
def test_an_empty_catalogue_is_said() -> None:
    assert explain_no_route(decide())[0] == "There is no model to ask."
