"""What meters say: why a call does not fit, how much is left and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ymera.core.quota import QuotaRow, QuotaWindow, Shortage
from ymera.routing.quota_meter import CLOSED, Meter
from ymera.routing.quota_windows import NEVER, SPAN_US, as_datetime
from ymera.routing.strain import price_of

__all__ = ["row_of", "shortage_of"]

_HOUR_US = 3600 * 1_000_000


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
        return meter.guess_ends
    if meter.window is QuotaWindow.INSTANT:
        return max(at, meter.closed_until)
    fits = at if amount is None else meter.count.fits_at(needed, amount, at)
    return max(at if fits is None else min(fits, meter.guess_ends), meter.closed_until)


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
