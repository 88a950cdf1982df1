"""The free guard: default deny, an explicit allow-list, and a reason for people.

A listed price of 0 never makes a model free. Sources contradict each other on prices, and hosts mix
paid and free models behind one key, so a model is asked at cost 0 only when its host's class of
free terms is on the allow-list AND this very model was seen to be free there.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from ymera.core.model import FreeTerms, Limits, Provider
from ymera.core.usage import Price

__all__ = [
    "ALLOWED_CLASSES",
    "STALE_AFTER_DAYS",
    "UNDATED_CLASSES",
    "FreeClass",
    "free_terms",
    "is_stale",
]

STALE_AFTER_DAYS = 60
"""Free terms older than this count as unverified: a quarter of them change within 90 days."""


class FreeClass(StrEnum):
    """How a provider gives something away."""

    RECURRING = "recurring"
    FREE_MODELS = "free-models"
    ANONYMOUS = "anonymous"
    TRIAL_RECURRING = "trial-recurring"
    LOCAL = "local"
    USER = "user"
    """The user vouches for a host of their own; not allowed in a catalogue file."""
    MONTHLY_CREDIT = "monthly-credit"
    ONE_TIME_CREDIT = "one-time-credit"
    DISPUTED = "disputed"
    CLIENT_LOCKED = "client-locked"
    NONE = "none"


_ALLOWED = {
    FreeClass.RECURRING: "{name} renews its free tier by itself",
    FreeClass.FREE_MODELS: "{name} gives this model away",
    FreeClass.ANONYMOUS: "{name} answers this model without a key",
    FreeClass.TRIAL_RECURRING: "{name} renews its trial quota by itself",
    FreeClass.LOCAL: "It runs on your own hardware",
    FreeClass.USER: "Your settings say that it costs nothing",
}
_DENIED = {
    FreeClass.MONTHLY_CREDIT: "{name} gives a monthly credit and bills whatever goes beyond it.",
    FreeClass.ONE_TIME_CREDIT: "{name} gives a credit once and bills whatever goes beyond it.",
    FreeClass.DISPUTED: "Reports on whether {name} is still free contradict each other.",
    FreeClass.CLIENT_LOCKED: "{name} answers free requests of its own client only.",
    FreeClass.NONE: "{name} has no free tier.",
}

UNDATED_CLASSES = frozenset({FreeClass.LOCAL, FreeClass.USER})
"""Classes that no vendor can end, so their terms do not grow old."""

ALLOWED_CLASSES = frozenset(_ALLOWED)
"""Classes of free terms that may be routed to at cost 0; every other class is refused."""


def free_terms(
    provider: Provider,
    *,
    free_now: bool | None,
    snapshot_date: date,
    status: str = "active",
    price: Price | None = None,
    limits: Limits | None = None,
    as_of: str | None = None,
) -> FreeTerms:
    """Decide whether a model may be asked at cost 0, and say why.

    Args:
        provider: the model's host.
        free_now: whether this model was seen to be free there; None when sources disagree.
        snapshot_date: the day relative to which terms are old.
        status: the model's status; only `active` passes.
        price: list price; it never allows anything, it only sharpens the reason.
        limits: documented limits of the free tier.
        as_of: ISO date of the newest evidence; None counts as old.
    """
    denial = _denial(provider, free_now, status, price)
    return FreeTerms(
        free_now=free_now,
        may_auto_route=denial is None,
        reason=denial or _allowance(provider, as_of, snapshot_date),
        limits=limits or Limits(),
        as_of=as_of,
    )


def is_stale(as_of: str | None, on: date) -> bool:
    """Return whether evidence of this ISO date is older than `STALE_AFTER_DAYS`, or undated."""
    return as_of is None or (on - date.fromisoformat(as_of)).days > STALE_AFTER_DAYS


def _denial(
    provider: Provider, free_now: bool | None, status: str, price: Price | None
) -> str | None:
    if not provider.active:
        return f"{provider.name} is closed or restricted."
    if provider.free_class not in ALLOWED_CLASSES:
        if provider.free_class not in list(FreeClass):
            return _unknown(provider)
        return _DENIED[FreeClass(provider.free_class)].format(name=provider.name)
    if status != "active":
        return f"{provider.name} lists this model as {status}."
    if free_now is None:
        return f"It is not settled whether {provider.name} still serves this model free of charge."
    if not free_now:
        zero = price is not None and price.input_usd_per_mtok == 0 == price.output_usd_per_mtok
        note = " (its listed price of 0 is no proof)" if zero else ""
        return f"{provider.name} charges for this model{note}."
    return None


def _unknown(provider: Provider) -> str:
    return f"{provider.name} has free terms of an unknown class, {provider.free_class!r}."


def _allowance(provider: Provider, as_of: str | None, on: date) -> str:
    free_class = FreeClass(provider.free_class)
    sentence = _ALLOWED[free_class].format(name=provider.name)
    if free_class in UNDATED_CLASSES:
        return f"{sentence}."
    seen = f"seen {as_of}" if as_of else "date not known"
    if is_stale(as_of, on):
        return f"{sentence} (unverified: {seen})."
    return f"{sentence} ({seen})."
