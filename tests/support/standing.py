"""Health, quotas and closed providers in memory, over a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.engine import FakeTime
from ymera.core.model import Model
from ymera.core.quota import Limit, PoolKey, QuotaMetric, QuotaWindow
from ymera.engine.standing import Standing
from ymera.routing.health import HealthTable
from ymera.routing.quota import QuotaBook

__all__ = ["Closed", "Offstage", "per_day", "per_minute"]


def per_minute(requests: int) -> Limit:
    """Return a limit of requests a minute."""
    return Limit(metric=QuotaMetric.REQUESTS, window=QuotaWindow.MINUTE, amount=requests)


def per_day(amount: int, metric: QuotaMetric = QuotaMetric.REQUESTS) -> Limit:
    """Return a limit a day."""
    return Limit(metric=metric, window=QuotaWindow.DAY, amount=amount, zone="UTC")


@dataclass
class Closed:
    """Closed providers, in memory."""

    closed: dict[str, str] = field(default_factory=dict)

    def why(self, provider: str) -> str | None:
        """Return why a provider is closed."""
        return self.closed.get(provider)

    def close(self, provider: str, why: str) -> None:
        """Close it."""
        self.closed[provider] = why


@dataclass
class Offstage:
    """What stands behind a `Stage`: keys by provider, limits by pool owner or provider.

    Each provider's keys share one pool, unless `own_pools`.
    """

    time: FakeTime
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    limits: Mapping[str, Iterable[Limit]] = field(default_factory=dict)
    own_pools: bool = False
    counting_failed: bool = False
    closures: Closed = field(default_factory=Closed)
    health: HealthTable = field(default_factory=HealthTable)
    reports: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    book: QuotaBook = field(init=False)

    def __post_init__(self) -> None:
        self.book = QuotaBook(self._limits)

    def standing(self) -> Standing:
        """Return what the engine asks."""
        return Standing(
            clock=self.time.clock(),
            keys=lambda provider: self.keys.get(provider, ()),
            health=self.health,
            closures=self.closures,
            quotas=self,
            report=lambda event, facts: self.reports.append((event, dict(facts))),
        )

    def pools(self, model: Model, key_id: str | None) -> tuple[PoolKey, ...]:
        """Return the pool of a call; none for a provider without limits."""
        owner = key_id if self.own_pools and key_id else "account"
        pool = PoolKey(model.provider, owner)
        return (pool,) if self._limits(pool) else ()

    def counts_failed(self, model: Model) -> bool:
        """Return whether refused calls count."""
        del model
        return self.counting_failed

    def used(self, provider: str, owner: str = "account") -> dict[QuotaMetric, int]:
        """Return what is counted of a pool now, by metric."""
        rows = self.book.rows(self.time.clock().now(), [PoolKey(provider, owner)])
        return {row.metric: row.used for row in rows}

    def _limits(self, pool: PoolKey) -> tuple[Limit, ...]:
        return tuple(self.limits.get(pool.owner, self.limits.get(pool.provider, ())))
