"""What experience may do to a route plan, and what it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_routing_plan import models, policies, profiles
from ymera.core.model import Model
from ymera.core.route import ExclusionReason, RoutePlan, RoutePolicy
from ymera.core.task import TaskProfile
from ymera.routing.plan import Snapshot, plan
from ymera.routing.score import EXPERIENCE_WEIGHT

advantages = st.dictionaries(
    st.sampled_from([f"p{n}/m-{n}b" for n in range(9)]), st.floats(-0.5, 0.5)
)


@pytest.mark.proves("routing.experience-safe")
@given(known=models(), profile=profiles, policy=policies(), learned=advantages)
def test_experience_lets_no_model_in_that_a_requirement_keeps_out(
    known: tuple[Model, ...], profile: TaskProfile, policy: RoutePolicy, learned: dict[str, float]
) -> None:
    snapshot = Snapshot(models=known)
    without = plan(profile, snapshot, policy)
    having = plan(profile, snapshot, policy, advantages=learned)

    def kept_out(made: RoutePlan) -> set[tuple[str, str]]:
        return {
            (each.model_id, each.reason)
            for each in made.exclusions
            if each.reason is not ExclusionReason.NOT_ASKED
        }

    assert kept_out(having) == kept_out(without)
    paid = [not each.model.free.may_auto_route for each in having.candidates]
    if policy.prefer_free:
        assert paid == sorted(paid) or any(each.model.weights for each in having.candidates)


@pytest.mark.proves("routing.experience")
@given(known=models(), profile=profiles, policy=policies(), learned=advantages)
def test_experience_moves_a_score_by_a_tenth_at_most_and_says_so(
    known: tuple[Model, ...], profile: TaskProfile, policy: RoutePolicy, learned: dict[str, float]
) -> None:
    snapshot = Snapshot(models=known)
    again = plan(profile, snapshot, policy, advantages=learned)
    assert again == plan(profile, snapshot, policy, advantages=dict(learned))
    for candidate in again.candidates:
        term = candidate.terms.get("experience", 0.0)
        assert term == EXPERIENCE_WEIGHT * learned.get(candidate.model.id, 0.0)
        assert abs(term) <= 0.1
        assert candidate.score == pytest.approx(sum(candidate.terms.values()))
        assert ("experience" in candidate.reason) == bool(term)


@pytest.mark.proves("routing.experience")
@given(known=models(), profile=profiles, policy=policies())
def test_nothing_learned_changes_nothing(
    known: tuple[Model, ...], profile: TaskProfile, policy: RoutePolicy
) -> None:
    snapshot = Snapshot(models=known)
    neutral = {model.id: 0.0 for model in known}
    assert plan(profile, snapshot, policy, advantages=neutral) == plan(profile, snapshot, policy)
