"""Who is not to be asked for a while: breakers of models, keys and providers.

A failure opens the breaker of what it is about: the model, the model with this key, the key, or
the whole provider. An open breaker lets nothing pass until its time has come; then it is half
open: one call tries it, and what becomes of that call closes it or opens it for longer. Waits
grow from seconds to hours with each failure in a row; what the vendor asked for is a lower bound,
and of several deadlines the longest holds.

Pure: the time is an argument, so equal calls leave equal tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from ymera.core.errors import ProviderError, ProviderErrorKind, ProviderErrorScope

__all__ = ["Block", "BlockScope", "HealthRow", "HealthTable", "Probe"]

_Kind = ProviderErrorKind

_MINUTE_S = 60.0
_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S
_LONGEST_S = 31 * _DAY_S
"""No vendor is believed that asks for more."""

_NEVER = datetime.max.replace(tzinfo=UTC)
"""Deadline of what waiting does not heal."""

_TRYING = timedelta(seconds=1)
"""How soon to ask again while another call tries what is half open."""

_WAITS_S: dict[ProviderErrorKind, tuple[float, ...]] = {
    # 0: the first failure alone says little, the next candidate answers anyway.
    _Kind.TRANSIENT: (0, 5, 20, 80, 320, 1280),
    _Kind.BAD_ANSWER: (0, 5, 20, 80, 320, 1280),
    _Kind.UPSTREAM_BUSY: (0, 5, 20, 80, 320, 1280),
    _Kind.QUOTA_MINUTE: (15, _MINUTE_S, 2 * _MINUTE_S, 5 * _MINUTE_S),
    _Kind.QUOTA_DAY: (15 * _MINUTE_S, _HOUR_S, 6 * _HOUR_S),
    _Kind.QUOTA_MONTH: (_HOUR_S, 6 * _HOUR_S, _DAY_S),
    _Kind.MODEL_GONE: (_MINUTE_S, _DAY_S),
    _Kind.CAPABILITY: (_HOUR_S, _DAY_S),
}
"""Seconds to wait after the first, second, ... failure in a row; the last one repeats."""

_OUT_OF_CREDIT = 402


class BlockScope(StrEnum):
    """What a breaker is about."""

    CANDIDATE = "candidate"
    """A model with one key."""
    MODEL = "model"
    """A model, whatever the key."""
    KEY = "key"
    PROVIDER = "provider"


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Why something is not asked now.

    Attributes:
        scope: what is avoided.
        kind: how it failed last.
        why: one sentence.
        until: when it is tried again; None: not before something is changed by hand.
    """

    scope: BlockScope
    kind: ProviderErrorKind
    why: str
    until: datetime | None


class HealthRow(msgspec.Struct, frozen=True, kw_only=True):
    """One breaker, for people.

    Attributes:
        scope: what it is about.
        provider: provider id.
        model_id, key_id: of which model and key; None where it is about all of them.
        state: `open`, `half_open`, or `closed` (it failed, but too little to be avoided).
        failures: in a row.
        kind, why, until: as in `Block`.
    """

    scope: BlockScope
    provider: str
    model_id: str | None
    key_id: str | None
    state: str
    failures: int
    kind: ProviderErrorKind
    why: str
    until: datetime | None


_Spot = tuple[BlockScope, str, str | None, str | None]
"""Scope, provider, model id, key id."""


class _Breaker:
    """State of one spot; `until` None: it has not been opened."""

    __slots__ = ("failed_at", "failures", "kind", "probing", "until", "why")

    def __init__(self) -> None:
        self.failures = 0
        self.failed_at: datetime | None = None
        self.kind = _Kind.TRANSIENT
        self.why = ""
        self.until: datetime | None = None
        self.probing = False

    def is_open(self, now: datetime) -> bool:
        return self.until is not None and now < self.until

    def state(self, now: datetime) -> str:
        if self.until is None:
            return "closed"
        return "open" if now < self.until else "half_open"


Probe = tuple[_Breaker, ...]
"""The half-open breakers one call is trying; give it back with `HealthTable.released`."""


class HealthTable:
    """Every breaker that is not closed, or has failures to its name.

    Args:
        max_entries: breakers held at most; the ones that matter least leave first.
    """

    def __init__(self, *, max_entries: int = 4096) -> None:
        self._max_entries = max_entries
        self._breakers: dict[_Spot, _Breaker] = {}

    def blocked(
        self, model_id: str, provider: str, key_id: str | None, now: datetime
    ) -> Block | None:
        """Return why this candidate is not to be asked now; of several reasons the longest."""
        if not self._breakers:
            return None
        longest: Block | None = None
        for spot in _spots(model_id, provider, key_id):
            breaker = self._breakers.get(spot)
            block = None if breaker is None else _block(spot, breaker, now)
            if block is not None and (longest is None or _end(block) > _end(longest)):
                longest = block
        return longest

    def began(self, model_id: str, provider: str, key_id: str | None, now: datetime) -> Probe:
        """Note that a call begins; returns what it is trying, usually nothing."""
        if not self._breakers:
            return ()
        found = (self._breakers.get(spot) for spot in _spots(model_id, provider, key_id))
        probe = tuple(
            each
            for each in found
            if each is not None and each.until is not None and not each.is_open(now)
        )
        for breaker in probe:
            breaker.probing = True
        return probe

    def released(self, probe: Probe) -> None:
        """Let the next call try what `probe` tried; does nothing twice."""
        for breaker in probe:
            breaker.probing = False

    def succeeded(self, model_id: str, provider: str, key_id: str | None, now: datetime) -> None:
        """Close what the candidate is about, but nothing whose time has not come.

        A call that began before the failure may well end after it.
        """
        if not self._breakers:
            return
        for spot in _spots(model_id, provider, key_id):
            breaker = self._breakers.get(spot)
            if breaker is not None and not breaker.is_open(now):
                del self._breakers[spot]

    def failed(
        self,
        model_id: str,
        provider: str,
        key_id: str | None,
        error: ProviderError,
        now: datetime,
        *,
        began: datetime | None = None,
    ) -> Block | None:
        """Note a failed call; returns what is avoided from now on because of it, if anything.

        Calls that were under way together failed of one cause: only one that `began` after the
        last failure counts as one more in a row.
        """
        scope = _scope_of(error)
        if scope is None:
            return None
        spot = _spot(scope, model_id, provider, key_id)
        breaker = self._breakers.get(spot)
        if breaker is None:
            self._make_room()
            breaker = self._breakers[spot] = _Breaker()
        together = began is not None and breaker.failed_at is not None and began < breaker.failed_at
        if not together and not breaker.is_open(now):
            breaker.failures += 1
            breaker.failed_at = now
        breaker.kind, breaker.why = error.kind, _why(error, scope)
        wait_s = _wait_s(error, breaker.failures)
        if wait_s > 0:
            until = _NEVER if wait_s == float("inf") else now + timedelta(seconds=wait_s)
            breaker.until = max(until, breaker.until or until)
        elif breaker.until is not None:
            breaker.until = max(now, breaker.until)
        return _block(spot, breaker, now) if breaker.is_open(now) else None

    def forget(self, provider: str, key_id: str | None = None) -> None:
        """Close what is known of a provider; with `key_id` only what is about that key."""
        for spot in [
            spot
            for spot in self._breakers
            if spot[1] == provider and (key_id is None or spot[3] == key_id)
        ]:
            del self._breakers[spot]

    def rows(self, now: datetime) -> tuple[HealthRow, ...]:
        """Return every breaker, sorted by provider."""
        rows = [_row(spot, breaker, now) for spot, breaker in self._breakers.items()]
        return tuple(sorted(rows, key=lambda row: (row.provider, row.model_id or "", row.scope)))

    def _make_room(self) -> None:
        if len(self._breakers) >= self._max_entries:
            first = min(self._breakers, key=lambda spot: self._breakers[spot].until or _LONG_AGO)
            del self._breakers[first]


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _spots(model_id: str, provider: str, key_id: str | None) -> Iterable[_Spot]:
    return (
        (BlockScope.PROVIDER, provider, None, None),
        (BlockScope.KEY, provider, None, key_id),
        (BlockScope.MODEL, provider, model_id, None),
        (BlockScope.CANDIDATE, provider, model_id, key_id),
    )


def _spot(scope: BlockScope, model_id: str, provider: str, key_id: str | None) -> _Spot:
    about_model = scope in {BlockScope.MODEL, BlockScope.CANDIDATE}
    about_key = scope in {BlockScope.KEY, BlockScope.CANDIDATE}
    return scope, provider, model_id if about_model else None, key_id if about_key else None


def _scope_of(error: ProviderError) -> BlockScope | None:
    """Return what to avoid because of `error`; None when the request was to blame."""
    match error.kind, error.scope:
        case (_Kind.CLIENT_LOCK, _):
            return BlockScope.PROVIDER
        case (_Kind.TOO_LARGE | _Kind.MODERATION, _) | (_, ProviderErrorScope.REQUEST):
            return None
        case (_, ProviderErrorScope.PROVIDER):
            return BlockScope.PROVIDER
        case (_Kind.AUTH, _) | (_, ProviderErrorScope.KEY):
            return BlockScope.KEY
        case (_Kind.QUOTA_MINUTE | _Kind.QUOTA_DAY | _Kind.QUOTA_MONTH | _Kind.CAPABILITY, _):
            return BlockScope.CANDIDATE
    return BlockScope.MODEL


def _wait_s(error: ProviderError, failures: int) -> float:
    """Return how long to wait: infinity where only a change by hand can help."""
    if error.kind in {_Kind.AUTH, _Kind.CLIENT_LOCK} or error.status == _OUT_OF_CREDIT:
        return float("inf")
    steps = _WAITS_S.get(error.kind, _WAITS_S[_Kind.TRANSIENT])
    own_s = steps[min(failures, len(steps)) - 1]
    asked_s = max((error.retry_after_s or 0.0, *_resets_s(error)))
    return max(own_s, min(asked_s, _LONGEST_S))


def _resets_s(error: ProviderError) -> Iterable[float]:
    """Return when the limits that the failed answer calls used up come back."""
    return (
        each.reset_s
        for each in error.limits
        if each.reset_s is not None and each.remaining is not None and each.remaining <= 0
    )


def _why(error: ProviderError, scope: BlockScope) -> str:
    if error.kind is _Kind.AUTH:
        return "The key was refused; it is not used until it is changed."
    if error.status == _OUT_OF_CREDIT:
        return "The account is out of credit; the key is not used until it is changed."
    if error.kind is _Kind.CLIENT_LOCK:
        return "The provider serves other clients only."
    if error.kind is _Kind.MODEL_GONE:
        return "The provider says that it has no such model."
    what = "It" if scope in {BlockScope.MODEL, BlockScope.CANDIDATE} else f"The {scope}"
    return f"{what} failed ({error.kind.replace('_', ' ')})."


def _block(spot: _Spot, breaker: _Breaker, now: datetime) -> Block | None:
    if breaker.until is None:
        return None
    if now < breaker.until:
        until = None if breaker.until == _NEVER else breaker.until
        return Block(scope=spot[0], kind=breaker.kind, why=breaker.why, until=until)
    if breaker.probing:
        why = f"{breaker.why} One call is trying it again."
        return Block(scope=spot[0], kind=breaker.kind, why=why, until=now + _TRYING)
    return None


def _end(block: Block) -> datetime:
    return block.until or _NEVER


def _row(spot: _Spot, breaker: _Breaker, now: datetime) -> HealthRow:
    scope, provider, model_id, key_id = spot
    until = breaker.until
    return HealthRow(
        scope=scope,
        provider=provider,
        model_id=model_id,
        key_id=key_id,
        state=breaker.state(now),
        failures=breaker.failures,
        kind=breaker.kind,
        why=breaker.why,
        until=None if until == _NEVER else until,
    )
