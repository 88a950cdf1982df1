"""Free quotas as vendors count them: from the catalogue's rows, on a clock that can be moved.

This is the vendors' side. It shares no code with the part of Ymera that keeps count for itself, so
that each can show the other to be wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from ymera.catalog.entries import PoolLimits
from ymera.core.model import Model, Provider, Quirk
from ymera.core.quota import QuotaMetric, QuotaWindow
from ymera.testing.faults import Refusal
from ymera.testing.vendor_limits import VendorLimit, documented_limits
from ymera.testing.vendors import Habits, Words, habits_of

__all__ = ["MovableClock", "Standing", "VendorQuotas"]

_SECONDS = {
    QuotaWindow.SECOND: 1,
    QuotaWindow.MINUTE: 60,
    QuotaWindow.HOUR: 3600,
    QuotaWindow.SESSION: 5 * 3600,
    QuotaWindow.DAY: 86_400,
    QuotaWindow.WEEK: 7 * 86_400,
}


class MovableClock:
    """Wall time in UTC that tests can move forward.

    Args:
        base: the time it starts from; the real one by default.
    """

    def __init__(self, base: Callable[[], datetime] | None = None) -> None:
        self._base = base or (lambda: datetime.now(UTC))
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """Return the time."""
        return self._base() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds, at least 0."""
        self._ahead += timedelta(seconds=max(seconds, 0.0))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A limit and how much of it is used now."""

    limit: VendorLimit
    used: int
    reset_s: float

    @property
    def remaining(self) -> int:
        """What is left."""
        return max(self.limit.amount - self.used, 0)


class _Count:
    """What was used of one pool."""

    def __init__(self, limit: VendorLimit) -> None:
        self._limit = limit
        self._uses: deque[tuple[datetime, int]] = deque()
        self._total = 0

    def add(self, amount: int, now: datetime) -> None:
        self.used(now)
        self._uses.append((now, amount))
        self._total += amount

    def used(self, now: datetime) -> int:
        begin = self._begin(now)
        while self._uses and self._uses[0][0] <= begin:
            self._total -= self._uses.popleft()[1]
        return self._total

    def reset_s(self, now: datetime) -> float:
        """Return the seconds until some of it is free again; 0 when nothing is used."""
        if self.used(now) == 0:
            return 0.0
        if self._limit.zone is None:
            length = _SECONDS.get(self._limit.window, 30 * 86_400)
            return length - (now - self._uses[0][0]).total_seconds()
        return (_next_begin(now, self._limit) - now).total_seconds()

    def _begin(self, now: datetime) -> datetime:
        """Return the moment up to which uses are forgotten."""
        if self._limit.zone is None:
            return now - timedelta(seconds=_SECONDS.get(self._limit.window, 30 * 86_400))
        return _this_begin(now, self._limit) - timedelta(microseconds=1)


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def _this_begin(now: datetime, limit: VendorLimit) -> datetime:
    local = now.astimezone(_zone(limit.zone or "UTC"))
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return (day.replace(day=1) if limit.window is QuotaWindow.MONTH else day).astimezone(UTC)


def _next_begin(now: datetime, limit: VendorLimit) -> datetime:
    local = now.astimezone(_zone(limit.zone or "UTC"))
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if limit.window is QuotaWindow.MONTH:
        day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        day = day + timedelta(days=1)  # of the wall clock: a day may have 23 or 25 hours
    return day.astimezone(UTC)


class VendorQuotas:
    """Counts calls of every provider as its vendor would.

    Args:
        providers: rows of the catalogue.
        limits: their documented limits, by id.
        clock: the time.
        enforced: False counts nothing and refuses nothing.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        limits: Mapping[str, PoolLimits],
        *,
        clock: Callable[[], datetime],
        enforced: bool = True,
    ) -> None:
        self._providers = {provider.id: provider for provider in providers}
        self._documented = limits
        self._clock = clock
        self._enforced = enforced
        self._counts: dict[tuple[str, str, str, VendorLimit], _Count] = {}
        self._under_way: dict[tuple[str, str, str], int] = {}

    def limits_of(self, provider_id: str, model: Model) -> list[VendorLimit]:
        """Return the limits that a call of `model` counts against."""
        found = list(
            documented_limits(habits_of(provider_id), self._documented.get(provider_id), model)
        )
        return found if self._enforced else []

    def charge(self, provider_id: str, model: Model, account: str, tokens: int) -> Refusal | None:
        """Count one call, or return why it is refused (then it is not counted)."""
        habits = habits_of(provider_id)
        due = [
            (limit, self._count(provider_id, model, account, limit), _amount(limit, tokens, habits))
            for limit in self.limits_of(provider_id, model)
        ]
        now = self._clock()
        for limit, count, amount in due:
            if count.used(now) + amount > limit.amount:
                return self._refusal(limit, count, amount, habits, model)
        for _, count, amount in due:
            count.add(amount, now)
        return None

    def count_failed(self, provider_id: str, model: Model, account: str) -> None:
        """Count a call that the vendor failed, where vendors do that."""
        if Quirk.COUNTS_FAILED not in self._providers[provider_id].flags:
            return
        for limit in self.limits_of(provider_id, model):
            if limit.metric is QuotaMetric.REQUESTS:
                self._count(provider_id, model, account, limit).add(1, self._clock())

    def enter(self, provider_id: str, model: Model, account: str) -> Refusal | None:
        """Begin a call, or return why there are too many at once; `leave` ends it."""
        place = (provider_id, account, model.upstream_id)
        allowed = model.free.limits.concurrency
        if self._enforced and allowed is not None and self._under_way.get(place, 0) >= allowed:
            return Refusal(
                status=429,
                message=f"Too many concurrent requests for {model.upstream_id}.",
                code="concurrency_limit_exceeded",
                metric="concurrent",
                window=QuotaWindow.INSTANT,
                wait_s=1,
            )
        self._under_way[place] = self._under_way.get(place, 0) + 1
        return None

    def leave(self, provider_id: str, model: Model, account: str) -> None:
        """End a call."""
        self._under_way[provider_id, account, model.upstream_id] -= 1

    def standings(self, provider_id: str, model: Model, account: str) -> list[Standing]:
        """Return each limit of a model and what is used of it."""
        now = self._clock()
        found = []
        for limit in self.limits_of(provider_id, model):
            count = self._count(provider_id, model, account, limit)
            used = count.used(now)
            found.append(Standing(limit=limit, used=used, reset_s=count.reset_s(now)))
        return found

    def exhaust(
        self,
        provider_id: str,
        model: Model,
        account: str,
        *,
        window: QuotaWindow | None = None,
    ) -> int:
        """Use up the limits of a model (of one window); return how many there were."""
        now, emptied = self._clock(), 0
        for limit in self.limits_of(provider_id, model):
            if window in {None, limit.window}:
                count = self._count(provider_id, model, account, limit)
                count.add(max(limit.amount - count.used(now), 0), now)
                emptied += 1
        return emptied

    def _count(self, provider_id: str, model: Model, account: str, limit: VendorLimit) -> _Count:
        pool = model.upstream_id if limit.per_model else ""
        key = (provider_id, account, pool, limit)
        if key not in self._counts:
            self._counts[key] = _Count(limit)
        return self._counts[key]

    def _refusal(
        self, limit: VendorLimit, count: _Count, amount: int, habits: Habits, model: Model
    ) -> Refusal:
        now = self._clock()
        never = amount > limit.amount
        return Refusal(
            status=413 if never and habits.words is Words.GROQ else 429,
            message=f"Rate limit exceeded: {limit.amount} {limit.metric} per {limit.window}.",
            code="rate_limit_exceeded",
            wait_s=max(count.reset_s(now), 0.001),
            window=limit.window,
            model=model.upstream_id,
            metric=limit.metric.value,
            limit=limit.amount,
            used=count.used(now),
            requested=amount,
        )


def _amount(limit: VendorLimit, tokens: int, habits: Habits) -> int:
    match limit.metric:
        case QuotaMetric.TOKENS:
            return tokens
        case QuotaMetric.UNITS:
            return habits.units_per_call
    return 1
