"""The quick look at a model says what the filters would say, never more."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.routing import PAID, WEIGHTS, model, task
from ymera.core.model import Limits, Model, ModelKind
from ymera.core.route import RoutePolicy
from ymera.core.task import Needs, TaskProfile, TaskType
from ymera.routing.filters import exclusion_of
from ymera.routing.plan import Snapshot, plan
from ymera.routing.shapes import Shape, Size

pytestmark = pytest.mark.proves("routing.shapes")

_known = st.sampled_from([True, False, None])
_bound = st.sampled_from([None, 0, 1, 300, 1_000, 8_000, 100_000])
_tokens = st.sampled_from([1, 44, 255, 256, 257, 700, 744, 7_744, 90_000])


@st.composite
def models(draw: st.DrawFn) -> Model:
    free = model().free if draw(st.booleans()) else PAID
    limits = Limits(rpm=draw(_bound), rpd=draw(_bound), tpm=draw(_bound), tpd=draw(_bound))
    return model(
        f"a/{draw(st.integers(0, 10**6))}",
        free=msgspec.structs.replace(free, limits=limits),
        kind=draw(st.sampled_from(ModelKind)),
        tools=draw(_known),
        vision=draw(_known),
        json_schema=draw(_known),
        trains_on_input=draw(_known),
        weights=draw(st.sampled_from([None, WEIGHTS])),
        context_window=draw(_bound),
        max_output=draw(_bound),
        quality=draw(st.sampled_from([{}, {"code": 0.7}, {"chat": 0.4, "code": 0.6}])),
        speed_tps=draw(st.sampled_from([None, 30.0, 900.0])),
    )


@st.composite
def profiles(draw: st.DrawFn) -> TaskProfile:
    flags = st.booleans()
    return task(
        type=draw(st.sampled_from(TaskType)),
        est_input_tokens=draw(_tokens),
        est_output_tokens=draw(_tokens),
        output_bounded=draw(flags),
        type_probability=draw(st.sampled_from([0.3, 1.0])),
        needs=Needs(
            tools=draw(flags), vision=draw(flags), json_schema=draw(flags), private=draw(flags)
        ),
    )


@given(candidate=models(), profile=profiles())
def test_what_surely_fits_is_kept_out_by_no_filter(candidate: Model, profile: TaskProfile) -> None:
    if Shape(candidate).surely_fits(Size(profile)):
        assert exclusion_of(candidate, profile, RoutePolicy(), {}) is None


@given(candidate=models(), profile=profiles())
def test_a_free_model_that_the_filters_let_in_surely_fits(
    candidate: Model, profile: TaskProfile
) -> None:
    let_in = exclusion_of(candidate, profile, RoutePolicy(), {}) is None
    assert Shape(candidate).surely_fits(Size(profile)) == let_in


@dataclass(frozen=True)
class _Same:
    """What a plan decides, whatever it explains."""

    ids: tuple[str, ...]
    scores: tuple[float, ...]
    reasons: tuple[str, ...]


@given(choice=st.lists(models(), max_size=6, unique_by=lambda each: each.id), profile=profiles())
def test_a_plan_to_carry_out_has_the_candidates_of_the_one_that_explains(
    choice: list[Model], profile: TaskProfile
) -> None:
    snapshot = Snapshot(models=tuple(choice))

    def decided(*, explain: bool) -> _Same:
        candidates = plan(profile, snapshot, RoutePolicy(), explain=explain).candidates
        return _Same(
            ids=tuple(each.model.id for each in candidates),
            scores=tuple(each.score for each in candidates),
            reasons=tuple(each.reason for each in candidates),
        )

    assert decided(explain=False) == decided(explain=True)
