"""What vendors allow on their free tiers, read from the catalogue's rows."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ymera.catalog.entries import PoolLimits
from ymera.core.model import Model
from ymera.core.quota import QuotaMetric, QuotaWindow
from ymera.testing.vendors import Habits

__all__ = ["VendorLimit", "documented_limits"]

_PACIFIC = "America/Los_Angeles"


class VendorLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of a vendor.

    Attributes:
        metric, window: what is counted, over which time.
        amount: allowed in one window.
        zone: in which days and months begin; None for a window that moves along.
        per_model: whether each model has it for itself.
    """

    metric: QuotaMetric
    window: QuotaWindow
    amount: int
    zone: str | None = None
    per_model: bool = False


def documented_limits(
    habits: Habits, row: PoolLimits | None, model: Model
) -> Iterator[VendorLimit]:
    """Yield the provider's limits and the model's own, each once."""
    row = row or PoolLimits()
    own = model.free.limits
    shared = {"rpm": row.rpm, "rpd": row.rpd, "tpm": row.tpm, "tpd": row.tpd}
    single = {"rpm": own.rpm, "rpd": own.rpd, "tpm": own.tpm, "tpd": own.tpd}
    has_own = any(amount is not None for amount in single.values())
    if row.per_model:
        for name, amount in (single if has_own else shared).items():
            yield from _limit(name, amount, row, per_model=True)
    else:
        for name, amount in shared.items():
            yield from _limit(name, amount, row, per_model=False)
        for name, amount in single.items():
            if amount != shared[name]:
                yield from _limit(name, amount, row, per_model=True)
    if row.rps is not None:
        yield _made(QuotaMetric.REQUESTS, QuotaWindow.SECOND, max(int(row.rps), 1), row)
    if row.monthly_requests is not None:
        yield _made(QuotaMetric.REQUESTS, QuotaWindow.MONTH, row.monthly_requests, row)
    if row.monthly_tokens is not None:
        yield _made(QuotaMetric.TOKENS, QuotaWindow.MONTH, row.monthly_tokens, row)
    for other in habits.limits:
        yield _made(other.metric, other.window, other.amount, row)


_NAMED = {
    "rpm": (QuotaMetric.REQUESTS, QuotaWindow.MINUTE),
    "rpd": (QuotaMetric.REQUESTS, QuotaWindow.DAY),
    "tpm": (QuotaMetric.TOKENS, QuotaWindow.MINUTE),
    "tpd": (QuotaMetric.TOKENS, QuotaWindow.DAY),
}


def _limit(
    name: str, amount: int | None, row: PoolLimits, *, per_model: bool
) -> Iterator[VendorLimit]:
    if amount is not None:
        metric, window = _NAMED[name]
        yield _made(metric, window, amount, row, per_model=per_model)


def _made(
    metric: QuotaMetric,
    window: QuotaWindow,
    amount: int,
    row: PoolLimits,
    *,
    per_model: bool = False,
) -> VendorLimit:
    reset = row.reset or ""
    zone = None
    if window is QuotaWindow.MONTH or (window is QuotaWindow.DAY and "rolling" not in reset):
        zone = _PACIFIC if _PACIFIC in reset else "UTC"
    return VendorLimit(metric=metric, window=window, amount=amount, zone=zone, per_model=per_model)
