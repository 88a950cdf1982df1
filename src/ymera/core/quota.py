"""What vendors allow: the words for limits, and what an upstream's answer says of them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["LimitSeen", "LimitSource", "QuotaMetric", "QuotaWindow"]


class QuotaMetric(StrEnum):
    """What a vendor counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Input and output together."""
    UNITS = "units"
    """A measure of the vendor's own, such as Cloudflare's Neurons."""
    USD = "usd"
    """Money of a credit that comes back."""
    CONCURRENT = "concurrent"
    """Calls at the same time; its window is INSTANT."""


class QuotaWindow(StrEnum):
    """Over which time it is counted."""

    INSTANT = "instant"
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    SESSION = "session"
    """Five hours from the first call."""
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class LimitSource(StrEnum):
    """Where a limit is known from; the first one that knows wins."""

    HEADER = "header"
    ERROR = "error"
    COUNTED = "counted"
    DOCUMENTED = "documented"
    ASSUMED = "assumed"


class LimitSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One limit as an upstream's answer tells it.

    Attributes:
        metric, window: what is counted, and over which time.
        limit: allowed in one window; None when it does not say.
        remaining: left now; None when it does not say.
        reset_s: seconds until it is whole again (or, of an error, until a call may succeed); None
            when it does not say.
        source: HEADER or ERROR.
    """

    metric: QuotaMetric
    window: QuotaWindow
    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None
    source: LimitSource = LimitSource.HEADER
