"""What vendors allow: pools, limits, what a call needs of them, and what is known to be left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec

__all__ = [
    "WINDOW_S",
    "Limit",
    "LimitSeen",
    "LimitSource",
    "MeterState",
    "Need",
    "PoolKey",
    "QuotaMetric",
    "QuotaRow",
    "QuotaWindow",
    "Shortage",
]


class QuotaMetric(StrEnum):
    """What a vendor counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Input and output together."""
    UNITS = "units"
    """A measure of the vendor's own, such as Cloudflare's Neurons."""
    USD = "usd"
    """Money of a credit that comes back; amounts are millionths of a dollar."""
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


WINDOW_S: Mapping[QuotaWindow, int] = MappingProxyType(
    {
        QuotaWindow.INSTANT: 0,
        QuotaWindow.SECOND: 1,
        QuotaWindow.MINUTE: 60,
        QuotaWindow.HOUR: 3600,
        QuotaWindow.SESSION: 5 * 3600,
        QuotaWindow.DAY: 86_400,
        QuotaWindow.WEEK: 7 * 86_400,
        QuotaWindow.MONTH: 31 * 86_400,
    }
)
"""Length in seconds where the window rolls; the longest month, so that none is too short."""


class LimitSource(StrEnum):
    """Where a limit is known from; the first one that knows wins."""

    HEADER = "header"
    ERROR = "error"
    COUNTED = "counted"
    DOCUMENTED = "documented"
    ASSUMED = "assumed"


class PoolKey(msgspec.Struct, frozen=True, cache_hash=True):
    """What shares an allowance, as the vendor counts it.

    Attributes:
        provider: catalogue id.
        owner: `account` (account, project, organisation: all keys together), `ip`, or a key's id
            where each key counts for itself.
        model: catalogue id of the only model that counts here; None: all models of the provider.
    """

    provider: str
    owner: str = "account"
    model: str | None = None

    def __str__(self) -> str:
        """As people and the store name it; one-to-one with the key."""
        return f"{self.provider}|{self.owner}|{self.model or '*'}"


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How much a pool allows.

    Attributes:
        metric, window: what is counted, and over which time.
        amount: allowed in one window; None when the vendor does not publish it.
        zone: IANA name of the zone in whose calendar the window begins; None: it rolls.
        source: where it is known from.
        confidence: 0..1.
        expires_at: UTC; from then on it is no longer believed. None: never.
    """

    metric: QuotaMetric
    window: QuotaWindow
    amount: int | None = None
    zone: str | None = None
    source: LimitSource = LimitSource.DOCUMENTED
    confidence: float = 0.5
    expires_at: datetime | None = None


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one call is expected to take; tokens are estimates until it is settled."""

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """Why a call cannot be made now.

    Attributes:
        pool, metric, window: the limit in the way; of several the one that lasts longest.
        limit: allowed in one window; None when only the vendor's refusal is known.
        needed, left: by the call, and in the window now.
        until: UTC; when the call could pass. None: it never can, or whenever a call under way ends.
        never: the call alone is larger than the limit.
        closed: the vendor refused; it is not asked before `until`, whatever we count.
    """

    pool: PoolKey
    metric: QuotaMetric
    window: QuotaWindow
    limit: int | None
    needed: int
    left: int
    until: datetime | None
    never: bool
    closed: bool = False

    @property
    def reason(self) -> str:
        """One sentence with the numbers; made when it is asked for, since few are read."""
        whose = self.pool.model or f"{self.pool.provider}'s pool"
        what = f"{self.metric} a {self.window}"
        if self.never:
            return f"It needs about {self.needed:,} of the {self.limit:,} {what} {whose} allows."
        if self.window is QuotaWindow.INSTANT:
            return f"{whose} allows {self.limit or 0:,} calls at a time, all are under way."
        until = "" if self.until is None else f"{self.until:%Y-%m-%d %H:%M:%S} UTC"
        if self.closed:
            return f"{whose} said that its {what} are used up; asked again from {until}."
        return (
            f"{self.left:,} of {self.limit:,} {what} are left of {whose}, {self.needed:,} "
            f"needed; enough at {until}."
        )


class LimitSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One limit as an upstream's answer tells it.

    Attributes:
        metric, window: what is counted, and over which time.
        limit: allowed in one window; None when it does not say.
        remaining: left now; None when it does not say.
        reset_s: seconds until it is whole again (or, of an error, until a call may succeed); None
            when it does not say.
        source: HEADER or ERROR.
        of_model: True when it holds for the model alone, False for all models of the account;
            None when it does not say.
    """

    metric: QuotaMetric
    window: QuotaWindow
    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None
    source: LimitSource = LimitSource.HEADER
    of_model: bool | None = None


class QuotaRow(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of one pool for people.

    Attributes:
        pool, metric, window: which.
        limit: allowed in one window; None when it is not known.
        used: counted in this window, calls under way included.
        left: None when the limit is not known.
        resets_at: UTC; when it is whole again; None when nothing was used or nobody knows.
        source, confidence: of the limit; confidence 0 when nothing is known.
        burn_per_hour: used per hour lately.
        lasts_until: UTC; when it runs out at that pace; None: it comes back before.
        price: what using it now costs later, 0 free .. 1 none left.
        closed_until: UTC; the vendor refused and is not asked before.
    """

    pool: PoolKey
    metric: QuotaMetric
    window: QuotaWindow
    limit: int | None
    used: int
    left: int | None
    resets_at: datetime | None
    source: LimitSource | None
    confidence: float
    burn_per_hour: float
    lasts_until: datetime | None
    price: float
    closed_until: datetime | None = None


class MeterState(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one limit of one pool.

    Attributes:
        pool, metric, window: which.
        zone: of the window it was counted in; None: it rolls. Uses of another zone are not taken.
        uses: UTC microseconds and amount; in calendar windows the time is the window's start.
            Of a change, amounts below 0 are to be taken from the oldest uses.
        learned: what answers told of the limit; None when nothing.
        closed_until_us: UTC microseconds until which the vendor is not asked; 0: it is.
        strikes: refusals without numbers in a row.
    """

    pool: PoolKey
    metric: QuotaMetric
    window: QuotaWindow
    zone: str | None = None
    uses: tuple[tuple[int, int], ...] = ()
    learned: Limit | None = None
    closed_until_us: int = 0
    strikes: int = 0
