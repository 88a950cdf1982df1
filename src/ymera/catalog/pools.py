"""From catalogue rows to quota pools: what shares an allowance, and how large it is documented.

The rows say in words what a vendor counts by (`scope`), and when it begins anew (`reset`). What
they do not say is not guessed: a limit without a number stays one, and a day without a zone rolls,
which is within what any clock of the vendor's would allow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

from ymera.catalog.catalog import Catalog
from ymera.catalog.entries import PoolLimits, ProviderEntry
from ymera.catalog.free import is_stale
from ymera.core.model import Limits, Model, Provider, ProviderKind
from ymera.core.quota import Limit, LimitSource, PoolKey, QuotaMetric, QuotaWindow

__all__ = ["OwnerKind", "Pools", "owner_kind"]

_ACCOUNT = "account"
_IP = "ip"
_MICRO_USD = 1_000_000
_UNCOUNTED = frozenset({ProviderKind.EMBEDDED, ProviderKind.LOCAL, ProviderKind.SCRIPTED})
"""Providers whose only bound is the machine."""

_CONFIDENCE = {"high": 0.8, "medium": 0.6, "low": 0.4}
_TOLD_BY_USERS = 0.9
_STALE = 0.75
"""Factor for what was last seen long ago."""

_FIELDS = {
    "rpm": (QuotaMetric.REQUESTS, QuotaWindow.MINUTE),
    "rpd": (QuotaMetric.REQUESTS, QuotaWindow.DAY),
    "tpm": (QuotaMetric.TOKENS, QuotaWindow.MINUTE),
    "tpd": (QuotaMetric.TOKENS, QuotaWindow.DAY),
}
_IN_WORDS = (
    (re.compile(r"([\d,]+) Neurons/day"), QuotaMetric.UNITS, QuotaWindow.DAY),
    (re.compile(r"about ([\d,]+) requests/hour"), QuotaMetric.REQUESTS, QuotaWindow.HOUR),
    (re.compile(r"\b(\d+) concurrent"), QuotaMetric.CONCURRENT, QuotaWindow.INSTANT),
)
_MIDNIGHT = re.compile(r"\b00:00 ([A-Z][A-Za-z]+(?:/[A-Za-z_]+)?)")
_CALENDAR = frozenset({QuotaWindow.DAY, QuotaWindow.WEEK, QuotaWindow.MONTH})


class OwnerKind(StrEnum):
    """Who an allowance belongs to, in the vendor's eyes."""

    ACCOUNT = "account"
    """Or project, organisation, workspace, team: all keys of it together."""
    KEY = "key"
    IP = "ip"
    KEY_OR_IP = "key or ip"


def owner_kind(scope: str | None) -> OwnerKind:
    """Return who owns an allowance whose row has this scope; not said counts as the account."""
    words = (scope or "").lower()
    if words.startswith("key or ip"):
        return OwnerKind.KEY_OR_IP
    if words.startswith("ip "):
        return OwnerKind.IP
    return OwnerKind.KEY if words == "key" else OwnerKind.ACCOUNT


class Pools:
    """Finds the pools that a call counts against, and what is documented of each.

    Args:
        catalog: models and providers, the user's own included.
        entries: provider rows by id, where the catalogue's own were laid over by settings.
        apart: ids of providers of which each key is an account of its own.
        own: what the settings say that all models of a provider together are allowed, by id; its
            numbers go before the row's, while a model's own hold besides.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        entries: Mapping[str, ProviderEntry] | None = None,
        apart: Collection[str] = (),
        own: Mapping[str, PoolLimits] = MappingProxyType({}),
    ) -> None:
        self._catalog = catalog
        self._entries = {**(entries or {}), **catalog.provider_entries}
        self._models = {model.id: model for model in catalog.models}
        self._apart = frozenset(apart)
        self._own = own
        self._found: dict[tuple[str, str | None], tuple[PoolKey, ...]] = {}

    def of(self, model: Model, key_id: str | None = None) -> tuple[PoolKey, ...]:
        """Return the pools of a call, the narrowest first; none where nothing is counted.

        Args:
            model: what is asked.
            key_id: of the key it is asked with; None without one.
        """
        found = self._found.get((model.id, key_id))
        if found is None:
            found = self._found[model.id, key_id] = tuple(self._of(model, key_id))
        return found

    def limits(self, pool: PoolKey) -> tuple[Limit, ...]:
        """Return what is documented of a pool; empty when nothing is published."""
        provider = self._catalog.providers.get(pool.provider)
        if provider is None:
            return ()
        if pool.model is None:
            return self._shared(provider)
        model = self._models.get(pool.model)
        if model is None or not model.free.may_auto_route:
            return ()
        return self._of_model(model, provider)

    def _of(self, model: Model, key_id: str | None) -> Iterator[PoolKey]:
        provider = self._catalog.provider_of(model)
        if provider.kind in _UNCOUNTED:
            return
        limits = self._row(provider)
        owner = self._owner(provider, limits.scope, key_id)
        if not model.free.may_auto_route:  # under limits of paid use, which only users can tell
            yield PoolKey(provider.id, owner, None if provider.id in self._own else model.id)
            return
        shared, own = self._shared(provider), self._of_model(model, provider)
        if own or (limits.per_model and not shared):
            yield PoolKey(provider.id, owner, model.id)
        if shared or not (own or limits.per_model):
            yield PoolKey(provider.id, owner)

    def _owner(self, provider: Provider, scope: str | None, key_id: str | None) -> str:
        kind = owner_kind(scope)
        if kind is OwnerKind.IP:
            return _IP
        if kind is OwnerKind.KEY_OR_IP:
            return key_id or _IP
        if kind is OwnerKind.KEY or provider.id in self._apart:
            return key_id or _ACCOUNT
        return _ACCOUNT

    def _row(self, provider: Provider) -> PoolLimits:
        entry = self._entries.get(provider.id)
        return PoolLimits() if entry is None else entry.free_limits

    def _shared(self, provider: Provider) -> tuple[Limit, ...]:
        """Return what all models of a provider share."""
        row = self._row(provider)
        confidence = _CONFIDENCE.get(provider.free_confidence or "", 0.5)
        if provider.id in self._own:
            confidence = _TOLD_BY_USERS
        found = dict(_in_months(row))
        if not row.per_model:
            found |= _in_numbers(row)
            found |= _in_words(row)
        if provider.id in self._own:
            found |= _in_numbers(self._own[provider.id])
        return _limits(found, row.reset, confidence)

    def _of_model(self, model: Model, provider: Provider) -> tuple[Limit, ...]:
        """Return what a model is allowed besides."""
        row, limits = self._row(provider), model.free.limits
        own = _in_numbers(limits)
        if limits.concurrency is not None:
            own[QuotaMetric.CONCURRENT, QuotaWindow.INSTANT] = limits.concurrency
        if row.per_model:
            own = own or _in_numbers(row)
            daily = any(window is QuotaWindow.DAY for _, window in own)
            if not daily and _MIDNIGHT.search(row.reset or ""):
                own[QuotaMetric.REQUESTS, QuotaWindow.DAY] = None  # it ends, whatever it holds
        else:  # the same number twice is the shared one, repeated
            shared = _in_numbers(row) | _in_words(row)
            own = {what: amount for what, amount in own.items() if shared.get(what) != amount}
        confidence = _CONFIDENCE.get(provider.free_confidence or "", 0.5)
        if is_stale(model.free.as_of, self._catalog.generated):
            confidence = round(confidence * _STALE, 2)
        return _limits(own, row.reset, confidence)


_Amounts = dict[tuple[QuotaMetric, QuotaWindow], int | None]


def _in_numbers(row: PoolLimits | Limits) -> _Amounts:
    found: _Amounts = {}
    for field, what in _FIELDS.items():
        amount: int | None = getattr(row, field)
        if amount is not None:
            found[what] = amount
    if isinstance(row, PoolLimits) and row.rps:
        if row.rps >= 1:
            found[QuotaMetric.REQUESTS, QuotaWindow.SECOND] = int(row.rps)
        else:
            found.setdefault((QuotaMetric.REQUESTS, QuotaWindow.MINUTE), int(row.rps * 60))
    return found


def _in_months(row: PoolLimits) -> _Amounts:
    found: _Amounts = {}
    if row.monthly_requests is not None:
        found[QuotaMetric.REQUESTS, QuotaWindow.MONTH] = row.monthly_requests
    if row.monthly_tokens is not None:
        found[QuotaMetric.TOKENS, QuotaWindow.MONTH] = row.monthly_tokens
    if row.monthly_credit_usd is not None:
        found[QuotaMetric.USD, QuotaWindow.MONTH] = round(row.monthly_credit_usd * _MICRO_USD)
    return found


def _in_words(row: PoolLimits) -> _Amounts:
    """Return what stands in the prose of a row, and windows of which no number is published."""
    found: _Amounts = {}
    for pattern, metric, window in _IN_WORDS:
        if said := pattern.search(row.other or ""):
            found[metric, window] = int(said[1].replace(",", ""))
    if "session window 5 h" in (row.reset or ""):
        found[QuotaMetric.REQUESTS, QuotaWindow.SESSION] = None
    if "weekly window" in (row.reset or ""):
        found[QuotaMetric.REQUESTS, QuotaWindow.WEEK] = None
    return found


def _limits(found: _Amounts, reset: str | None, confidence: float) -> tuple[Limit, ...]:
    midnight = _MIDNIGHT.search(reset or "")
    zone = midnight[1] if midnight else None
    return tuple(
        Limit(
            metric=metric,
            window=window,
            amount=amount,
            zone=_zone(window, zone),
            source=LimitSource.DOCUMENTED,
            confidence=confidence if amount is not None else 0.0,
        )
        for (metric, window), amount in found.items()
    )


def _zone(window: QuotaWindow, zone: str | None) -> str | None:
    if window is QuotaWindow.MONTH:
        return zone or "UTC"  # months are billed by the calendar everywhere
    return zone if window in _CALENDAR else None
