"""What meters say: why a call does not fit, how much is left and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ymera.core.quota import QuotaRow, QuotaWindow, Shortage
from ymera.routing.quota_meter import CLOSED, Meter
from ymera.routing.quota_windows import NEVER, SPAN_US, as_datetime

__all__ = ["pool_price", "price_of", "row_of", "shortage_of"]

_HOUR_US = 3600 * 1_000_000
_WEIGHTS = {
    QuotaWindow.SECOND: 0.1,
    QuotaWindow.MINUTE: 0.2,
    QuotaWindow.HOUR: 0.3,
    QuotaWindow.SESSION: 0.6,
}
"""What is soon whole again is worth little even when none is left: unused, it is lost."""
_UNKNOWN_PRICE = 0.5
"""Of a pool of which no limit is published: it may be one of few calls a day."""
_WHOLE = 0.1
"""How dear a window that rolls is while nothing of it is used."""
_PLENTY = 1000.0
"""Uses a day of which one more or less does not matter."""


def shortage_of(meters: Sequence[Meter], needs: Sequence[int], at: int) -> Shortage | None:
    """Return the limit that stands in the way longest; one that never passes first."""
    worst: tuple[int, Meter] | None = None
    for meter in meters:
        needed = needs[meter.need]
        if meter.count.used + needed <= meter.amount:
            continue
        until = _until(meter, needed, at)
        if worst is None or until > worst[0]:
            worst = until, meter
    if worst is None:
        return None
    until, meter = worst
    never = until == NEVER
    closed = meter.amount == CLOSED
    limit = meter.limit
    timeless = never or (meter.window is QuotaWindow.INSTANT and not closed)
    return Shortage(
        pool=meter.pool,
        metric=meter.metric,
        window=meter.window,
        limit=None if limit is None else limit.amount,
        needed=needs[meter.need],
        left=0 if closed else max(meter.amount - meter.count.used, 0),
        until=None if timeless else as_datetime(until),
        never=never,
        closed=closed,
    )


def _until(meter: Meter, needed: int, at: int) -> int:
    limit = meter.limit
    amount = None if limit is None else limit.amount
    if amount is not None and needed > amount:
        return NEVER
    if meter.window is QuotaWindow.INSTANT:
        return max(at, meter.closed_until)
    fits = at if amount is None else meter.count.fits_at(needed, amount, at)
    return max(at if fits is None else fits, meter.closed_until)


def pool_price(meters: Sequence[Meter], at: int) -> float:
    """Return the price of a pool: that of its scarcest limit, or of the unknown."""
    told = [meter for meter in meters if _tells(meter)]
    prices = [price_of(meter, at) for meter in meters]
    return max(prices if told else (*prices, _UNKNOWN_PRICE), default=_UNKNOWN_PRICE)


def _tells(meter: Meter) -> bool:
    limit = meter.limit
    return (
        meter.window is not QuotaWindow.INSTANT and limit is not None and limit.amount is not None
    )


def price_of(meter: Meter, at: int) -> float:
    """Return what one use costs later ones, 0..1: scarcity against time to the reset."""
    meter.refresh(at)
    if meter.amount == CLOSED:
        return 1.0
    if meter.amount == NEVER or meter.window is QuotaWindow.INSTANT:
        return 0.0
    left = meter.amount - meter.count.used
    weight = _WEIGHTS.get(meter.window, 1.0)
    if left <= 0:
        return weight
    span = SPAN_US[meter.window]
    whole_at = meter.count.whole_at()
    left_share = left / meter.amount
    a_day = meter.amount * SPAN_US[QuotaWindow.DAY] / span
    rarity = 1.0 / (1.0 + a_day / _PLENTY)
    if meter.zone is None:  # what rolls comes back all the time, and is lost while it is whole
        behind = _WHOLE + (1.0 - _WHOLE) * (1.0 - left_share)
    else:
        wait_share = 1.0 if whole_at is None else min(max((whole_at - at) / span, 0.0), 1.0)
        behind = wait_share / (wait_share + left_share)  # 0.5: used as fast as it comes
    return weight * behind * (0.5 + 0.5 * rarity)


def row_of(meter: Meter, at: int) -> QuotaRow:
    """Return what is known of a limit for people."""
    meter.refresh(at)
    limit = meter.limit
    amount = None if limit is None else limit.amount
    used = meter.count.used
    left = None if amount is None else max(amount - used, 0)
    if meter.amount == CLOSED:
        left = 0
    whole_at = meter.count.whole_at()
    burn = _burn_per_hour(meter, used, at)
    return QuotaRow(
        pool=meter.pool,
        metric=meter.metric,
        window=meter.window,
        limit=amount,
        used=used,
        left=left,
        resets_at=None if whole_at is None else as_datetime(whole_at),
        source=None if limit is None or amount is None else limit.source,
        confidence=0.0 if limit is None or amount is None else limit.confidence,
        burn_per_hour=burn,
        lasts_until=_lasts_until(left, burn, whole_at, at),
        price=round(price_of(meter, at), 4),
        closed_until=as_datetime(meter.closed_until) if meter.closed_until > at else None,
    )


def _burn_per_hour(meter: Meter, used: int, at: int) -> float:
    if not used or meter.window is QuotaWindow.INSTANT:
        return 0.0
    uses = meter.count.uses()
    first = max(min((then for then, _ in uses), default=at), meter.count.since(at))
    # At least an hour, or the whole window: a burst of a minute is no pace.
    over = max(at - first, min(SPAN_US[meter.window], _HOUR_US))
    return used * _HOUR_US / over


def _lasts_until(left: int | None, burn: float, whole_at: int | None, at: int) -> datetime | None:
    if not left or not burn:
        return None if left != 0 else as_datetime(at)
    ends = at + int(left / burn * _HOUR_US)
    if whole_at is not None and ends >= whole_at:
        return None
    return as_datetime(ends)
