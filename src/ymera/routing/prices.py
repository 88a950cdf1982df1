"""Bid prices: what a call that uses up some of a free quota now takes from later calls.

The strain of a limit compares what is left of it with the time until it is whole again. The
price is strain / (1 + strain), 0 nothing .. 1 nothing is left. Limits of tokens a day serve most
requests where they serve the smallest ones: the size up to which they last for a day is found from
the sizes that were asked for, and what is larger strains them with the square of its size.

Three things besides move a price:

- Pools that can do more than the request needs are kept for requests that need it.
- A provider that bills is closed with all that is left of it. What is kept for later can be lost
  so, the likelier the more ids it takes to use it up: large allowances of many ids go first.
- An id not asked for long may have turned paid meanwhile. What it would close is set against what
  it would add, so a provider whose ids share one pool is asked for the same ids again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from math import exp

from ymera.core.model import Model
from ymera.core.quota import PoolKey, QuotaWindow
from ymera.core.task import TaskProfile
from ymera.routing.quota_windows import SPAN_US, as_us
from ymera.routing.strain import (
    CLOSED_STRAIN,
    FREE_STRAIN,
    PLENTY,
    USUAL_TOKENS,
    Strain,
)

__all__ = ["Price", "Prices"]

Price = Callable[[Model], float]
"""What the quota that a call of a model would use is worth to later calls, 0..1."""

_DAY_US = SPAN_US[QuotaWindow.DAY]
_HOUR_US = SPAN_US[QuotaWindow.HOUR]

# From here to `_BURST` chosen on the training seeds of a simulated day: see bench/quota/README.md.

_LOSS_BY_IDS = 0.1
_LOSS_BY_SIZE = 2.0
"""How much earlier what could be lost is used: by the ids it takes, by its share of all that is
left."""

_TURNS_A_DAY = 0.1
"""Share of free ids that may turn paid in a day, cautiously."""

_VISION_KEPT, _TOOLS_KEPT = 1.3, 1.15
"""Factors of the strain of pools that can do more than the request needs."""

_BURST = 4.0
"""Of what an id of its own allowance would add, how small a part is counted on."""

# What is known of a model is looked at anew after so long, where its provider was asked or not.
_FRESH_US = 5_000_000
_IDLE_FRESH_US = 60_000_000


class _Sizes:
    """How many requests of which size are asked for, by powers of two, most of them lately."""

    __slots__ = ("_counts", "_since")

    def __init__(self) -> None:
        self._counts = [0.0] * 32
        self._since = -1

    def add(self, tokens: int, at: int) -> None:
        """Count a request."""
        if self._since < 0:
            self._since = at
        self._counts[min(tokens.bit_length(), 31)] += 1.0

    def fitting(self, tokens_a_day: float, at: int) -> float:
        """Return the size up to which a day's requests fit into so many tokens."""
        over = max(at - self._since, _HOUR_US)
        if over > 2 * _DAY_US:  # forget the days before
            self._counts = [count / 2 for count in self._counts]
            self._since = at - over // 2
            over //= 2
        rest = tokens_a_day * over / _DAY_US
        for bits, count in enumerate(self._counts):
            low = 1 << bits >> 1
            need = count * low * 1.5
            if need > rest:
                return max(low * (1.0 + rest / need), 1.0)
            rest -= need
        return USUAL_TOKENS


class _Provider:
    """What is known of a provider's models together.

    Attributes:
        at: when it was looked at.
        asked, last: when one of them was asked last, and its id.
        entries: its models.
        pool_left: calls that are left of what all of them share.
        asked_left: calls that are left of those that were asked.
        left: calls that are left of long windows.
        ids: how many it takes to use it up.
        tools, vision: whether one of them can.
    """

    __slots__ = (
        "asked",
        "asked_left",
        "at",
        "entries",
        "ids",
        "last",
        "left",
        "pool_left",
        "tools",
        "vision",
    )

    def __init__(self) -> None:
        self.at = -_FRESH_US
        self.asked, self.last = 0, ""
        self.entries: dict[str, _Entry] = {}
        self.pool_left = PLENTY
        self.asked_left = self.left = 0.0
        self.ids = 1.0
        self.tools = self.vision = False


class _Entry:
    """What is known of a model's price for some seconds.

    Attributes:
        by_need: factor of the strain by what the request needs: nothing, tools, images, both.
        token: strain by each token.
        risk: added to the strain, for what an id that turned paid would close.
        soon, late: when it is out of date if its provider was asked since, and if not.
    """

    __slots__ = ("at", "by_need", "late", "pools", "provider", "risk", "soon", "strain", "token")

    def __init__(self, provider: _Provider) -> None:
        self.provider = provider
        self.pools: Sequence[PoolKey] = ()
        self.strain = CLOSED_STRAIN
        self.at = self.soon = self.late = 0
        self.token = self.risk = 0.0
        self.by_need = (1.0, 1.0, 1.0, 1.0)


class Prices:
    """What calls cost later ones; kept for some seconds, for a minute where nothing is asked.

    Args:
        strain: returns how hard a call presses on pools, see `ymera.routing.strain`.
    """

    def __init__(self, strain: Callable[[Sequence[PoolKey], datetime], Strain]) -> None:
        self._strain = strain
        self._entries: dict[str, _Entry] = {}
        self._providers: dict[str, _Provider] = {}
        self._asked: dict[str, int] = {}
        self._since: int | None = None
        self._sizes = _Sizes()
        self._tokens_a_day = 0.0

    def asked(self, model: Model, now: datetime) -> None:
        """Note that a model is asked: it will be known whether it is free still."""
        at = self._asked[model.id] = as_us(now)
        provider = self._providers.get(model.provider)
        if provider is not None:
            provider.asked, provider.last = at, model.id

    def of(
        self, task: TaskProfile, pools: Callable[[Model], Sequence[PoolKey]], now: datetime
    ) -> Price:
        """Return the prices for a request at a moment.

        Args:
            task: the request.
            pools: returns what a call of a model counts against; nothing costs nothing.
            now: UTC.
        """
        at, entries = as_us(now), self._entries
        tokens = task.est_input_tokens + task.est_output_tokens
        self._sizes.add(tokens, at)
        need = task.needs.tools + 2 * task.needs.vision

        def price(model: Model) -> float:
            entry = entries.get(model.id)
            if entry is None or (
                at >= entry.soon and (at >= entry.late or entry.provider.asked > entry.at)
            ):
                entry = self._refreshed(model, pools(model), now, at)
            strain, size = entry.strain.call, entry.token * tokens
            if size:
                strain = max(strain, size * size)
            strain = strain * entry.by_need[need] + entry.risk
            return strain / (1.0 + strain)

        return price

    def _refreshed(self, model: Model, pools: Sequence[PoolKey], now: datetime, at: int) -> _Entry:
        entry = self._entries.get(model.id)
        if entry is None:
            entry = self._entered(model, at)
        entry.at, entry.soon, entry.late = at, at + _FRESH_US, at + _IDLE_FRESH_US
        entry.pools = pools
        if not pools:
            entry.strain, entry.token, entry.risk = FREE_STRAIN, 0.0, 0.0
            return entry
        before, entry.strain = entry.strain, self._strain(pools, now)
        self._tokens_a_day += entry.strain.tokens_a_day - before.tokens_a_day
        entry.token = entry.strain.usual**0.5 / self._size(entry.strain, at)
        if at >= entry.provider.at + _FRESH_US:
            self._weigh(entry.provider, now, at)
        self._judge(model, entry, at)
        return entry

    def _size(self, strain: Strain, at: int) -> float:
        """Return the size up to which tokens last."""
        if not strain.tokens_a_day:
            return USUAL_TOKENS
        return self._sizes.fitting(self._tokens_a_day, at)

    def _entered(self, model: Model, at: int) -> _Entry:
        if self._since is None:
            self._since = at
        provider = self._providers.setdefault(model.provider, _Provider())
        entry = self._entries[model.id] = provider.entries[model.id] = _Entry(provider)
        provider.tools |= bool(model.tools)
        provider.vision |= bool(model.vision)
        return entry

    def _weigh(self, provider: _Provider, now: datetime, at: int) -> None:
        """Look at a provider's models together."""
        provider.at = at
        pool_a_day = pool_left = PLENTY
        a_day = most = left = asked_left = 0.0
        for model_id, entry in provider.entries.items():
            strain = entry.strain
            if entry.pools and entry.pools[-1].model is None and pool_a_day == PLENTY:
                shared = self._strain(entry.pools[-1:], now)
                pool_a_day, pool_left = shared.a_day, shared.left
            a_day += strain.a_day
            most = max(most, strain.a_day)
            left += strain.left if strain.wait else 0.0
            asked_left += strain.left if model_id in self._asked else 0.0
        provider.ids = min(a_day, pool_a_day) / most if most else 1.0
        provider.pool_left = pool_left
        provider.left = min(left, pool_left)
        provider.asked_left = min(asked_left, pool_left)

    def _judge(self, model: Model, entry: _Entry, at: int) -> None:
        """Find what besides the strain moves a model's price."""
        provider, strain = entry.provider, entry.strain
        shared = entry.pools[-1].model is None
        all_left = sum(each.left for each in self._providers.values())
        loss = _LOSS_BY_IDS * provider.ids
        loss += _LOSS_BY_SIZE * provider.left / all_left if all_left else 0.0
        base = exp(-loss * strain.wait)
        images = _VISION_KEPT if (provider.vision if shared else model.vision) else 1.0
        acting = _TOOLS_KEPT if (provider.tools if shared else model.tools) else 1.0
        entry.by_need = (base * images * acting, base * images, base * acting, base)
        idle = at - self._asked.get(model.id, self._since or at)
        entry.risk = 0.0
        same = strain.left >= provider.pool_left  # any id can use up what all of them share
        if same and provider.last in {model.id, ""}:
            return
        if idle > _FRESH_US and strain.left:
            gain = strain.left / _BURST if strain.wait else strain.left
            if same:
                gain = 1.0
            odds = _TURNS_A_DAY * min(idle / _DAY_US, 1.0)
            entry.risk = odds * provider.asked_left / gain
