"""Books of quotas with documented limits of a test's choosing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ymera.core.quota import (
    Limit,
    LimitSeen,
    LimitSource,
    Need,
    PoolKey,
    QuotaMetric,
    QuotaRow,
    QuotaWindow,
)
from ymera.routing.quota import QuotaBook

__all__ = [
    "DAY",
    "MINUTE",
    "MODEL",
    "NOON",
    "ONE",
    "POOLS",
    "REQUESTS",
    "SHARED",
    "TOKENS",
    "after",
    "book",
    "limit",
    "row",
    "seen",
]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MODEL = PoolKey("sim", "account", "sim/plain")
SHARED = PoolKey("sim")
POOLS = (MODEL, SHARED)
ONE = Need(input_tokens=100, output_tokens=100)

REQUESTS, TOKENS = QuotaMetric.REQUESTS, QuotaMetric.TOKENS
MINUTE, DAY = QuotaWindow.MINUTE, QuotaWindow.DAY


def after(**time: float) -> datetime:
    return NOON + timedelta(**time)


def limit(
    amount: int | None,
    window: QuotaWindow = MINUTE,
    metric: QuotaMetric = REQUESTS,
    zone: str | None = None,
) -> Limit:
    return Limit(metric=metric, window=window, amount=amount, zone=zone)


def book(*model: Limit, shared: tuple[Limit, ...] = (), **options: bool) -> QuotaBook:
    return QuotaBook(lambda pool: model if pool.model else shared, zones=ZoneInfo, **options)


def row(
    of: QuotaBook,
    now: datetime = NOON,
    metric: QuotaMetric = REQUESTS,
    window: QuotaWindow = MINUTE,
    pool: PoolKey = MODEL,
) -> QuotaRow:
    return next(
        each for each in of.rows(now, [pool]) if (each.metric, each.window) == (metric, window)
    )


def seen(
    amount: int | None = None,
    remaining: int | None = None,
    reset_s: float | None = None,
    *,
    window: QuotaWindow = MINUTE,
    metric: QuotaMetric = REQUESTS,
    source: LimitSource = LimitSource.HEADER,
    of_model: bool | None = None,
) -> LimitSeen:
    return LimitSeen(
        metric=metric,
        window=window,
        limit=amount,
        remaining=remaining,
        reset_s=reset_s,
        source=source,
        of_model=of_model,
    )
