"""A plan without candidates, in words: what stood in the way, and the cheapest way out."""

from __future__ import annotations

from collections import Counter

from ymera.core.route import Exclusion, ExclusionReason, RoutePlan

__all__ = ["explain_no_route", "in_words"]

_WORDS = {
    ExclusionReason.NOT_CHAT: "not for chat",
    ExclusionReason.NOT_FREE: "not free",
    ExclusionReason.NO_KEY: "without a key",
    ExclusionReason.NO_CONSENT: "waiting for your consent",
    ExclusionReason.NOT_PULLED: "not pulled",
    ExclusionReason.NOT_CALLABLE: "not callable",
    ExclusionReason.CONTEXT: "too small for this prompt",
    ExclusionReason.LIMIT_MINUTE: "over their limit per minute",
    ExclusionReason.LIMIT_DAY: "over their limit per day",
    ExclusionReason.NO_TOOLS: "without tools",
    ExclusionReason.NO_VISION: "blind to images",
    ExclusionReason.NO_JSON_SCHEMA: "without JSON schemas",
    ExclusionReason.PRIVACY: "not private",
    ExclusionReason.HEALTH: "failing or cooling down",
    ExclusionReason.KEY: "with no key that works",
    ExclusionReason.QUOTA: "used up for now",
    ExclusionReason.CLOSED: "of a closed provider",
    ExclusionReason.NOT_ASKED: "not asked",
}

# What frees the way with least effort comes first.
_WAYS_OUT = (
    ExclusionReason.NOT_PULLED,
    ExclusionReason.HEALTH,
    ExclusionReason.QUOTA,
    ExclusionReason.KEY,
    ExclusionReason.CLOSED,
    ExclusionReason.NO_KEY,
    ExclusionReason.NO_CONSENT,
    ExclusionReason.LIMIT_MINUTE,
    ExclusionReason.CONTEXT,
    ExclusionReason.PRIVACY,
    ExclusionReason.NO_VISION,
    ExclusionReason.NO_TOOLS,
    ExclusionReason.NO_JSON_SCHEMA,
    ExclusionReason.LIMIT_DAY,
    ExclusionReason.NOT_FREE,
)


def in_words(reason: ExclusionReason) -> str:
    """Return a reason as what follows a number of models, such as `without a key`."""
    return _WORDS[reason]


def explain_no_route(plan: RoutePlan) -> tuple[str, str]:
    """Return message and hint for a plan without candidates.

    The message counts the exclusions by reason, most frequent first; for a pinned model it gives
    that model's own reason. The hint is the cheapest way out.
    """
    left_out = [each for each in plan.exclusions if each.reason is not ExclusionReason.NOT_ASKED]
    if not left_out:
        return "There is no model to ask.", "`ymera catalog check` tells what the catalogue holds."
    chosen = _most_telling(left_out)
    way_out = next((chosen[reason] for reason in _WAYS_OUT if reason in chosen), left_out[0])
    if plan.policy.only_model is not None:
        hint = _hint(way_out)
        hint = hint.replace(left_out[0].detail, "").strip()  # the message says it already
        hint = f"{hint[:-1]}." if hint.endswith(":") else hint
        if not hint:
            hint = "Or name another model: `ymera models` lists them, `auto` chooses by itself."
        return f"{plan.policy.only_model} cannot serve this: {left_out[0].detail}", hint
    counts = Counter(each.reason for each in left_out)
    reasons = ", ".join(f"{count} {_WORDS[reason]}" for reason, count in counts.most_common())
    hint = _hint(way_out)
    if way_out.reason is ExclusionReason.NOT_PULLED and ExclusionReason.NO_KEY in chosen:
        hint += f" A stronger one: {_hint(chosen[ExclusionReason.NO_KEY])}"
    return f"No model can serve this now: {reasons}.", hint


def _most_telling(left_out: list[Exclusion]) -> dict[ExclusionReason, Exclusion]:
    """Return one exclusion per reason: the one whose remedy would free most models."""
    frequency = Counter(each.detail for each in left_out)
    chosen: dict[ExclusionReason, Exclusion] = {}
    for each in left_out:
        known = chosen.get(each.reason)
        if known is None or frequency[each.detail] > frequency[known.detail]:
            chosen[each.reason] = each
    return chosen


def _hint(exclusion: Exclusion) -> str:
    """Return what to do about one exclusion; `detail` names the key, the host or the numbers."""
    match exclusion.reason:
        case ExclusionReason.NOT_PULLED:
            name = exclusion.model_id.partition("/")[2]
            return f"`ymera models pull {name}` gets a free model for this machine."
        case ExclusionReason.NO_KEY:
            return exclusion.detail
        case ExclusionReason.NO_CONSENT:
            provider = exclusion.model_id.partition("/")[0]
            return f"{exclusion.detail} `ymera setup --consent {provider}` agrees to them."
        case ExclusionReason.HEALTH | ExclusionReason.QUOTA:
            return f"Try again later: {exclusion.detail}"
        case ExclusionReason.KEY | ExclusionReason.CLOSED:
            provider = exclusion.model_id.partition("/")[0]
            way = "keys set" if exclusion.reason is ExclusionReason.KEY else "providers open"
            return f"{exclusion.detail} `ymera {way} {provider}` is the way back."
        case ExclusionReason.CONTEXT | ExclusionReason.LIMIT_MINUTE | ExclusionReason.LIMIT_DAY:
            return f"Shorten the prompt or split it. {exclusion.detail}"
        case ExclusionReason.NOT_FREE:
            return "Name a free model, or set a budget (budget.max_usd_per_request)."
        case ExclusionReason.PRIVACY:
            return "Pull a local model, or send the request without asking for privacy."
        case ExclusionReason.NO_TOOLS | ExclusionReason.NO_VISION | ExclusionReason.NO_JSON_SCHEMA:
            return "`ymera models` shows which models can; a key for one of them opens the way."
        case _:
            return exclusion.detail
