"""How hard a call would press on limits: what is left of each, against the time until it is whole.

The price of a call by itself is strain / (1 + strain); `ymera.routing.prices` knows what else moves
the prices of models.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ymera.core.quota import QuotaMetric, QuotaWindow
from ymera.routing.quota_meter import CLOSED, NEED_OF, Meter
from ymera.routing.quota_windows import NEVER, SPAN_US

__all__ = [
    "CLOSED_STRAIN",
    "FREE_STRAIN",
    "PLENTY",
    "USUAL_TOKENS",
    "Strain",
    "price_of",
    "strain_of",
]

USUAL_TOKENS = 1_000
"""Of a request, in and out together."""

PLENTY = 1e6
"""Calls a day that nobody makes."""

_DAY_US = SPAN_US[QuotaWindow.DAY]
_TOKENS = NEED_OF[QuotaMetric.TOKENS]

_SOON = {
    QuotaWindow.SECOND: 0.01,
    QuotaWindow.MINUTE: 0.02,
    QuotaWindow.HOUR: 0.03,
    QuotaWindow.SESSION: 0.05,
}
"""Strain of the last use of what is soon whole again, half of it of the first: unused, it is
lost."""

# Chosen on the training seeds of a simulated day: see bench/quota/README.md.

_STEEPNESS = 0.5
"""Exponent of how much of a limit there is for each unit left."""

_UNKNOWN_A_DAY = 200.0
"""Calls expected of a pool of which nothing is published."""

_UNKNOWN_LEFT = 50.0
"""And expected still, however many it has allowed."""


class Strain(msgspec.Struct, frozen=True):
    """How hard a call would press on a group of limits.

    Attributes:
        call: strain of one call, whatever its size.
        usual: strain of the tokens of a call of usual size.
        left: calls that are left in the present long windows, or that short ones allow a day.
        a_day: calls that a day allows.
        wait: days until the slowest of them is whole again; 0 where all are soon.
        tokens_a_day: tokens that a day allows; 0 where they are not counted by the day.
    """

    call: float
    usual: float
    left: float
    a_day: float
    wait: float
    tokens_a_day: float = 0.0


CLOSED_STRAIN = Strain(PLENTY, 0.0, 0.0, 0.0, 1.0)
FREE_STRAIN = Strain(0.0, 0.0, PLENTY, PLENTY, 0.0)


def strain_of(meters: Sequence[Meter], at: int) -> Strain:
    """Return how hard a call would press on these meters; they are brought up to `at`.

    Args:
        meters: of the call's pools.
        at: now, in microseconds since 1970 (UTC).
    """
    call = usual = wait = tokens = 0.0
    left = a_day = PLENTY
    told = False
    for meter in meters:
        if at >= meter.turn:
            meter.refresh(at)
        if meter.amount in {CLOSED, 0}:
            return CLOSED_STRAIN
        if meter.window is QuotaWindow.INSTANT or (meter.amount == NEVER and meter.need):
            continue
        told = True
        strain, days = _strain(meter, at)
        if meter.need == _TOKENS:
            usual = max(usual, strain)
            tokens = max(tokens, 0.0 if meter.window in _SOON else _calls(meter)[1] * USUAL_TOKENS)
        else:
            call = max(call, strain)
        wait = max(wait, days)
        rest, daily = _calls(meter)
        left, a_day = min(left, rest), min(a_day, daily)
    if not told:
        return Strain(1.0, 0.0, _UNKNOWN_A_DAY, _UNKNOWN_A_DAY, 1.0)
    return Strain(call, usual, max(left, 0.0), a_day, wait, tokens)


def price_of(meter: Meter, at: int) -> float:
    """Return what one usual call costs later ones by this limit alone, 0..1.

    Args:
        meter: of the limit, brought up to `at`.
        at: now, in microseconds since 1970 (UTC).
    """
    if at >= meter.turn:
        meter.refresh(at)
    if meter.amount in {CLOSED, 0}:
        return 1.0
    if meter.window is QuotaWindow.INSTANT or (meter.amount == NEVER and meter.need):
        return 0.0
    strain = _strain(meter, at)[0]
    return strain / (1.0 + strain)


def _strain(meter: Meter, at: int) -> tuple[float, float]:
    """Return the strain of a usual call, and the days until the limit is whole again."""
    window, amount, used = meter.window, float(meter.amount), meter.count.used
    soon = _SOON.get(window)
    if meter.amount == NEVER:
        amount = used + max(_UNKNOWN_A_DAY - used, _UNKNOWN_LEFT)
    left = amount - used
    if left <= 0:
        return (PLENTY, 1.0) if soon is None else (soon, 0.0)
    if soon is not None:
        return soon * (0.5 + 0.5 * used / amount), 0.0
    share, days = 1.0, 1.0  # what rolls comes back a window after its use, whenever that is
    if meter.zone is not None:
        whole_at = meter.count.whole_at()
        ahead = SPAN_US[window] if whole_at is None else max(whole_at - at, 0)
        share, days = min(ahead / SPAN_US[window], 1.0), ahead / _DAY_US
    return share * (amount / left) ** _STEEPNESS, min(days, 1.0)


def _calls(meter: Meter) -> tuple[float, float]:
    """Return the usual calls that are left, and that a day allows."""
    if meter.amount == NEVER:
        if meter.window in _SOON:
            return PLENTY, PLENTY
        return max(_UNKNOWN_A_DAY - meter.count.used, _UNKNOWN_LEFT), _UNKNOWN_A_DAY
    each = USUAL_TOKENS if meter.need == _TOKENS else 1
    daily = meter.amount * _DAY_US / SPAN_US[meter.window] / each
    if meter.window in _SOON:
        return daily, daily
    return (meter.amount - meter.count.used) / each, daily
