from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.routing import WEIGHTS
from ymera.core.model import FreeTerms, Limits, Model, ModelKind
from ymera.core.route import ExclusionReason, RoutePlan, RoutePolicy
from ymera.core.task import Needs, TaskComplexity, TaskProfile, TaskType
from ymera.core.usage import Price
from ymera.routing.filters import estimated_cost_usd
from ymera.routing.plan import Snapshot, explain_no_route, plan
from ymera.routing.policies import ALIASES, policy_for

share = st.floats(0, 1)
maybe = st.none() | st.booleans()
tokens = st.none() | st.integers(0, 20_000)
dollars = st.none() | st.decimals(0, 100, places=2)
CATEGORIES = ("chat", "code", "reasoning_math", "long_context", "instruction", "vision")

free_terms = st.builds(
    FreeTerms,
    free_now=maybe,
    may_auto_route=st.booleans(),
    reason=st.just("because"),
    limits=st.builds(Limits, rpm=tokens, rpd=tokens, tpm=tokens, tpd=tokens),
)


@st.composite
def models(draw: st.DrawFn) -> tuple[Model, ...]:
    ids = draw(st.lists(st.sampled_from([f"p{n}/m-{n}b" for n in range(9)]), unique=True))
    return tuple(
        Model(
            id=each,
            provider=each[:2],
            upstream_id=each,
            name=each,
            kind=draw(st.sampled_from(ModelKind)),
            context_window=draw(tokens),
            max_output=draw(tokens),
            vision=draw(maybe),
            tools=draw(maybe),
            json_schema=draw(maybe),
            price=Price(input_usd_per_mtok=draw(dollars), output_usd_per_mtok=draw(dollars)),
            free=draw(free_terms),
            quality=draw(st.dictionaries(st.sampled_from(CATEGORIES), share)),
            speed_tps=draw(st.none() | st.floats(0, 5_000)),
            trains_on_input=draw(maybe),
            weights=draw(st.none() | st.just(WEIGHTS)),
        )
        for each in ids
    )


profiles = st.builds(
    TaskProfile,
    type=st.sampled_from(TaskType),
    complexity=st.sampled_from(TaskComplexity),
    est_input_tokens=st.integers(1, 20_000),
    est_output_tokens=st.integers(1, 5_000),
    needs=st.builds(Needs, *[], **dict.fromkeys(Needs.__struct_fields__, st.booleans())),
    type_probability=share,
    output_bounded=st.booleans(),
)
snapshots = st.builds(
    Snapshot,
    models=models(),
    availability=st.dictionaries(
        st.sampled_from([f"p{n}/m-{n}b" for n in range(9)]),
        st.tuples(st.sampled_from([ExclusionReason.NO_KEY, ExclusionReason.HEALTH]), st.just("x")),
    ),
)


@st.composite
def policies(draw: st.DrawFn) -> RoutePolicy:
    policy = policy_for(
        draw(st.sampled_from(ALIASES)),
        prefer_free=draw(st.booleans()),
        max_cost_usd=draw(st.sampled_from([Decimal(0), Decimal("0.001"), Decimal(1)])),
        max_retries=draw(st.integers(0, 9)),
    )
    assert policy is not None
    return policy


plans = st.builds(plan, profiles, snapshots, policies())


@pytest.mark.proves("routing.needs")
@given(profile=profiles, snapshot=snapshots, policy=policies())
def test_no_candidate_misses_a_hard_requirement(
    profile: TaskProfile, snapshot: Snapshot, policy: RoutePolicy
) -> None:
    needs = profile.needs
    for candidate in plan(profile, snapshot, policy).candidates:
        model = candidate.model
        assert model.kind is ModelKind.CHAT
        assert model.id not in snapshot.availability
        assert model.tools or not needs.tools
        assert model.vision or not needs.vision
        assert model.json_schema or model.weights or not needs.json_schema
        assert model.weights or model.trains_on_input is False or not needs.private
        assert model.context_window is None or profile.est_input_tokens < model.context_window
        assert 0 not in (model.free.limits.rpm, model.free.limits.rpd) or (
            not model.free.may_auto_route
        )


@pytest.mark.proves("routing.never-spends")
@given(found=plans)
def test_no_candidate_costs_more_than_the_policy_allows(found: RoutePlan) -> None:
    for candidate in found.candidates:
        cost = estimated_cost_usd(candidate.model, found.profile)
        assert cost is not None
        assert cost <= found.policy.max_cost_usd


@pytest.mark.proves("routing.pure")
@given(profile=profiles, snapshot=snapshots, policy=policies())
def test_the_same_input_gives_the_same_plan(
    profile: TaskProfile, snapshot: Snapshot, policy: RoutePolicy
) -> None:
    again = Snapshot(models=snapshot.models[::-1], availability=snapshot.availability)

    assert plan(profile, snapshot, policy) == plan(profile, snapshot, policy)
    assert plan(profile, snapshot, policy).candidates == plan(profile, again, policy).candidates


@given(found=plans)
def test_the_terms_add_up_to_the_score(found: RoutePlan) -> None:
    for candidate in found.candidates:
        assert sum(candidate.terms.values()) == candidate.score
        assert 0 <= candidate.score <= 1.0000001
        assert candidate.reason.endswith(".")


@pytest.mark.proves("routing.free-first")
@given(found=plans)
def test_free_candidates_rank_before_paid_ones(found: RoutePlan) -> None:
    ranked = found.candidates
    if any(each.model.weights for each in ranked[-1:]):
        ranked = ranked[:-1]  # the place kept for an embedded model
    paid = [not each.model.free.may_auto_route for each in ranked]

    assert paid == sorted(paid) or not found.policy.prefer_free


@pytest.mark.proves("routing.exclusions")
@given(profile=profiles, snapshot=snapshots, policy=policies())
def test_every_model_is_a_candidate_or_excluded_and_never_both(
    profile: TaskProfile, snapshot: Snapshot, policy: RoutePolicy
) -> None:
    found = plan(profile, snapshot, policy)
    seen = [each.model.id for each in found.candidates]
    seen += [each.model_id for each in found.exclusions]

    assert sorted(seen) == sorted(each.id for each in snapshot.models)
    assert len(found.candidates) <= policy.max_candidates


@pytest.mark.proves("routing.pure")
@given(profile=profiles, snapshot=snapshots, policy=policies())
def test_a_plan_that_explains_nothing_asks_the_same_models(
    profile: TaskProfile, snapshot: Snapshot, policy: RoutePolicy
) -> None:
    full, quick = (plan(profile, snapshot, policy, explain=each) for each in (True, False))
    assert quick.candidates == full.candidates
    assert set(quick.exclusions) <= set(full.exclusions)
    left_out = {exclusion.model_id for exclusion in quick.exclusions}
    assert left_out.isdisjoint(snapshot.availability)


@pytest.mark.proves("routing.nothing-left")
@given(found=plans)
def test_a_plan_can_always_be_explained(found: RoutePlan) -> None:
    message, hint = explain_no_route(found)

    assert message
    assert hint
