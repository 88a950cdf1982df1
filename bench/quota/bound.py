"""The most that any scheduler could serve, even one that knows the whole day in advance.

A maximum flow from the requests of each minute to the allowances of the day. Limits are relaxed
where that is simpler (a window that rolls counts by fixed minutes or hours; a minute's limit of a
pool that has a day's limit, too, is left out), so the bound is at least as high as the truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

from bench.quota.flow import Flow
from bench.quota.world import START, UNITS_PER_CALL, TrueLimit, World
from ymera.core.quota import PoolKey, QuotaMetric, QuotaWindow

__all__ = ["Asked", "bound", "capacity_of"]

_MINUTES = 1440
_USUAL_TOKENS = 1_000
_DAY_S = 86_400.0
_LONG = frozenset({QuotaWindow.DAY, QuotaWindow.WEEK, QuotaWindow.MONTH})

Spent = Mapping[tuple[PoolKey, int], int]
Asked = tuple[int, int, int]
"""A request: minute of the day, kind, tokens it really takes."""


def bound(
    world: World,
    asked: Sequence[Asked],
    can: Mapping[str, frozenset[int]],
    until_s: Mapping[str, float],
    spent: Spent = MappingProxyType({}),
) -> int:
    """Return how many requests can be served at most.

    Args:
        world: what vendors allow.
        asked: every request.
        can: model id -> the kinds it can serve.
        until_s: model id -> second of the day from which on it must not be asked.
        spent: what calls took that failed and counted, by narrowest pool and minute: nobody can
            serve anything with that any more.
    """
    flow = Flow()
    source, sink = flow.node(), flow.node()
    demand = Counter((minute, kind) for minute, kind, _ in asked)
    requests: dict[int, list[tuple[int, int]]] = {}
    for (minute, kind), count in demand.items():
        start = flow.node()
        flow.edge(source, start, count)
        requests.setdefault(minute, []).append((kind, start))
    sizes = sorted(tokens for _, _, tokens in asked)
    small = flow.node()  # what counts tokens: no small request fits into two of them
    flow.edge(small, sink, _fitting(_day_tokens(world), sizes))
    for span, amount in _allowances(world, sizes, can, until_s, spent).items():
        kinds, first, last, by_tokens = span
        node = flow.node()
        flow.edge(node, small if by_tokens else sink, amount)
        for minute in range(first, last):
            for kind, start in requests.get(minute, ()):
                if kind in kinds:
                    flow.edge(start, node, len(asked))
    return flow.most(source, sink)


def capacity_of(world: World, can: Mapping[str, frozenset[int]]) -> int:
    """Return how many requests of a usual size all pools together allow in the day."""
    usual = [_USUAL_TOKENS] * 100_000
    return sum(_allowances(world, usual, can, {}, {}).values())


def _allowances(
    world: World,
    sizes: Sequence[int],
    can: Mapping[str, frozenset[int]],
    until_s: Mapping[str, float],
    spent: Spent,
) -> Counter[tuple[frozenset[int], int, int, bool]]:
    """Return what may be served by kinds and minutes, and whether tokens of a day bound it.

    Pools that are alike are added up.
    """
    found: Counter[tuple[frozenset[int], int, int, bool]] = Counter()
    for group in _groups(world):
        models = [m for m in world.models if _home(world, m.id) in group]
        kinds: frozenset[int] = frozenset().union(*(can[m.id] for m in models))
        last = _minute(max(until_s.get(m.id, _DAY_S) for m in models))
        taken = {key: n for key, n in spent.items() if key[0] in group}
        for (start, end), amount in _spans(world, group, sizes).items():
            if start < min(end, last) and kinds:
                lost = sum(n for (pool, at), n in taken.items() if start <= at < end)
                by_tokens = any(_by_tokens(world.limits[pool], amount, sizes) for pool in group)
                found[kinds, start, min(end, last), by_tokens] += max(amount - lost, 0)
    return found


def _minute(second: float) -> int:
    return min(int(min(second, _DAY_S) // 60) + 1, _MINUTES)


def _home(world: World, model_id: str) -> PoolKey:
    """Return the narrowest pool of a model."""
    return world.pools_of[model_id][0]


def _groups(world: World) -> list[list[PoolKey]]:
    """Return the narrowest pools, those of one account together where the account has a limit."""
    groups: dict[PoolKey, list[PoolKey]] = {}
    for pools in world.pools_of.values():
        members = groups.setdefault(pools[-1], [])
        if pools[0] not in members:
            members.append(pools[0])
    return list(groups.values())


def _spans(
    world: World, group: Sequence[PoolKey], sizes: Sequence[int]
) -> dict[tuple[int, int], int]:
    """Return how many requests a group of pools takes in each span of minutes."""
    total: Counter[tuple[int, int]] = Counter()
    for pool in group:
        total.update(_of_limits(world.limits[pool], sizes))
    outer = {p for pools in world.pools_of.values() if pools[0] in group for p in pools[1:]}
    for pool in outer:
        whole = _of_limits(world.limits[pool], sizes)
        if whole and sum(whole.values()) < sum(total.values()):
            total = Counter(whole)
    return dict(total)


def _of_limits(limits: Sequence[TrueLimit], sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Return the tightest of limits over a day; where there is none, those of its minutes."""
    options = [_of_limit(limit, sizes) for limit in limits]
    long = [option for option in options if option and len(option) < 24]
    if not long:
        long = [option for option in options if option]
    return min(long, key=lambda option: sum(option.values()), default={})


def _of_limit(limit: TrueLimit, sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    amount = limit.amount
    if limit.metric is QuotaMetric.CONCURRENT:
        return {}
    if limit.metric is QuotaMetric.UNITS:
        amount = amount // UNITS_PER_CALL
    elif limit.metric is QuotaMetric.TOKENS:
        if limit.window not in _LONG:
            return {}
        amount = _fitting(amount, sizes)
    if limit.zone is not None and limit.window is QuotaWindow.DAY:
        midnight = START.astimezone(limit.zone).replace(hour=0, minute=0) + timedelta(days=1)
        turn = int((midnight - START).total_seconds() // 60)
        if 0 < turn < _MINUTES:
            return {(0, turn): amount, (turn, _MINUTES): amount}
    if limit.window is QuotaWindow.SESSION:
        return {(0, _MINUTES): 5 * amount}  # a session every five hours
    step = {QuotaWindow.SECOND: 1, QuotaWindow.MINUTE: 1, QuotaWindow.HOUR: 60}.get(limit.window)
    if step is None:
        return {(0, _MINUTES): amount}
    if limit.window is QuotaWindow.SECOND:
        amount *= 60
    return {(start, start + step): amount for start in range(0, _MINUTES, step)}


def _day_tokens(world: World) -> int:
    """Return the tokens that pools which count them by the day allow together."""
    return sum(each.amount for limits in world.limits.values() for each in limits if _daily(each))


def _by_tokens(limits: Sequence[TrueLimit], amount: int, sizes: Sequence[int]) -> bool:
    return any(_daily(each) and _fitting(each.amount, sizes) == amount for each in limits)


def _daily(limit: TrueLimit) -> bool:
    return limit.metric is QuotaMetric.TOKENS and limit.window in _LONG


def _fitting(tokens: int, sizes: Sequence[int]) -> int:
    """Return how many requests fit if the smallest ones are chosen."""
    count = 0
    for size in sizes:
        tokens -= size
        if tokens < 0:
            break
        count += 1
    return count
