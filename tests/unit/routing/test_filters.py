from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.routing import PAID, WEIGHTS, model, task
from ymera.core.model import FreeTerms, Limits, Model, ModelKind
from ymera.core.route import Exclusion, ExclusionReason, RoutePolicy
from ymera.core.task import Needs, TaskProfile
from ymera.core.usage import Price
from ymera.routing.filters import estimated_cost_usd, exclusion_of

PINNED = RoutePolicy(name="sim/plain", only_model="sim/plain")
BUDGET = RoutePolicy(max_cost_usd=Decimal("0.01"))
CHEAP = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(2))
DEAR = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(20))
LISTED_AT_ZERO = Price(input_usd_per_mtok=Decimal(0), output_usd_per_mtok=Decimal(0))


def why(
    candidate: Model, profile: TaskProfile | None = None, policy: RoutePolicy | None = None
) -> ExclusionReason | None:
    found = exclusion_of(candidate, profile or task(), policy or RoutePolicy(), {})
    return found.reason if found is not None else None


def limited(**limits: int) -> Model:
    free = FreeTerms(free_now=True, may_auto_route=True, reason="", limits=Limits(**limits))
    return model(free=free)


@pytest.mark.proves("routing.exclusions")
def test_an_exclusion_names_the_model_the_reason_and_the_numbers() -> None:
    assert exclusion_of(model(context_window=300), task(), RoutePolicy(), {}) == Exclusion(
        model_id="sim/plain",
        reason=ExclusionReason.CONTEXT,
        detail="About 100 tokens in and 256 out do not fit its context of 300.",
    )


def test_a_model_of_which_nothing_is_known_can_take_a_plain_request() -> None:
    assert why(model()) is None


def test_only_chat_models_chat() -> None:
    assert why(model(kind=ModelKind.EMBEDDING)) is ExclusionReason.NOT_CHAT


@pytest.mark.proves("routing.needs")
@pytest.mark.parametrize(
    ("need", "fact", "reason"),
    [
        ("tools", "tools", ExclusionReason.NO_TOOLS),
        ("vision", "vision", ExclusionReason.NO_VISION),
        ("json_schema", "json_schema", ExclusionReason.NO_JSON_SCHEMA),
    ],
)
def test_a_needed_capability_must_be_known(need: str, fact: str, reason: ExclusionReason) -> None:
    needing = task(needs=Needs(**{need: True}))

    assert why(model(**{fact: True}), needing) is None
    assert why(model(**{fact: None}), needing) is reason
    assert why(model(**{fact: False}), needing) is reason


@pytest.mark.proves("routing.needs")
def test_a_pinned_model_is_trusted_where_the_catalogue_does_not_know() -> None:
    needing = task(needs=Needs(tools=True))

    assert why(model(tools=None), needing, PINNED) is None
    assert why(model(tools=False), needing, PINNED) is ExclusionReason.NO_TOOLS


@pytest.mark.proves("routing.needs")
def test_an_embedded_model_keeps_to_any_schema() -> None:
    needing = task(needs=Needs(json_schema=True))

    assert why(model(weights=WEIGHTS, json_schema=False), needing) is None


@pytest.mark.proves("routing.needs")
def test_a_private_request_goes_only_where_nothing_is_trained_on() -> None:
    private = task(needs=Needs(private=True))

    assert why(model(trains_on_input=False), private) is None
    assert why(model(weights=WEIGHTS), private) is None
    assert why(model(trains_on_input=True), private) is ExclusionReason.PRIVACY
    assert why(model(trains_on_input=None), private) is ExclusionReason.PRIVACY


@pytest.mark.proves("routing.never-spends")
def test_without_a_budget_only_the_allow_list_is_asked() -> None:
    assert why(model(free=PAID, price=CHEAP)) is ExclusionReason.NOT_FREE
    assert why(model(free=PAID, price=CHEAP), policy=RoutePolicy(prefer_free=False)) is (
        ExclusionReason.NOT_FREE
    )


@pytest.mark.proves("routing.never-spends")
def test_a_budget_lets_in_what_it_covers() -> None:
    assert why(model(free=PAID, price=CHEAP), policy=BUDGET) is None
    assert why(model(free=PAID, price=DEAR), policy=BUDGET) is ExclusionReason.NOT_FREE


@pytest.mark.proves("routing.never-spends")
@pytest.mark.parametrize("price", [Price(), LISTED_AT_ZERO])
def test_no_budget_covers_a_price_that_is_unknown_or_listed_as_zero(price: Price) -> None:
    assert estimated_cost_usd(model(free=PAID, price=price), task()) is None
    assert why(model(free=PAID, price=price), policy=BUDGET) is ExclusionReason.NOT_FREE


def test_a_free_model_costs_nothing_and_a_paid_one_its_tokens() -> None:
    assert estimated_cost_usd(model(price=DEAR), task()) == 0
    assert estimated_cost_usd(model(free=PAID, price=CHEAP), task()) == Decimal("0.0021")


def test_a_usual_answer_length_shrinks_but_keeps_its_least_room() -> None:
    assert why(model(context_window=100 + 256)) is None
    assert why(model(context_window=100 + 255)) is ExclusionReason.CONTEXT
    assert why(model(context_window=110), task(est_output_tokens=10)) is None


def test_a_bound_of_the_caller_must_fit_a_hosted_model() -> None:
    bounded = task(output_bounded=True)

    assert why(model(context_window=1_100), bounded) is None
    assert why(model(context_window=1_099), bounded) is ExclusionReason.CONTEXT
    assert why(model(max_output=999), bounded) is ExclusionReason.CONTEXT
    assert why(model(max_output=999)) is None


def test_an_embedded_model_takes_a_bound_as_a_ceiling() -> None:
    assert why(model(weights=WEIGHTS, context_window=400), task(output_bounded=True)) is None


@pytest.mark.proves("routing.limits", "document.select-rate-limit")
def test_a_request_over_a_token_limit_is_not_sent() -> None:
    assert why(limited(tpm=356, tpd=356)) is None
    assert why(limited(tpm=355)) is ExclusionReason.LIMIT_MINUTE
    assert why(limited(tpd=355)) is ExclusionReason.LIMIT_DAY


@pytest.mark.proves("routing.limits")
def test_a_free_tier_of_no_requests_is_none() -> None:
    assert why(limited(rpm=0)) is ExclusionReason.LIMIT_MINUTE
    assert why(limited(rpd=0)) is ExclusionReason.LIMIT_DAY
    assert why(limited(rpm=1, rpd=1)) is None


def test_limits_of_the_free_tier_do_not_bind_paid_calls() -> None:
    free = FreeTerms(free_now=False, may_auto_route=False, reason="", limits=Limits(rpm=0))

    assert why(model(free=free, price=CHEAP), policy=BUDGET) is None


@pytest.mark.proves("routing.exclusions")
def test_what_is_set_up_here_is_told_only_of_models_that_would_fit() -> None:
    availability = {"sim/plain": (ExclusionReason.NO_KEY, "No key for sim: set SIM_KEY.")}

    def told(candidate: Model) -> ExclusionReason | None:
        found = exclusion_of(candidate, task(), RoutePolicy(), availability)
        return found.reason if found else None

    assert told(model()) is ExclusionReason.NO_KEY
    assert told(model(context_window=10)) is ExclusionReason.CONTEXT


def test_beside_a_pinned_model_nothing_is_asked() -> None:
    assert why(model(), policy=PINNED) is None
    assert why(model("sim/other"), policy=PINNED) is ExclusionReason.NOT_ASKED
