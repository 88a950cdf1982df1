"""Counting over time: rolling and calendar windows, sessions, calls under way.

Time is whole microseconds since 1970 in UTC, so that boundaries are exact.

Vendors count in different ways (fixed windows, sliding ones, token buckets that fill up again) and
rarely say in which. A rolling window here is a log of uses: never more than the limit in any span
of that length. That is within what each of those ways allows, which neither GCRA (up to twice
the limit in one span, after a pause) nor two weighted buckets (an average) can promise. A log of
more than `_EXACT` uses is coarsened, later times standing for earlier ones, so memory is bounded
and a busy window errs on the safe side by 1/32 of its length at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo

from ymera.core.quota import WINDOW_S, QuotaWindow

__all__ = [
    "NEVER",
    "SPAN_US",
    "CalendarCount",
    "Count",
    "InFlight",
    "Mark",
    "RollingCount",
    "SessionCount",
    "as_datetime",
    "as_us",
    "period",
]

NEVER = 1 << 62
"""A time that does not come."""

_SECOND = 1_000_000
SPAN_US = {window: seconds * _SECOND for window, seconds in WINDOW_S.items()}
"""Length of a window that rolls."""

_EXACT = 256
_COARSE = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Mark = list[int]
"""One noted use: first and last time it stands for, amount (0 once it has lapsed)."""


def as_us(at: datetime) -> int:
    """Return microseconds since 1970."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds


def as_datetime(us: int) -> datetime:
    """Return the time in UTC."""
    return _EPOCH + us * _MICROSECOND


def period(window: QuotaWindow, zone: tzinfo, at_us: int) -> tuple[int, int]:
    """Return start and end of the calendar window around a time.

    Days, weeks (from Monday) and months begin at midnight in `zone`, however long summer time
    makes them; a midnight that comes twice is the second one. Shorter windows are cut from UTC.
    """
    if window in {QuotaWindow.SECOND, QuotaWindow.MINUTE, QuotaWindow.HOUR}:
        span = SPAN_US[window]
        start = at_us // span * span
        return start, start + span
    day = as_datetime(at_us).astimezone(zone).date()
    if window is QuotaWindow.WEEK:
        first = day - timedelta(days=day.weekday())
    else:
        first = day.replace(day=1) if window is QuotaWindow.MONTH else day
    start, end = _midnight(first, zone), _midnight(_next(window, first), zone)
    if at_us < start:  # clocks went back over midnight: it is still the day before
        return period(window, zone, at_us - 6 * 3600 * _SECOND)[0], start
    if at_us >= end:
        return end, period(window, zone, at_us + 6 * 3600 * _SECOND)[1]
    return start, end


def _next(window: QuotaWindow, first: date) -> date:
    if window is QuotaWindow.MONTH:
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if window is QuotaWindow.WEEK else 1)


def _midnight(day: date, zone: tzinfo) -> int:
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    # Of a midnight that comes twice the later one, of one that is skipped the moment of the jump.
    return max(as_us(local.astimezone(UTC)), as_us(local.replace(fold=1).astimezone(UTC)))


class Count:
    """What was used in the current window.

    Attributes:
        used: right as of the last `advance`.
        turn: time from which on `advance` has something to do.
    """

    __slots__ = ("turn", "used")

    def __init__(self) -> None:
        self.used = 0
        self.turn = NEVER

    def advance(self, at: int) -> None:
        """Let lapse what no longer counts at this time."""
        raise NotImplementedError

    def add(self, at: int, amount: int) -> Mark:
        """Count a use; return what `change` needs to correct it."""
        raise NotImplementedError

    def change(self, mark: Mark, amount: int) -> int:
        """Add `amount` (below 0: take back) to a use; return what was added, 0 if it lapsed."""
        raise NotImplementedError

    def set_used(self, target: int, at: int, whole_at: int | None) -> None:
        """Make `used` be `target`, which a vendor told, with when it is whole again if known."""
        raise NotImplementedError

    def fits_at(self, amount: int, limit: int, at: int) -> int | None:
        """Return when `amount` (at most `limit`) would fit; None when time alone does not help."""
        raise NotImplementedError

    def whole_at(self) -> int | None:
        """Return when the window is whole again; None when it is, and nothing ends it."""
        raise NotImplementedError

    def since(self, at: int) -> int:
        """Return the time from which on uses count."""
        raise NotImplementedError

    def uses(self) -> list[tuple[int, int]]:
        """Return times and amounts that add up to `used`, for `restore`."""
        raise NotImplementedError

    def restore(self, uses: Iterable[tuple[int, int]], at: int) -> None:
        """Take over stored uses; what is too old lapses, what lies ahead counts from now."""
        raise NotImplementedError


class RollingCount(Count):
    """Uses of the last `span` microseconds; one of time t counts until t + span, exclusive."""

    __slots__ = ("_marks", "_span")

    def __init__(self, span: int) -> None:
        super().__init__()
        self._span = span
        self._marks: deque[Mark] = deque()

    def advance(self, at: int) -> None:  # noqa: D102
        marks, span = self._marks, self._span
        while marks and marks[0][1] + span <= at:
            lapsed = marks.popleft()
            self.used -= lapsed[2]
            lapsed[2] = 0
            lapsed[1] = -1
        self.turn = marks[0][1] + span if marks else NEVER

    def add(self, at: int, amount: int) -> Mark:  # noqa: D102
        marks = self._marks
        self.used += amount
        if marks:
            last = marks[-1]
            at = max(at, last[1])  # a clock that was set back
            if len(marks) >= _EXACT and at - last[0] < self._span // _COARSE:
                last[1] = at
                last[2] += amount
                if len(marks) == 1:
                    self.turn = at + self._span
                return last
        mark = [at, at, amount]
        marks.append(mark)
        if len(marks) == 1:
            self.turn = at + self._span
        return mark

    def change(self, mark: Mark, amount: int) -> int:  # noqa: D102
        if mark[1] < 0:
            return 0
        amount = max(amount, -mark[2])
        mark[2] += amount
        self.used += amount
        return amount

    def set_used(self, target: int, at: int, whole_at: int | None) -> None:  # noqa: D102
        surplus = self.used - target
        for mark in self._marks:
            if surplus <= 0:
                break
            surplus += self.change(mark, -surplus)
        if surplus < 0:
            then = at if whole_at is None else min(max(whole_at - self._span, at - self._span), at)
            self._insert(then, -surplus)
        self.advance(at)

    def _insert(self, then: int, amount: int) -> None:
        place = len(self._marks)
        while place and self._marks[place - 1][1] > then:
            place -= 1
        if place and (len(self._marks) >= 2 * _EXACT or self._marks[place - 1][1] == then):
            self._marks[place - 1][1] = then
            self._marks[place - 1][2] += amount
        else:
            self._marks.insert(place, [then, then, amount])
        self.used += amount

    def fits_at(self, amount: int, limit: int, at: int) -> int | None:  # noqa: D102
        missing = self.used + amount - limit
        if missing <= 0:
            return at
        for mark in self._marks:
            missing -= mark[2]
            if missing <= 0:
                return mark[1] + self._span
        return None

    def whole_at(self) -> int | None:  # noqa: D102
        return self._marks[-1][1] + self._span if self.used else None

    def since(self, at: int) -> int:  # noqa: D102
        return at - self._span

    def uses(self) -> list[tuple[int, int]]:  # noqa: D102
        return [(mark[1], mark[2]) for mark in self._marks if mark[2]]

    def restore(self, uses: Iterable[tuple[int, int]], at: int) -> None:  # noqa: D102
        for then, amount in sorted(uses):
            if amount > 0:
                self._insert(min(then, at), amount)
        self.advance(at)


class CalendarCount(Count):
    """Uses since the calendar window began.

    Args:
        find_period: returns start and end of the window around a time.
    """

    __slots__ = ("_end", "_find_period", "_mark", "_start")

    def __init__(self, find_period: Callable[[int], tuple[int, int]]) -> None:
        super().__init__()
        self._find_period = find_period
        self._start = self._end = self.turn = 0
        self._mark: Mark = [0, 0, 0]

    def advance(self, at: int) -> None:  # noqa: D102
        if self._start <= at < self._end:
            return
        start, end = self._find_period(at)
        if at < self._start:  # the clock was set back: what was used stays used
            self._start, self._end = start, end
        else:
            self._begin(start, end)
        self.turn = self._end

    def _begin(self, start: int, end: int) -> None:
        self._mark[1] = -1  # of the window before: its calls have nothing to correct any more
        self._mark = [start, start, 0]
        self._start, self._end, self.used, self.turn = start, end, 0, end

    def add(self, at: int, amount: int) -> Mark:  # noqa: D102
        if at >= self.turn:
            self.advance(at)
        self.used += amount
        return self._mark

    def change(self, mark: Mark, amount: int) -> int:  # noqa: D102
        if mark[1] < 0:
            return 0
        amount = max(amount, -self.used)
        self.used += amount
        return amount

    def set_used(self, target: int, at: int, whole_at: int | None) -> None:  # noqa: D102
        self.advance(at)
        self.used = max(target, 0)
        if whole_at is not None and whole_at > at:  # the vendor knows its own clock
            self._end = self.turn = whole_at

    def fits_at(self, amount: int, limit: int, at: int) -> int | None:  # noqa: D102
        return at if self.used + amount <= limit else self._end

    def whole_at(self) -> int | None:  # noqa: D102
        return self._end or None

    def since(self, at: int) -> int:  # noqa: D102
        return self._start

    def uses(self) -> list[tuple[int, int]]:  # noqa: D102
        return [(self._start, self.used)] if self.used else []

    def restore(self, uses: Iterable[tuple[int, int]], at: int) -> None:  # noqa: D102
        self.advance(at)
        self.used += sum(amount for then, amount in uses if then >= self._start)


class SessionCount(CalendarCount):
    """Uses within `span` of the first one; then it is whole, and begins with the next use."""

    __slots__ = ("_span",)

    def __init__(self, span: int) -> None:
        super().__init__(lambda at: (at, NEVER))
        self._span = span
        self.turn = NEVER

    def advance(self, at: int) -> None:  # noqa: D102
        if at >= self._end:
            self._begin(at, NEVER)

    def add(self, at: int, amount: int) -> Mark:  # noqa: D102
        self.advance(at)
        if self._end == NEVER and amount:
            self._begin(at, at + self._span)
        return super().add(at, amount)

    def set_used(self, target: int, at: int, whole_at: int | None) -> None:  # noqa: D102
        if self._end in {0, NEVER} and target > 0:
            self._begin(at, at + self._span)
        super().set_used(target, at, whole_at)

    def whole_at(self) -> int | None:  # noqa: D102
        return None if self._end in {0, NEVER} else self._end

    def restore(self, uses: Iterable[tuple[int, int]], at: int) -> None:  # noqa: D102
        live = [(then, amount) for then, amount in uses if then + self._span > at]
        if live:
            start = min(at, *(then for then, _ in live))
            self._begin(start, start + self._span)
            self.used = sum(amount for _, amount in live)


class InFlight(Count):
    """Calls under way."""

    __slots__ = ()

    def advance(self, at: int) -> None:  # noqa: D102
        return

    def add(self, at: int, amount: int) -> Mark:  # noqa: D102
        self.used += amount
        return [at, at, amount]

    def change(self, mark: Mark, amount: int) -> int:  # noqa: D102
        self.used += amount
        return amount

    def set_used(self, target: int, at: int, whole_at: int | None) -> None:  # noqa: D102
        return  # only we know what is under way

    def fits_at(self, amount: int, limit: int, at: int) -> int | None:  # noqa: D102
        return at if self.used + amount <= limit else None

    def whole_at(self) -> int | None:  # noqa: D102
        return None

    def since(self, at: int) -> int:  # noqa: D102
        return at

    def uses(self) -> list[tuple[int, int]]:  # noqa: D102
        return []

    def restore(self, uses: Iterable[tuple[int, int]], at: int) -> None:  # noqa: D102
        return
