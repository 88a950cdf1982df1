"""The book of quotas: what each pool allows, what was used of it, and whether a call fits.

Every method takes the time as an argument; nothing here blocks, and nothing is awaited, so calls
from one event loop never come between each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo

from ymera.core.errors import ConfigError
from ymera.core.quota import (
    Limit,
    LimitSeen,
    MeterState,
    Need,
    PoolKey,
    QuotaMetric,
    QuotaRow,
    QuotaWindow,
    Shortage,
)
from ymera.core.usage import Usage
from ymera.routing.quota_meter import (
    CLOSED,
    COUNTED_ANYWAY,
    NEED_OF,
    Meter,
    Zones,
    is_long,
    suspect_longer,
)
from ymera.routing.quota_reading import row_of, shortage_of
from ymera.routing.quota_windows import SPAN_US, Mark, as_us
from ymera.routing.strain import Strain, strain_of

__all__ = ["QuotaBook", "Shortage", "Ticket"]

_TOKENS = NEED_OF[QuotaMetric.TOKENS]
_UNDER_WAY = NEED_OF[QuotaMetric.CONCURRENT]
_SET_BACK_US = 60_000_000
_WORTH_SHARING_US = 3_600_000_000


class Ticket:
    """What one call took, until it is settled or released; the first of these counts."""

    __slots__ = ("_taken", "open", "pools")

    def __init__(
        self, pools: tuple[PoolKey, ...], taken: list[tuple[Meter, Mark, int, int]]
    ) -> None:
        self.pools = pools
        self.open = True
        self._taken = taken


def _utc(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    raise ConfigError(f"The zone {name!r} is not known here.", hint="Give the book `zones`.")


class QuotaBook:
    """What is left of every pool.

    Pools come into being when they are first named; the ones idle longest are forgotten beyond
    `max_pools`.

    Args:
        documented: returns a pool's documented limits; none where nothing is published.
        zones: finds a time zone by its IANA name.
        max_pools: held at most.
        keep_changes: remember what changed, for `drain`.
    """

    def __init__(
        self,
        documented: Callable[[PoolKey], Iterable[Limit]] = lambda _: (),
        *,
        zones: Zones = _utc,
        max_pools: int = 4096,
        keep_changes: bool = False,
    ) -> None:
        self._documented = documented
        self._zones = zones
        self._max_pools = max_pools
        self._keep_changes = keep_changes
        self._pools: dict[PoolKey, list[Meter]] = {}
        self._groups: dict[tuple[PoolKey, ...], list[Meter]] = {}
        self._now: datetime | None = None
        self._at = 0

    # --- around a call -------------------------------------------------------------------------

    def check(self, pools: Sequence[PoolKey], need: Need, now: datetime) -> Shortage | None:
        """Return what stands in the way of a call now; None: it fits everywhere."""
        at = self._at if now is self._now else self._take_time(now)
        needs = (need.requests, need.input_tokens + need.output_tokens, 1, 0)
        short = False
        for meter in self._meters(pools):
            if at >= meter.turn:
                meter.refresh(at)
            if meter.count.used + needs[meter.need] > meter.amount:
                short = True
        return shortage_of(self._meters(pools), needs, at) if short else None

    def reserve(self, pools: Sequence[PoolKey], need: Need, now: datetime) -> Ticket:
        """Count a call that is about to be made, whether it fits or not."""
        at = self._at if now is self._now else self._take_time(now)
        needs = (need.requests, need.input_tokens + need.output_tokens, 1, 0)
        taken: list[tuple[Meter, Mark, int, int]] = []
        for meter in self._meters(pools):
            if at >= meter.turn:
                meter.refresh(at)
            amount = needs[meter.need]
            if amount or meter.need == _TOKENS:
                meter.open += 1
                meter.pending += amount
                taken.append((meter, meter.add(at, amount), amount, meter.version))
        return Ticket(tuple(pools), taken)

    def settle(self, ticket: Ticket, usage: Usage | None, now: datetime, *, counted: bool) -> None:
        """Correct what a call took, once it has ended.

        A call belongs to the window in which it was reserved.

        Args:
            ticket: from `reserve`; one that was settled or released before changes nothing.
            usage: tokens as the upstream counted them; None: the estimate stands.
            now: UTC.
            counted: False when the vendor does not count this call (most do not count failures).
        """
        self._end(ticket, None if usage is None else usage.total_tokens, now, counted=counted)

    def release(self, ticket: Ticket, now: datetime) -> None:
        """Give back what a call took that was never made."""
        self._end(ticket, None, now, counted=False)

    def _end(self, ticket: Ticket, tokens: int | None, now: datetime, *, counted: bool) -> None:
        if not ticket.open:
            return
        ticket.open = False
        at = self._at if now is self._now else self._take_time(now)
        for meter, mark, amount, version in ticket._taken:
            meter.open -= 1
            meter.pending -= amount
            told_since = version != meter.version
            if meter.need == _UNDER_WAY:
                meter.change(mark, -amount)
            elif not counted:
                if not told_since:  # else the vendor's own count has the last word
                    meter.change(mark, -amount)
            else:
                meter.strikes = 0
                if meter.need == _TOKENS and tokens is not None:
                    self._correct(meter, mark, tokens - amount, at, told_since=told_since)

    def _correct(self, meter: Meter, mark: Mark, amount: int, at: int, *, told_since: bool) -> None:
        if amount > 0 and mark[1] >= 0:
            if at >= meter.turn:
                meter.refresh(at)
            if mark[1] >= 0:
                meter.add(at, amount)
        elif amount < 0 and not told_since:
            meter.change(mark, amount)

    # --- learning ------------------------------------------------------------------------------

    def learn(self, pools: Sequence[PoolKey], seen: Sequence[LimitSeen], now: datetime) -> None:
        """Take in what an answer, or a failure, says of the vendor's limits.

        Args:
            pools: of the call, the narrowest first.
            seen: what it says.
            now: UTC.
        """
        at = self._take_time(now)
        for each in seen:
            if pools:
                meter = self._meter_for(pools, each)
                meter.learn(each, at)
                if meter.strikes and meter.closed_until > at and each.limit is None:
                    self._suspect_longer(pools, meter, at)

    def _suspect_longer(self, pools: Sequence[PoolKey], refused: Meter, at: int) -> None:
        """Look for what is used up after a refusal that names neither window nor number."""
        meters = self._meters(pools)
        if not any(map(is_long, meters)):  # from now on one is counted, so that it can be learned
            self._pools[refused.pool].append(self._meter(refused.pool, COUNTED_ANYWAY))
            self._groups.clear()
            meters = self._meters(pools)
        suspect_longer(meters, refused, at)

    def _meter_for(self, pools: Sequence[PoolKey], seen: LimitSeen) -> Meter:
        """Return the meter that a vendor speaks of; a new one where there is none."""
        fitting = [
            meter
            for meter in self._meters(pools)
            if meter.metric is seen.metric and meter.window is seen.window
        ]
        if seen.of_model is not None:
            wanted = [m for m in fitting if (m.pool.model is not None) == seen.of_model]
            fitting = wanted or [m for m in fitting if len(pools) == 1]
        if len(fitting) > 1 and seen.limit is not None:
            limit = seen.limit

            def distance(meter: Meter) -> float:
                known = meter.limit.amount if meter.limit is not None else None
                return abs((known or 0) - limit)

            return min(fitting, key=distance)
        if fitting:
            return fitting[0]
        return self._new_meter(_pool_of(pools, seen), seen)

    def _new_meter(self, pool: PoolKey, seen: LimitSeen) -> Meter:
        meters = self._pools[pool]
        zone = next((m.zone for m in meters if m.zone and m.window is not QuotaWindow.MINUTE), None)
        short = seen.window in {QuotaWindow.SECOND, QuotaWindow.MINUTE, QuotaWindow.INSTANT}
        limit = Limit(
            metric=seen.metric,
            window=seen.window,
            zone=None if short else zone,
            confidence=0.0,
        )
        meter = Meter(pool, limit, self._zones, keep_changes=self._keep_changes)
        meters.append(meter)
        self._groups.clear()
        return meter

    # --- reading -------------------------------------------------------------------------------

    def price(self, pool: PoolKey, now: datetime) -> float:
        """Return what one call of this pool costs later calls: 0 nothing .. 1 none is left."""
        at = self._take_time(now)
        strain = strain_of(self._meters_of(pool), at)
        pressed = max(strain.call, strain.usual)
        return pressed / (1.0 + pressed)

    def strain(self, pools: Sequence[PoolKey], now: datetime) -> Strain:
        """Return how hard a call would press on these pools together."""
        at = self._at if now is self._now else self._take_time(now)
        return strain_of(self._meters(pools), at)

    def left(self, pools: Sequence[PoolKey], now: datetime) -> float:
        """Return the smallest share that is left of any limit, 0..1; 1 where none is known."""
        at = self._at if now is self._now else self._take_time(now)
        least = 1.0
        for meter in self._meters(pools):
            if at >= meter.turn:
                meter.refresh(at)
            amount = meter.amount
            if amount <= 0:
                return 0.0
            least = min(least, 1.0 - meter.count.used / amount)
        return max(least, 0.0)

    def rows(self, now: datetime, pools: Iterable[PoolKey] | None = None) -> list[QuotaRow]:
        """Return every limit of these pools (None: all that were ever named) for people."""
        at = self._take_time(now)
        keys = list(self._pools) if pools is None else list(pools)
        return [row_of(meter, at) for pool in keys for meter in self._meters_of(pool)]

    # --- storing -------------------------------------------------------------------------------

    def dump(self, now: datetime) -> tuple[MeterState, ...]:
        """Return everything that is known, for `load`."""
        at = self._take_time(now)
        states = []
        for meters in self._pools.values():
            for meter in meters:
                meter.refresh(at)
                states.append(meter.state(tuple(meter.count.uses())))
        return tuple(states)

    def load(self, states: Iterable[MeterState], now: datetime) -> None:
        """Take over what was stored, on top of what is known."""
        at = self._take_time(now)
        for state in states:
            self._stored(state).take_state(state, at)

    def drain(self) -> tuple[MeterState, ...]:
        """Return what changed since the last time; `uses` are differences, see `MeterState`.

        Amounts below 0 are to be taken from the oldest uses. Empty unless `keep_changes`.
        """
        states = []
        for meters in self._pools.values():
            for meter in meters:
                if meter.dirty and meter.unsaved is not None:
                    states.append(meter.state(tuple(sorted(meter.unsaved.items()))))
                    meter.unsaved = {}
                    meter.dirty = False
        return tuple(states)

    def absorb(self, states: Iterable[MeterState], now: datetime) -> None:
        """Count what other processes used, as the store knows it after a `drain` of ours.

        Windows shorter than an hour are left out: they are over before anybody could tell.
        """
        at = self._take_time(now)
        for state in states:
            meter = self._stored(state)
            if SPAN_US[meter.window] >= _WORTH_SHARING_US and state.zone == meter.zone:
                meter.refresh(at)
                meter.absorb(state.uses, at)
            meter.closed_until = max(meter.closed_until, state.closed_until_us)
            meter.turn = 0

    def redocument(self, documented: Callable[[PoolKey], Iterable[Limit]]) -> None:
        """Use other documented limits from now on; uses and what was learned stay."""
        self._documented = documented
        old, self._pools = self._pools, {}
        self._groups.clear()
        for pool, meters in old.items():
            known = {(m.metric, m.window, m.zone): m for m in meters}
            for limit in self._limits(pool):
                meter = known.pop((limit.metric, limit.window, limit.zone), None)
                if meter is None:
                    meter = self._meter(pool, limit)
                meter.documented, meter.turn = limit, 0
                self._pools.setdefault(pool, []).append(meter)
            for meter in known.values():
                meter.documented, meter.turn = None, 0
                if meter.learned is not None or meter.open:
                    self._pools.setdefault(pool, []).append(meter)

    # --- pools ---------------------------------------------------------------------------------

    def _take_time(self, now: datetime) -> int:
        at = as_us(now)
        if at < self._at - _SET_BACK_US:  # let no window wait for a time that was never right
            for meters in self._pools.values():
                for meter in meters:
                    meter.refresh(at)
        self._now, self._at = now, at
        return at

    def _meters(self, pools: Sequence[PoolKey]) -> list[Meter]:
        key = pools if isinstance(pools, tuple) else tuple(pools)
        group = self._groups.get(key)
        if group is None:
            for pool in key:
                self._meters_of(pool)
            self._forget_idle(keep=key)
            group = self._groups[key] = [m for pool in key for m in self._pools[pool]]
        return group

    def _meters_of(self, pool: PoolKey) -> list[Meter]:
        meters = self._pools.get(pool)
        if meters is None:
            meters = [self._meter(pool, limit) for limit in self._limits(pool)]
            self._pools[pool] = meters
        return meters

    def _limits(self, pool: PoolKey) -> tuple[Limit, ...]:
        found = tuple(self._documented(pool))
        told = any(each.window is not QuotaWindow.INSTANT for each in found)
        return found if told else (*found, COUNTED_ANYWAY)

    def _meter(self, pool: PoolKey, limit: Limit) -> Meter:
        return Meter(pool, limit, self._zones, keep_changes=self._keep_changes)

    def _stored(self, state: MeterState) -> Meter:
        for meter in self._meters_of(state.pool):
            if meter.metric is state.metric and meter.window is state.window:
                return meter
        limit = Limit(metric=state.metric, window=state.window, zone=state.zone, confidence=0.0)
        meter = self._meter(state.pool, limit)
        self._pools[state.pool].append(meter)
        self._groups.clear()
        return meter

    def _forget_idle(self, keep: tuple[PoolKey, ...]) -> None:
        surplus = len(self._pools) - self._max_pools
        if surplus <= 0:
            return
        idle = [
            pool
            for pool, meters in self._pools.items()
            if pool not in keep and not any(m.open or m.dirty or m.amount == CLOSED for m in meters)
        ]
        idle.sort(key=lambda pool: sum(m.count.used > 0 for m in self._pools[pool]))
        for pool in idle[:surplus]:
            del self._pools[pool]
        self._groups.clear()


def _pool_of(pools: Sequence[PoolKey], seen: LimitSeen) -> PoolKey:
    if seen.of_model is None:
        return pools[0]
    return next((p for p in pools if (p.model is not None) == seen.of_model), pools[0])
