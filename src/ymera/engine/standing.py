"""Whether a model can be asked at this moment, with which key, and what a call leaves behind.

Health, quotas and closed providers meet here. The plan asks before it settles on candidates, the
attempts ask again right before each call, and every call is one `Lease` that settles all three.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Protocol

from ymera.core.errors import ProviderErrorKind
from ymera.core.model import Model
from ymera.core.quota import Need, PoolKey, QuotaWindow, Shortage
from ymera.core.route import Exclusion, ExclusionReason
from ymera.core.task import TaskProfile
from ymera.engine.lease import Lease
from ymera.engine.trace import Clock
from ymera.routing.filters import Admit
from ymera.routing.health import Block, BlockScope, HealthTable
from ymera.routing.prices import Price, Prices

if TYPE_CHECKING:
    from ymera.routing.quota import QuotaBook, Ticket

__all__ = ["Closures", "Quotas", "Report", "Standing"]

Report = Callable[[str, Mapping[str, str]], None]
"""Told of what people should know: an event's name and its facts, never a key."""

_WITHOUT_KEY: tuple[str | None, ...] = (None,)
_SHORT = frozenset({QuotaWindow.INSTANT, QuotaWindow.SECOND, QuotaWindow.MINUTE, QuotaWindow.HOUR})


class Quotas(Protocol):
    """What vendors allow, and how much of it is left."""

    @property
    def book(self) -> QuotaBook:
        """Counts what is taken."""

    def pools(self, model: Model, key_id: str | None) -> Sequence[PoolKey]:
        """Return what a call of this model with this key counts against; often nothing."""

    def counts_failed(self, model: Model) -> bool:
        """Return whether its vendor counts calls that it refused."""


class Closures(Protocol):
    """Providers that are closed because they billed, or were about to."""

    def why(self, provider: str) -> str | None:
        """Return why a provider is closed, None when it is open; asked for every call."""

    def close(self, provider: str, why: str) -> None:
        """Close a provider until it is opened by hand; holds over restarts."""


class Standing:
    """Says who can be asked now, and takes note of every call.

    Args:
        clock: wall time.
        keys: provider id -> names of its keys; empty for one that is called without.
        health: breakers.
        closures: closed providers.
        quotas: vendors' allowances; None counts nothing.
        report: told what was benched or closed.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        keys: Callable[[str], Sequence[str]],
        health: HealthTable,
        closures: Closures,
        quotas: Quotas | None = None,
        report: Report = lambda _event, _facts: None,
    ) -> None:
        self.clock = clock
        self.health = health
        self.closures = closures
        self.quotas = quotas
        self.report = report
        self._keys = keys
        self._used: dict[tuple[str, str | None], int] = {}
        self._calls = count(1)
        self._prices = None if quotas is None else Prices(quotas.book.strain)

    def admit(
        self,
        model: Model,
        profile: TaskProfile,
        *,
        without: Collection[str | None] = (),
        now: datetime | None = None,
    ) -> Exclusion | str | None:
        """Return the key to ask a model with (None: without one), or why it is not asked now.

        Of several keys it is the one with most left, then the one not used for longest.

        Args:
            model: the model.
            profile: tells how much a call will take.
            without: keys not to be considered.
            now: given where many models are asked about at once.
        """
        closed = self.closures.why(model.provider)
        if closed is not None:
            return Exclusion(model_id=model.id, reason=ExclusionReason.CLOSED, detail=closed)
        now = now or self.clock.now()
        need = _need(profile)
        fit: list[str | None] = []
        refusals: list[Exclusion] = []
        for key_id in self._keys(model.provider) or _WITHOUT_KEY:
            if key_id not in without:
                refusal = self._refusal(model, key_id, need, now)
                if refusal is None:
                    fit.append(key_id)
                else:
                    refusals.append(refusal)
        if fit:
            return fit[0] if len(fit) == 1 else self._rotated(model, fit, now)
        if refusals:
            return min(refusals, key=_wait_s)
        detail = "Every key of its provider was tried."
        return Exclusion(model_id=model.id, reason=ExclusionReason.KEY, detail=detail)

    def admission(self) -> Admit:
        """Return `admit` as it is at this moment, for a plan that looks at many models."""
        now = self.clock.now()
        return lambda model, profile: self.admit(model, profile, now=now)

    def prices(self, profile: TaskProfile) -> Price | None:
        """Return what calls cost later ones at this moment; None where nothing is counted."""
        if self._prices is None:
            return None
        return self._prices.of(profile, self._pools, self.clock.now())

    def _pools(self, model: Model) -> Sequence[PoolKey]:
        """Return what a free call with the first key counts against."""
        quotas = self.quotas
        if not model.free.may_auto_route:  # nobody listed what paid use is limited to
            return ()
        keys = self._keys(model.provider) or _WITHOUT_KEY
        return () if quotas is None else quotas.pools(model, keys[0])

    def lease(
        self,
        model: Model,
        key_id: str | None,
        profile: TaskProfile,
        now: datetime | None = None,
    ) -> Lease:
        """Take what one call is expected to need; to be ended whatever becomes of the call."""
        now = now or self.clock.now()
        self._used[model.provider, key_id] = next(self._calls)
        if self._prices is not None:
            self._prices.asked(model, now)
        ticket: Ticket | None = None
        pools: tuple[PoolKey, ...] = ()
        if self.quotas is not None:
            pools = tuple(self.quotas.pools(model, key_id))
            if pools:
                ticket = self.quotas.book.reserve(pools, _need(profile), now)
        probe = self.health.began(model.id, model.provider, key_id, now)
        return Lease(
            self,
            model,
            key_id,
            pools=pools,
            ticket=ticket,
            probe=probe,
            began=now,
            prompt_tokens=profile.est_input_tokens,
        )

    def benched(self, model: Model, key_id: str | None, block: Block) -> None:
        """Report what only a change by hand brings back, and ids that vanished."""
        if block.until is not None and block.kind is not ProviderErrorKind.MODEL_GONE:
            return
        facts = {"provider": model.provider, "scope": block.scope, "why": block.why}
        if block.scope in {BlockScope.MODEL, BlockScope.CANDIDATE}:
            facts["model"] = model.id
        if key_id is not None and block.scope in {BlockScope.KEY, BlockScope.CANDIDATE}:
            facts["key"] = key_id
        self.report("health.benched", facts)

    def billed(self, model: Model, cost_usd: Decimal | None) -> None:
        """Close the provider of a model that was to cost nothing and did not.

        Args:
            model: what was asked.
            cost_usd: what the upstream says it cost; None: it is out of credit, so it would have.
        """
        if not model.free.may_auto_route:
            return
        billed = "asked for credit" if cost_usd is None else f"reported a cost of ${cost_usd:f}"
        why = f"{model.id} is listed as free, but its provider {billed}."
        self.closures.close(model.provider, why)
        self.report("provider.closed", {"provider": model.provider, "why": why})

    def _refusal(
        self, model: Model, key_id: str | None, need: Need, now: datetime
    ) -> Exclusion | None:
        block = self.health.blocked(model.id, model.provider, key_id, now)
        if block is not None:
            return _blocked(model.id, block, now)
        if self.quotas is None or not (pools := self.quotas.pools(model, key_id)):
            return None
        shortage = self.quotas.book.check(pools, need, now)
        return None if shortage is None else _short(model.id, shortage, now)

    def _rotated(self, model: Model, keys: list[str | None], now: datetime) -> str | None:
        def rank(key_id: str | None) -> tuple[float, int]:
            return -self._left(model, key_id, now), self._used.get((model.provider, key_id), 0)

        return min(keys, key=rank)

    def _left(self, model: Model, key_id: str | None, now: datetime) -> float:
        """Return the share that is left, in tenths: keys that are about alike take turns."""
        if self.quotas is None:
            return 1.0
        return round(self.quotas.book.left(self.quotas.pools(model, key_id), now), 1)


def _need(profile: TaskProfile) -> Need:
    return Need(input_tokens=profile.est_input_tokens, output_tokens=profile.est_output_tokens)


def _wait_s(exclusion: Exclusion) -> float:
    return float("inf") if exclusion.retry_after_s is None else exclusion.retry_after_s


def _blocked(model_id: str, block: Block, now: datetime) -> Exclusion:
    if block.until is None:
        reason = ExclusionReason.KEY if block.scope is BlockScope.KEY else ExclusionReason.HEALTH
        return Exclusion(model_id=model_id, reason=reason, detail=block.why)
    return Exclusion(
        model_id=model_id,
        reason=ExclusionReason.HEALTH,
        detail=f"{block.why} It is asked again at {block.until:%Y-%m-%d %H:%M:%S} UTC.",
        retry_after_s=(block.until - now).total_seconds(),
    )


def _short(model_id: str, shortage: Shortage, now: datetime) -> Exclusion:
    reason, wait_s = ExclusionReason.QUOTA, None
    if shortage.never:
        short = shortage.window in _SHORT
        reason = ExclusionReason.LIMIT_MINUTE if short else ExclusionReason.LIMIT_DAY
    elif shortage.until is not None:
        wait_s = max(0.0, (shortage.until - now).total_seconds())
    detail = shortage.reason
    return Exclusion(model_id=model_id, reason=reason, detail=detail, retry_after_s=wait_s)
