"""Our own limit for callers: so many requests in any hour."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from ymera.core.access import Principal, PrincipalKind
from ymera.core.errors import ConfigError, RateLimited

__all__ = ["HourlyRateLimiter", "RateVerdict"]

_HOUR = timedelta(hours=1)
_Key = tuple[PrincipalKind, str]


class RateVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the limiter says to one try.

    Attributes:
        allowed: whether it may pass.
        remaining: tries left at once, after this one; at least 0.
        reset_at: when the next slot comes free, if nothing is tried until then (UTC).
    """

    allowed: bool
    remaining: int
    reset_at: datetime


class HourlyRateLimiter:
    """Lets a caller make `limit_per_hour` requests in any 60 minutes (a `RateLimiter`).

    A sliding window over the times of the last tries: exact, where a fixed window lets twice the
    limit through around its edge. All of the limit may be used at once. A refused try takes a
    slot like any other, so who hammers waits longer than who waits. Constant time (amortised);
    memory is 56 bytes for each of a caller's last `limit_per_hour` tries.

    Args:
        limit_per_hour: at least 1.
        now: returns the current time (UTC).
        max_callers: callers remembered; beyond that the one longest unseen is forgotten.

    Raises:
        ConfigError: `limit_per_hour` is below 1.
    """

    def __init__(
        self, limit_per_hour: int, *, now: Callable[[], datetime], max_callers: int = 10_000
    ) -> None:
        if limit_per_hour < 1:
            raise ConfigError(
                f"security.rate_limit_per_hour is {limit_per_hour}; it must be at least 1.",
                hint="The local owner is never limited; for others set a high limit.",
                param="security.rate_limit_per_hour",
            )
        self._limit = limit_per_hour
        self._now = now
        self._max_callers = max_callers
        self._tries: OrderedDict[_Key, deque[datetime]] = OrderedDict()

    def admit(self, principal: Principal) -> None:
        """Count one request; the local owner is never limited.

        Raises:
            RateLimited: over the limit.
        """
        if principal.kind is PrincipalKind.LOCAL_OWNER:
            return
        now = self._now()
        verdict = self._count((principal.kind, principal.id), self._limit, now)
        if not verdict.allowed:
            wait_s = (verdict.reset_at - now).total_seconds()
            raise RateLimited(
                f"'{principal.id}' has used its {self._limit} requests an hour.",
                retry_after_s=wait_s,
                limit=self._limit,
                hint=f"Wait {math.ceil(wait_s / 60)} min, or raise security.rate_limit_per_hour.",
            )

    def check(self, user_id: str, limit: int) -> RateVerdict:
        """Count one request of a named user against `limit` an hour; never raises.

        A limit below 1 lets nothing pass. `admit` counts the same user's requests together with
        these.
        """
        return self._count((PrincipalKind.USER, user_id), limit, self._now())

    def _count(self, key: _Key, limit: int, now: datetime) -> RateVerdict:
        tries = self._tries_of(key)
        while tries and tries[0] <= now - _HOUR:
            tries.popleft()
        allowed = len(tries) < limit
        tries.append(now)
        while len(tries) > max(limit, 1):
            tries.popleft()
        return RateVerdict(
            allowed=allowed,
            remaining=max(limit - len(tries), 0),
            reset_at=tries[0] + _HOUR,
        )

    def _tries_of(self, key: _Key) -> deque[datetime]:
        tries = self._tries.get(key)
        if tries is None:
            tries = self._tries[key] = deque()
            if len(self._tries) > self._max_callers:
                self._tries.popitem(last=False)
        else:
            self._tries.move_to_end(key)
        return tries
