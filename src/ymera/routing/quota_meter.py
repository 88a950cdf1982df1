"""One limit of one pool: what is known of it, what was used of it, whether it is closed.

What is known comes from several sources; the first of header, error body, local count and
documentation wins while it has not expired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo

import msgspec

from ymera.core.quota import (
    Limit,
    LimitSeen,
    LimitSource,
    MeterState,
    PoolKey,
    QuotaMetric,
    QuotaWindow,
)
from ymera.routing.quota_windows import (
    NEVER,
    SPAN_US,
    CalendarCount,
    Count,
    InFlight,
    Mark,
    RollingCount,
    SessionCount,
    as_datetime,
    as_us,
    period,
)

__all__ = ["CLOSED", "COUNTED_ANYWAY", "NEED_OF", "Meter", "Zones", "is_long", "suspect_longer"]

Zones = Callable[[str], tzinfo]
"""Finds a zone by its IANA name."""

CLOSED = -1
"""The amount while a vendor refuses: not even a call that takes nothing of it fits."""

NEED_OF = {QuotaMetric.REQUESTS: 0, QuotaMetric.TOKENS: 1, QuotaMetric.CONCURRENT: 2}
"""Where a call's need of a metric stands; what we cannot count has place 3, where it is 0."""
_NOT_COUNTED = 3

_SECOND = 1_000_000
_RANK = {source: rank for rank, source in enumerate(LimitSource)}
_CONFIDENCE = {LimitSource.HEADER: 0.95, LimitSource.ERROR: 0.9, LimitSource.COUNTED: 0.4}
_BELIEVED_S = {
    LimitSource.HEADER: 7 * 86_400,
    LimitSource.ERROR: 3 * 86_400,
    LimitSource.COUNTED: 0,
}
_COUNTED_WINDOWS = 5
"""A bound that was only counted is tried again after so many windows, a day at most."""
_UNBELIEVED = 0.2
"""What is learned and contradicted down to this confidence is forgotten."""
_BACKOFF_S = {
    QuotaWindow.INSTANT: 2,
    QuotaWindow.SECOND: 2,
    QuotaWindow.MINUTE: 20,
    QuotaWindow.HOUR: 300,
    QuotaWindow.SESSION: 900,
    QuotaWindow.DAY: 900,
    QuotaWindow.WEEK: 3600,
    QuotaWindow.MONTH: 3600,
}
_FACTOR = {QuotaWindow.MINUTE: 15}
"""How much longer after each further refusal, elsewhere twice as long.

Refusals that name no window are taken for a minute's: after 20 seconds, then after five minutes.
What is still there then is of a window that is far longer.
"""
_MAX_STEPS = 6
_NEARLY = 0.8
_TIMES_FULL = 2
_MOMENT_US = 2 * _SECOND
_HOUR_US = 3600 * _SECOND
_LONG = frozenset({QuotaWindow.DAY, QuotaWindow.WEEK, QuotaWindow.MONTH})

COUNTED_ANYWAY = Limit(metric=QuotaMetric.REQUESTS, window=QuotaWindow.DAY, confidence=0.0)
"""Counted where nothing else is published: people see it, and refusals may tell of it."""

_SUSPECTED_AFTER = 3
"""Refusals in a row that name no window, until a longer one is taken to be used up."""
_GUESS_S = (3600, 6 * 3600, 86_400)
_GUESSED = 0.3
"""Confidence in a limit that is concluded from refusals alone."""
_SAME = 0.8
"""Share of an earlier guess at which one refusal is enough to make it again."""


class Meter:
    """Counts one metric of one pool over one window.

    Attributes:
        amount: what may be used in a window now: NEVER (no bound known), CLOSED, or the limit.
        turn: time from which on `refresh` has something to do.
        version: grows when a vendor's count replaced ours: earlier tickets correct less then.
        open, pending: tickets not settled yet, and what they took.
        guess, guesses: what was concluded last from refusals that name no window, and how often.
        unsaved: uses by time since the last `drain`, None when nobody keeps them; amounts below
            0 are taken from the oldest.
    """

    __slots__ = (
        "amount",
        "closed_until",
        "count",
        "dirty",
        "documented",
        "guess",
        "guesses",
        "learned",
        "metric",
        "need",
        "open",
        "pending",
        "pool",
        "strikes",
        "turn",
        "unsaved",
        "version",
        "window",
        "zone",
    )

    def __init__(
        self, pool: PoolKey, limit: Limit, zones: Zones, *, keep_changes: bool = False
    ) -> None:
        self.pool = pool
        self.metric, self.window, self.zone = limit.metric, limit.window, limit.zone
        self.need = NEED_OF.get(limit.metric, _NOT_COUNTED)
        self.count = _count(limit, zones)
        self.documented: Limit | None = limit
        self.learned: Limit | None = None
        self.closed_until = 0
        self.strikes = 0
        self.guess = self.guesses = 0
        self.version = 0
        self.open = 0
        self.pending = 0
        self.dirty = False
        self.unsaved: dict[int, int] | None = {} if keep_changes else None
        self.amount = NEVER
        self.turn = 0

    @property
    def limit(self) -> Limit | None:
        """What is believed of it now, if anything."""
        return self.learned or self.documented

    @property
    def guess_ends(self) -> int:
        """Until when a limit is believed that nothing but our own count speaks for."""
        learned, documented = self.learned, self.documented
        known = documented is not None and documented.amount is not None
        if known or learned is None or learned.source is not LimitSource.COUNTED:
            return NEVER
        return NEVER if learned.expires_at is None else as_us(learned.expires_at)

    def refresh(self, at: int) -> None:
        """Let lapse what has lapsed: uses, a learned limit, a refusal."""
        self.count.advance(at)
        learned = self.learned
        expiry = NEVER
        if learned is not None and learned.expires_at is not None:
            expiry = as_us(learned.expires_at)
            if expiry <= at:
                self.learned, expiry = None, NEVER
        self.turn = min(self.count.turn, expiry)
        if self.closed_until > at:
            self.amount = CLOSED
            self.turn = min(self.turn, self.closed_until)
            return
        self.closed_until = 0
        limit = self.learned or self.documented
        self.amount = NEVER if limit is None or limit.amount is None else limit.amount

    # --- counting ------------------------------------------------------------------------------

    def add(self, at: int, amount: int) -> Mark:
        """Count a use."""
        count = self.count
        mark = count.add(at, amount)
        self.turn = min(self.turn, count.turn)
        if self.unsaved is not None:
            self._note(mark[1], amount)
        return mark

    def change(self, mark: Mark, amount: int) -> None:
        """Correct a use, unless it has lapsed."""
        then = mark[1]
        changed = self.count.change(mark, amount)
        if changed and self.unsaved is not None:
            self._note(then, changed)

    def _note(self, then: int, amount: int) -> None:
        unsaved = self.unsaved
        if unsaved is not None and self.need < 2:  # what is under way is nobody else's business
            self.dirty = True
            if self.zone is None and self.window is not QuotaWindow.SESSION:
                grain = SPAN_US[self.window] // 32 or 1
                then = -(-then // grain) * grain  # up: rather too long than too short
            unsaved[then] = unsaved.get(then, 0) + amount

    def told_used(self, used: int, at: int, whole_at: int | None) -> None:
        """Take over what a vendor counted, and add what it cannot have seen yet.

        That is not for the store: every process of the account is told the same.
        """
        unseen = self.pending - self.pending // self.open if self.open else 0
        self.count.set_used(used + unseen, at, whole_at)
        self.version += 1

    # --- learning ------------------------------------------------------------------------------

    def learn(self, seen: LimitSeen, at: int) -> None:
        """Take in what an answer says of this limit."""
        self.refresh(at)
        self.dirty = True
        if seen.limit is not None:
            self._believe(seen.limit, seen.source, at)
        elif seen.remaining and self.amount == NEVER:
            used = self.count.used
            self._believe(used + seen.remaining, seen.source, at, confidence=0.5)
        limit = self.limit
        silent = seen.limit is None and seen.remaining is None
        refused = seen.source is LimitSource.ERROR and (seen.remaining == 0 or silent)
        amount = None if limit is None else limit.amount
        if refused:
            self._refused(seen, at)
        elif seen.remaining is not None and amount is not None:
            used = amount - min(max(seen.remaining, 0), amount)
            self.told_used(used, at, self._whole_at(seen, used, amount, at))
        elif seen.remaining == 0:
            self._close(seen, at)
        self.refresh(at)

    def _whole_at(self, seen: LimitSeen, used: int, amount: int, at: int) -> int | None:
        if seen.source is LimitSource.HEADER and seen.reset_s is not None:
            return at + int(seen.reset_s * _SECOND)
        if self.zone is not None or self.window is QuotaWindow.SESSION or not amount:
            return None
        return at + SPAN_US[self.window] * used // amount  # as a bucket that fills up steadily

    def _believe(
        self,
        amount: int,
        source: LimitSource,
        at: int,
        confidence: float | None = None,
        *,
        until: int | None = None,
    ) -> None:
        known = self.learned
        if known is not None and _RANK[known.source] < _RANK[source]:
            return
        believed_us = _BELIEVED_S[source] * _SECOND
        if source is LimitSource.COUNTED:
            windows_us = _COUNTED_WINDOWS * SPAN_US[self.window]
            believed_us = min(max(windows_us, 60 * _SECOND), SPAN_US[QuotaWindow.DAY])
        if until is not None:
            believed_us = until - at
        self.learned = Limit(
            metric=self.metric,
            window=self.window,
            amount=max(amount, 0),
            zone=self.zone,
            source=source,
            confidence=_CONFIDENCE[source] if confidence is None else confidence,
            expires_at=as_datetime(at + believed_us),
        )

    def _refused(self, seen: LimitSeen, at: int) -> None:
        if seen.limit is None:
            self._doubt(at)
        self._close(seen, at)

    def _doubt(self, at: int) -> None:
        """Believe less in the limit: it was reached before it should have been."""
        if self.learned is not None and self.learned.source is not LimitSource.COUNTED:
            confidence = self.learned.confidence / 2
            self.learned = msgspec.structs.replace(self.learned, confidence=confidence)
            if confidence < _UNBELIEVED:
                self.learned = None
        limit = self.limit
        if limit is None or limit.amount is None or self.need > 1:
            return
        bound = max(self._passed(), limit.amount // 2, 1)
        if bound < limit.amount:
            self._believe(bound, LimitSource.COUNTED, at)

    def _passed(self) -> int:
        """Return what was used without the call that was just refused."""
        return self.count.used - (self.pending // self.open if self.open else 0)

    def suspect(self, at: int, strikes: int) -> bool:
        """Take what was used for all there is, if that many refusals in a row speak for it.

        It is believed for an hour; then the vendor is asked again, and if it refuses once more,
        believed for longer. Returns whether it is believed.
        """
        self.refresh(at)
        passed = self._passed()
        again = self.guesses > 0 and _SAME * self.guess <= passed <= self.guess / _SAME
        if strikes < (1 if again and passed else _SUSPECTED_AFTER):
            return False
        self.guesses = self.guesses + 1 if again else 1
        self.guess = passed
        until = at + _GUESS_S[min(self.guesses, len(_GUESS_S)) - 1] * _SECOND
        if self.window is QuotaWindow.SESSION and self.count.turn < NEVER:
            until = max(until, self.count.turn)
        if passed:
            self._believe(passed, LimitSource.COUNTED, at, _GUESSED, until=until)
        else:  # it was not counted before
            self.closed_until = max(self.closed_until, until)
        self.dirty = True
        self.refresh(at)
        return True

    def _close(self, seen: LimitSeen, at: int) -> None:
        """Ask no more until the reset, if it is known, else for longer with each refusal."""
        until = at
        if seen.reset_s is not None:
            until = at + int(seen.reset_s * _SECOND)
        if self.window in _LONG and self.zone is not None:
            self.count.advance(at)
            until = max(until, self.count.turn)
        elif seen.reset_s is None:
            if at < self.closed_until:
                return  # it began before the refusal that closed it
            self.strikes += 1
            relief = self.count.turn
            if self.strikes <= _TIMES_FULL and self._nearly_full() and relief < NEVER:
                self.closed_until = max(self.closed_until, relief, at + _MOMENT_US)
                return
            steps = min(self.strikes - 1, _MAX_STEPS)
            wait_us = _BACKOFF_S[self.window] * _FACTOR.get(self.window, 2) ** steps * _SECOND
            # Beyond its window, too: after some, it is a longer one that nobody speaks of.
            until = at + min(wait_us, max(SPAN_US[self.window], _HOUR_US))
        self.closed_until = max(self.closed_until, until)

    def _nearly_full(self) -> bool:
        """Whether our count is so near the limit that a refusal means just that."""
        limit = self.limit
        amount = None if limit is None else limit.amount
        return bool(amount) and self.count.used >= _NEARLY * (amount or 0)

    # --- storing -------------------------------------------------------------------------------

    def state(self, uses: tuple[tuple[int, int], ...]) -> MeterState:
        """Return what is to be stored, with these uses."""
        return MeterState(
            pool=self.pool,
            metric=self.metric,
            window=self.window,
            zone=self.zone,
            uses=uses,
            learned=self.learned,
            closed_until_us=self.closed_until,
            strikes=self.strikes,
        )

    def take_state(self, state: MeterState, at: int) -> None:
        """Take over what was stored."""
        if state.zone == self.zone:
            self.count.restore(state.uses, at)
        self.learned = state.learned or self.learned
        self.closed_until = max(self.closed_until, state.closed_until_us)
        self.strikes = max(self.strikes, state.strikes)
        self.refresh(at)

    def absorb(self, uses: tuple[tuple[int, int], ...], at: int) -> None:
        """Raise the count to what is stored and not yet stored together, if that is more.

        Where headers tell, they tell of the other processes, too.
        """
        if self.learned is not None and self.learned.source is LimitSource.HEADER:
            return
        since = self.count.since(at)
        stored = sum(amount for then, amount in uses if then >= since)
        unsaved = (self.unsaved or {}).items()
        known = stored + sum(amount for then, amount in unsaved if then >= since)
        own = self.count.used if self.zone is not None else int(self.count.used * _COARSENED)
        if known > own:
            self.count.add(at, known - self.count.used)


_COARSENED = 1.05
"""What is stored of a rolling window counts a little longer, by as much at most."""


def _count(limit: Limit, zones: Zones) -> Count:
    window = limit.window
    if window is QuotaWindow.INSTANT:
        return InFlight()
    if window is QuotaWindow.SESSION:
        return SessionCount(SPAN_US[window])
    if limit.zone is None:
        return RollingCount(SPAN_US[window])
    zone = zones(limit.zone)
    return CalendarCount(lambda at: period(window, zone, at))


def is_long(meter: Meter) -> bool:
    """Whether it counts calls or tokens over hours."""
    return meter.need < NEED_OF[QuotaMetric.CONCURRENT] and SPAN_US[meter.window] > _HOUR_US


def suspect_longer(meters: Iterable[Meter], refused: Meter, at: int) -> None:
    """Look for the window that is used up, after a refusal that names neither window nor number.

    It is the shortest of those that nobody publishes a number of, the narrowest pool first.

    Args:
        meters: of the call, the narrowest pool's first.
        refused: the one that the refusal was taken to be about.
        at: now.
    """
    unknown = [
        meter
        for meter in meters
        if meter.metric is QuotaMetric.REQUESTS
        and SPAN_US[meter.window] > SPAN_US[refused.window]
        and (meter.documented is None or meter.documented.amount is None)
        and (meter.learned is None or meter.learned.source is LimitSource.COUNTED)
    ]
    for meter in sorted(unknown, key=lambda each: SPAN_US[each.window]):
        if meter.suspect(at, refused.strikes):
            return
