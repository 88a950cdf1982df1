"""The decision: which models to ask for a task, in what order, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType

import msgspec

from ymera.core.model import Model
from ymera.core.route import Candidate, Exclusion, ExclusionReason, RoutePlan, RoutePolicy
from ymera.core.task import TaskProfile
from ymera.routing.affinity import outgrown_price, staying_bonus
from ymera.routing.explain import explain_no_route
from ymera.routing.filters import Admit, Availability, exclusion_of
from ymera.routing.prices import Price
from ymera.routing.score import Scoring
from ymera.routing.selectors import selector
from ymera.routing.shapes import Shape, Size

__all__ = ["Snapshot", "explain_no_route", "plan"]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What is known at one moment; equal snapshots give equal plans.

    Attributes:
        models: every catalogue entry, each id once.
        availability: model id -> why it cannot be called now (no key, not pulled, cooling down,
            ...); a model that is absent can be called.
    """

    models: tuple[Model, ...]
    availability: Availability = {}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Every model by its id as decisions see it, made once per snapshot."""
        return {model.id: Shape(model) for model in self.models}

    @cached_property
    def callable_shapes(self) -> tuple[Shape, ...]:
        """Those of the models that can be called."""
        return tuple(shape for id, shape in self.shapes.items() if id not in self.availability)


def plan(
    profile: TaskProfile,
    snapshot: Snapshot,
    policy: RoutePolicy,
    *,
    explain: bool = True,
    advantages: Mapping[str, float] = MappingProxyType({}),
    stays_with: str | None = None,
    admit: Admit | None = None,
    prices: Price | None = None,
) -> RoutePlan:
    """Return the plan.

    No candidate is a valid plan: `explain_no_route` says it in words.

    Args:
        profile: the task.
        snapshot: models and what can be called.
        policy: the setting of the decision.
        explain: True says of every model of the snapshot why it is left out, so that each is in
            the plan exactly once. False looks at callable models alone and passes over those that
            only rank too low: the same candidates at a fraction of the cost, since most of a
            catalogue has no key.
        advantages: model id -> what experience speaks for or against it, -0.5..0.5. It weighs in
            the score alone: it lets nothing in that a requirement keeps out.
        stays_with: id of the model that answered this conversation's last turn: it gets a bonus in
            the score, which lets nothing in either.
        admit: says who can be asked at this moment, and with which key; None lets everyone in.
        prices: says what the quota that a call would use is worth to later calls; None: nothing.

    Raises:
        ConfigError: `policy.selector` names no selector.
    """
    exclusions: list[Exclusion] = []
    scoring = Scoring(profile, policy)
    fitting: list[Candidate] = []
    for shape in _fitting(profile, snapshot, policy, exclusions, explain=explain):
        model = shape.model
        fitting.append(
            scoring.candidate(
                shape,
                advantages.get(model.id, 0.0),
                staying=_staying(model, profile, stays_with),
                price=0.0 if prices is None else prices(model),
            )
        )
    ranked = _avoided_last(selector(policy.selector)(fitting, policy), policy)
    keys: dict[str, str] = {}
    if admit is not None:
        ranked = _admitted(ranked, profile, admit, exclusions, keys, None if explain else policy)
    asked, spare = _cut(ranked, policy.max_candidates)
    if explain:
        exclusions += _not_asked(spare, len(asked))
    return RoutePlan(
        profile=profile,
        policy=policy,
        candidates=_reasoned(asked, snapshot, scoring, policy, keys, alone=len(ranked) == 1),
        exclusions=tuple(exclusions),
        admitted=admit is not None,
    )


def _fitting(
    profile: TaskProfile,
    snapshot: Snapshot,
    policy: RoutePolicy,
    exclusions: list[Exclusion],
    *,
    explain: bool,
) -> Iterator[Shape]:
    """Yield the models that meet every requirement; the others go to `exclusions`."""
    if explain:
        shapes: Iterable[Shape] = snapshot.shapes.values()
    else:
        shapes = snapshot.callable_shapes
        if policy.only_model is not None:
            shapes = [shape for shape in shapes if shape.model.id == policy.only_model]
    size = Size(profile)
    for shape in shapes:
        if not explain and shape.surely_fits(size):
            yield shape
            continue
        exclusion = exclusion_of(shape.model, profile, policy, snapshot.availability)
        if exclusion is None:
            yield shape
        else:
            exclusions.append(exclusion)


def _staying(model: Model, profile: TaskProfile, stays_with: str | None) -> float:
    if model.id == stays_with:
        return staying_bonus(profile)
    return -outgrown_price(model, profile) if profile.needs.tools else 0.0


def _reasoned(
    asked: list[Candidate],
    snapshot: Snapshot,
    scoring: Scoring,
    policy: RoutePolicy,
    keys: Mapping[str, str],
    *,
    alone: bool,
) -> tuple[Candidate, ...]:
    """Return the candidates, each with its key and with why it stands where it does."""
    reasoned: list[Candidate] = []
    for place, each in enumerate(asked, 1):
        model = each.model
        reason = scoring.reason(place, each, snapshot.shapes[model.id], alone=alone)
        if policy.avoid:
            reason += _although(place, each, policy)
        reasoned.append(
            Candidate(
                model=model,
                score=each.score,
                terms=each.terms,
                reason=reason,
                key_id=keys.get(model.id),
            )
        )
    return tuple(reasoned)


def _admitted(
    ranked: list[Candidate],
    profile: TaskProfile,
    admit: Admit,
    exclusions: list[Exclusion],
    keys: dict[str, str],
    policy: RoutePolicy | None,
) -> list[Candidate]:
    """Return who can be asked now; the others go to `exclusions`, and names of keys to `keys`.

    With a policy, whoever ranks behind enough others is not looked at: nobody will ask it, or
    only after looking.
    """
    enough = len(ranked) if policy is None else policy.max_candidates
    admitted: list[Candidate] = []
    for place, candidate in enumerate(ranked):
        if len(admitted) >= enough:
            return admitted + ranked[place:]
        found = admit(candidate.model, profile)
        if isinstance(found, Exclusion):
            exclusions.append(found)
        else:
            admitted.append(candidate)
            if found is not None:
                keys[candidate.model.id] = found
    return admitted


def _avoided_last(ranked: list[Candidate], policy: RoutePolicy) -> list[Candidate]:
    """Put the models to avoid behind the others, but never a paid model before a free one."""
    if not policy.avoid:
        return ranked

    def rank(candidate: Candidate) -> tuple[bool, bool]:
        paid = policy.prefer_free and not candidate.model.free.may_auto_route
        return paid, candidate.model.id in policy.avoid

    return sorted(ranked, key=rank)


def _although(place: int, candidate: Candidate, policy: RoutePolicy) -> str:
    why = policy.avoid.get(candidate.model.id)
    if why is None:
        return ""
    return f" It {why}, but no other can be asked first." if place == 1 else f" Last: it {why}."


def _not_asked(spare: list[Candidate], ahead: int) -> list[Exclusion]:
    behind = f"It ranks behind the {ahead} that will be asked."
    return [
        Exclusion(model_id=candidate.model.id, reason=ExclusionReason.NOT_ASKED, detail=behind)
        for candidate in spare
    ]


def _cut(ranked: list[Candidate], count: int) -> tuple[list[Candidate], list[Candidate]]:
    """Return who will be asked and who will not.

    The last of several places goes to the best embedded model when none got in by rank: it needs
    neither network nor key, so a machine that is offline still answers. The one before goes to
    another provider when a single one has all: what closes that one must not leave nobody to ask.
    """
    asked, spare = ranked[:count], ranked[count:]
    if len(asked) < 2 or not spare:
        return asked, spare
    hosted = len(asked)
    if not any(each.model.weights for each in asked):
        refuge = next((each for each in spare if each.model.weights), None)
        if refuge is not None:
            hosted -= 1
            _swap(asked, hosted, spare, refuge)
        first = asked[0].model
        if hosted > 1 and all(each.model.provider == first.provider for each in asked[:hosted]):
            other = next((each for each in spare if _may_step_in(each.model, first)), None)
            if other is not None:
                _swap(asked, hosted - 1, spare, other)
    return asked, spare


def _may_step_in(model: Model, first: Model) -> bool:
    """Return whether a model is another provider's, and no paid one instead of a free one."""
    hosted = model.weights is None and model.provider != first.provider
    return hosted and model.free.may_auto_route >= first.free.may_auto_route


def _swap(asked: list[Candidate], place: int, spare: list[Candidate], other: Candidate) -> None:
    spare.remove(other)
    spare.insert(0, asked[place])
    asked[place] = other
