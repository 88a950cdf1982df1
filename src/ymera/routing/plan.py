"""The decision: which models to ask for a task, in what order, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType

import msgspec

from ymera.core.model import Model
from ymera.core.route import Candidate, Exclusion, ExclusionReason, RoutePlan, RoutePolicy
from ymera.core.task import TaskProfile
from ymera.routing.affinity import staying_bonus
from ymera.routing.explain import explain_no_route
from ymera.routing.filters import Admit, Availability, exclusion_of
from ymera.routing.score import candidate_of, reason_of
from ymera.routing.selectors import selector

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
    def callable_models(self) -> tuple[Model, ...]:
        """The models that can be called, found once per snapshot."""
        return tuple(model for model in self.models if model.id not in self.availability)


def plan(
    profile: TaskProfile,
    snapshot: Snapshot,
    policy: RoutePolicy,
    *,
    explain: bool = True,
    advantages: Mapping[str, float] = MappingProxyType({}),
    stays_with: str | None = None,
    admit: Admit | None = None,
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

    Raises:
        ConfigError: `policy.selector` names no selector.
    """
    fitting: list[Candidate] = []
    exclusions: list[Exclusion] = []
    for model in snapshot.models if explain else _callable(snapshot, policy):
        exclusion = exclusion_of(model, profile, policy, snapshot.availability)
        if exclusion is None:
            bonus = staying_bonus(profile) if model.id == stays_with else 0.0
            learned = advantages.get(model.id, 0.0)
            fitting.append(candidate_of(model, profile, policy, learned, staying=bonus))
        else:
            exclusions.append(exclusion)
    ranked = _avoided_last(selector(policy.selector)(fitting, policy), policy)
    if admit is not None:
        ranked = _admitted(ranked, profile, admit, exclusions, None if explain else policy)
    asked, spare = _cut(ranked, policy.max_candidates)
    if explain:
        behind = f"It ranks behind the {len(asked)} that will be asked."
        exclusions += [
            Exclusion(model_id=candidate.model.id, reason=ExclusionReason.NOT_ASKED, detail=behind)
            for candidate in spare
        ]
    return RoutePlan(
        profile=profile,
        policy=policy,
        candidates=_reasoned(asked, profile, policy, alone=len(ranked) == 1),
        exclusions=tuple(exclusions),
    )


def _reasoned(
    asked: list[Candidate], profile: TaskProfile, policy: RoutePolicy, *, alone: bool
) -> tuple[Candidate, ...]:
    """Return the candidates, each with why it stands where it does."""
    return tuple(
        msgspec.structs.replace(
            candidate,
            reason=reason_of(place, candidate, profile, alone=alone)
            + _although(place, candidate, policy),
        )
        for place, candidate in enumerate(asked, 1)
    )


def _admitted(
    ranked: list[Candidate],
    profile: TaskProfile,
    admit: Admit,
    exclusions: list[Exclusion],
    policy: RoutePolicy | None,
) -> list[Candidate]:
    """Return who can be asked now; the others go to `exclusions`.

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
        elif found is None:
            admitted.append(candidate)
        else:
            admitted.append(msgspec.structs.replace(candidate, key_id=found))
    return admitted


def _callable(snapshot: Snapshot, policy: RoutePolicy) -> Iterable[Model]:
    """Return the models worth a look: a pinned one alone, where one is pinned."""
    pinned = policy.only_model
    models = snapshot.callable_models
    return models if pinned is None else [model for model in models if model.id == pinned]


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


def _cut(ranked: list[Candidate], count: int) -> tuple[list[Candidate], list[Candidate]]:
    """Return who will be asked and who will not.

    The last of several places goes to the best embedded model when none got in by rank: it needs
    neither network nor key, so a machine that is offline still answers.
    """
    asked, spare = ranked[:count], ranked[count:]
    if len(asked) > 1 and not any(each.model.weights for each in asked):
        refuge = next((each for each in spare if each.model.weights), None)
        if refuge is not None:
            spare = [asked[-1], *(each for each in spare if each is not refuge)]
            asked[-1] = refuge
    return asked, spare
