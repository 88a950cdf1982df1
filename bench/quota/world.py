"""The vendors of a simulated day: what they really allow, and what goes wrong.

Their windows are counted here on their own, so that the book is checked by something that shares
no line with it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ymera.catalog.catalog import Catalog
from ymera.catalog.pools import Pools
from ymera.core.model import Model, ModelKind, ProviderKind, Quirk
from ymera.core.quota import WINDOW_S, Limit, PoolKey, QuotaMetric, QuotaWindow

__all__ = [
    "ASSUMED_REQUESTS_PER_DAY",
    "FAULTS",
    "START",
    "Assumption",
    "TrueLimit",
    "Turning",
    "World",
    "free_hosted",
]

START = datetime(2026, 11, 24, tzinfo=UTC)
"""A Tuesday, 00:00 UTC: 16:00 of the day before in California."""

FAULTS = {"server error": 0.010, "overloaded": 0.010, "timeout": 0.005, "cut": 0.003}
"""What goes wrong without anybody's quota: share of calls."""

ASSUMED_REQUESTS_PER_DAY = (50, 100, 200, 500, 1000)
"""Where a vendor publishes no number: one of these, drawn with the seed. The book is not told."""

UNITS_PER_CALL = 20
"""Of a vendor's own measure: 10,000 Neurons are said to last a few hundred chats."""

_TURNING_SHARE = 0.10


@dataclass(frozen=True)
class Assumption:
    """A number the report has to list, because nobody publishes it."""

    pool: PoolKey
    text: str


@dataclass(kw_only=True)
class TrueLimit:
    """A limit as the vendor enforces it."""

    pool: PoolKey
    metric: QuotaMetric
    window: QuotaWindow
    amount: int
    zone: ZoneInfo | None
    assumed: bool = False
    _uses: deque[tuple[float, int]] = field(default_factory=deque)
    _used: int = 0
    _session_ends: float = -1.0
    _day: object = None

    def used(self, at_s: float) -> int:
        """Return what counts at this second of the day."""
        if self.metric is QuotaMetric.CONCURRENT:
            return self._used
        if self.zone is not None:
            local = (START + timedelta(seconds=at_s)).astimezone(self.zone)
            day = local.date() if self.window is QuotaWindow.DAY else (local.year, local.month)
            if day != self._day:
                self._day, self._used = day, 0
            return self._used
        if self.window is QuotaWindow.SESSION:
            if at_s >= self._session_ends:
                self._used, self._session_ends = 0, -1.0
            return self._used
        while self._uses and self._uses[0][0] + WINDOW_S[self.window] <= at_s:
            self._used -= self._uses.popleft()[1]
        return self._used

    def oldest_leaves_s(self, at_s: float) -> float:
        """Return the seconds until the oldest use counts no more; 0 where nothing is used."""
        if not self.used(at_s):
            return 0.0
        if self.window is QuotaWindow.SESSION:
            return self._session_ends - at_s
        return self._uses[0][0] + WINDOW_S[self.window] - at_s if self._uses else 0.0

    def count(self, at_s: float, amount: int) -> None:
        """Count a use; below 0 for a call that ended."""
        self.used(at_s)
        self._used += amount
        if self.window is QuotaWindow.SESSION and self._session_ends < 0:
            self._session_ends = at_s + WINDOW_S[self.window]
        elif self.zone is None and self.metric is not QuotaMetric.CONCURRENT:
            self._uses.append((at_s, amount))


@dataclass(frozen=True)
class Turning:
    """An id that stops being free: refused with 402, or billed and told with the answer."""

    model_id: str
    at_s: float
    late: bool


class World:
    """Every vendor of a day.

    Args:
        catalog: the vendors' rows.
        models: what can be asked.
        pools: what they count against, and what is documented.
        seed: of what is assumed and of what turns.
    """

    def __init__(self, catalog: Catalog, models: Iterable[Model], pools: Pools, seed: int) -> None:
        self.models = tuple(models)
        self.flags = {provider.id: provider.flags for provider in catalog.providers.values()}
        rng = random.Random(f"world {seed}")
        self.assumptions: list[Assumption] = []
        self.limits: dict[PoolKey, list[TrueLimit]] = {}
        self.pools_of = {model.id: pools.of(model) for model in self.models}
        for pool in dict.fromkeys(p for found in self.pools_of.values() for p in found):
            self.limits[pool] = self._true_limits(pool, pools.limits(pool), rng)
        count = round(_TURNING_SHARE * len(self.models))
        self.turning = {
            model.id: Turning(model.id, rng.uniform(0, 86_400), late=number % 2 == 1)
            for number, model in enumerate(rng.sample(self.models, count))
        }

    def counts_failed(self, model: Model) -> bool:
        """Return whether its vendor counts calls that it answered with an error."""
        return Quirk.COUNTS_FAILED in (model.flags | self.flags[model.provider])

    def limits_of(self, model: Model) -> list[TrueLimit]:
        """Return every limit a call counts against."""
        return [limit for pool in self.pools_of[model.id] for limit in self.limits[pool]]

    def _true_limits(
        self, pool: PoolKey, documented: Iterable[Limit], rng: random.Random
    ) -> list[TrueLimit]:
        found = [self._documented(pool, each) for each in documented if each.amount is not None]
        sessions = any(each.window is QuotaWindow.SESSION for each in documented)
        daily = any(each.window in {QuotaWindow.DAY, QuotaWindow.MONTH} for each in found)
        said = any(each.metric is not QuotaMetric.CONCURRENT for each in found)
        if not daily and (sessions or not said or _only_tokens(found)):
            amount = rng.choice(ASSUMED_REQUESTS_PER_DAY)
            window = QuotaWindow.SESSION if sessions else QuotaWindow.DAY
            amount = amount // 5 if sessions else amount
            zone = ZoneInfo("America/Los_Angeles") if pool.provider == "google" else None
            limit = TrueLimit(
                pool=pool,
                metric=QuotaMetric.REQUESTS,
                window=window,
                amount=amount,
                zone=zone,
                assumed=True,
            )
            found.append(limit)
            self.assumptions.append(Assumption(pool, f"{amount} requests a {window}"))
        if any(each.metric is QuotaMetric.UNITS for each in found):
            self.assumptions.append(Assumption(pool, f"a call takes {UNITS_PER_CALL} units"))
        return found

    @staticmethod
    def _documented(pool: PoolKey, limit: Limit) -> TrueLimit:
        return TrueLimit(
            pool=pool,
            metric=limit.metric,
            window=limit.window,
            amount=limit.amount or 0,
            zone=ZoneInfo(limit.zone) if limit.zone else None,
        )


def _only_tokens(limits: Iterable[TrueLimit]) -> bool:
    return not any(each.metric in {QuotaMetric.REQUESTS, QuotaMetric.UNITS} for each in limits)


def free_hosted(catalog: Catalog, keep: Callable[[Model], bool] = lambda _: True) -> list[Model]:
    """Return the hosted chat models that are free now."""
    hosted = {ProviderKind.HOSTED, ProviderKind.AGGREGATOR}
    return [
        model
        for model in catalog.models
        if model.kind is ModelKind.CHAT
        and model.free.may_auto_route
        and catalog.provider_of(model).kind in hosted
        and keep(model)
    ]
