"""Hard requirements: why a model cannot serve a request, one reason per model.

What the request needs is checked before what is set up here, so that "no key" or "not pulled" is
only ever said of a model that could serve this request once that is put right.

Two rules for facts the catalogue does not know: an unknown capability counts as missing, since a
model that silently ignores tools, images or a schema is worse than none, unless the caller pinned
the model; an unknown context window, answer length or vendor limit excludes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from ymera.core.model import Model, ModelKind
from ymera.core.route import Exclusion, ExclusionReason, RoutePolicy
from ymera.core.task import Needs, TaskProfile
from ymera.core.usage import Usage, cost_usd

__all__ = ["MIN_ANSWER_TOKENS", "Admit", "Availability", "estimated_cost_usd", "exclusion_of"]

Admit = Callable[[Model, TaskProfile], Exclusion | str | None]
"""Looks at one moment: why a model cannot be asked now (cooling down, used up, closed), else the
name of the key to ask it with (None: without one)."""

Availability = Mapping[str, tuple[ExclusionReason, str]]
"""Model id -> why it cannot be called now; a model that is absent can be."""

MIN_ANSWER_TOKENS = 256
"""Room an answer needs at the least, where the caller set no bound."""

_Refusal = tuple[ExclusionReason, str]


def exclusion_of(
    model: Model, profile: TaskProfile, policy: RoutePolicy, availability: Availability
) -> Exclusion | None:
    """Return why `model` is left out, or None when it is a candidate."""
    if policy.only_model is not None and model.id != policy.only_model:
        refusal: _Refusal | None = ExclusionReason.NOT_ASKED, f"Only {policy.only_model} was asked."
    else:
        refusal = (
            _unfit(model, profile.needs, pinned=policy.only_model is not None)
            or _too_small(model, profile)
            or _too_dear(model, profile, policy)
            or _over_limit(model, profile)
            or availability.get(model.id)
        )
    if refusal is None:
        return None
    return Exclusion(model_id=model.id, reason=refusal[0], detail=refusal[1])


def estimated_cost_usd(model: Model, profile: TaskProfile) -> Decimal | None:
    """Return what one call is estimated to cost in USD; None when the price is not known.

    A model on the free allow-list costs 0. A listed price of 0 without that is no proof: lists
    have named 0 for models that bill, so it counts as unknown.
    """
    if model.free.may_auto_route:
        return Decimal(0)
    usage = Usage(input_tokens=profile.est_input_tokens, output_tokens=profile.est_output_tokens)
    cost = cost_usd(usage, model.price)
    return None if cost == 0 else cost


def _unfit(model: Model, needs: Needs, *, pinned: bool) -> _Refusal | None:
    if model.kind is not ModelKind.CHAT:
        return ExclusionReason.NOT_CHAT, f"It is for {model.kind}, not for chat."
    if needs.tools and not _can(model.tools, pinned):
        return ExclusionReason.NO_TOOLS, _lacks("call tools", model.tools)
    if needs.vision and not _can(model.vision, pinned):
        return ExclusionReason.NO_VISION, _lacks("read images", model.vision)
    # Embedded models are held to a schema by a grammar while they write, whatever they learnt.
    if needs.json_schema and model.weights is None and not _can(model.json_schema, pinned):
        return ExclusionReason.NO_JSON_SCHEMA, _lacks("keep to a JSON schema", model.json_schema)
    if needs.private and model.weights is None and model.trains_on_input is not False:
        return ExclusionReason.PRIVACY, "Its host may train on what is sent, or does not say."
    return None


def _can(capability: bool | None, pinned: bool) -> bool:
    return capability is True or (pinned and capability is None)


def _lacks(ability: str, capability: bool | None) -> str:
    return f"It cannot {ability}." if capability is False else f"Not known to {ability}."


def _answer_room(model: Model, profile: TaskProfile) -> int:
    """Return the answer tokens that must fit.

    A hosted model refuses a bound it cannot keep; an embedded one just stops early, and so does
    any model that was given no bound.
    """
    if profile.output_bounded and model.weights is None:
        return profile.est_output_tokens
    return min(profile.est_output_tokens, MIN_ANSWER_TOKENS)


def _too_small(model: Model, profile: TaskProfile) -> _Refusal | None:
    room = _answer_room(model, profile)
    window = model.context_window
    if window is not None and profile.est_input_tokens + room > window:
        return (
            ExclusionReason.CONTEXT,
            f"About {profile.est_input_tokens:,} tokens in and {room:,} out do not fit its "
            f"context of {window:,}.",
        )
    if model.max_output is not None and room > model.max_output:
        return (
            ExclusionReason.CONTEXT,
            f"It answers with {model.max_output:,} tokens at most, {room:,} are wanted.",
        )
    return None


def _too_dear(model: Model, profile: TaskProfile, policy: RoutePolicy) -> _Refusal | None:
    if model.free.may_auto_route:
        return None
    budget = policy.max_cost_usd
    if budget <= 0:
        return ExclusionReason.NOT_FREE, f"No money may be spent. {model.free.reason}"
    cost = estimated_cost_usd(model, profile)
    if cost is None:
        return ExclusionReason.NOT_FREE, "Its price is not known, so no budget can allow it."
    if cost > budget:
        return (
            ExclusionReason.NOT_FREE,
            f"It would cost about ${cost:.4f}, the budget is ${budget:g} a request.",
        )
    return None


def _over_limit(model: Model, profile: TaskProfile) -> _Refusal | None:
    """Vendor limits of the free tier; a paid call is under other limits, which we do not know."""
    if not model.free.may_auto_route:
        return None
    limits = model.free.limits
    total = profile.est_input_tokens + _answer_room(model, profile)
    if limits.rpm == 0 or (limits.tpm is not None and total > limits.tpm):
        return ExclusionReason.LIMIT_MINUTE, _limit(total, limits.rpm, limits.tpm, "minute")
    if limits.rpd == 0 or (limits.tpd is not None and total > limits.tpd):
        return ExclusionReason.LIMIT_DAY, _limit(total, limits.rpd, limits.tpd, "day")
    return None


def _limit(total: int, requests: int | None, tokens: int | None, per: str) -> str:
    if requests == 0 or tokens is None:
        return f"Its free tier allows no request a {per}."
    return f"About {total:,} tokens are over its free limit of {tokens:,} a {per}."
