"""What a run may still use: every call reserves its share before it is made.

A reservation counts as spent until it is settled, and `on_change` is told of it before the call
leaves: a process that dies in the middle of a call has written down too much, never too little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock

from ymera.core.errors import BudgetExceeded
from ymera.phases.types import Budget, Spend

__all__ = ["BudgetLedger", "Reservation"]

_NOTHING = Decimal(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reservation:
    """What one call may use at most. Two equal ones are still two."""

    calls: int
    tokens: int
    usd: Decimal


class BudgetLedger:
    """Counts what a run uses. May be used from several threads and event loops.

    Args:
        budget: most that the run may use.
        spent: what it used before (a run that is carried on).
        on_change: told of the new total whenever it changes, one change after the other and
            before `reserve` returns; what it raises undoes the reservation.
        monotonic: seconds, for the time of the run; counting begins now.
    """

    def __init__(
        self,
        budget: Budget,
        spent: Spend = Spend(),  # noqa: B008 - frozen
        on_change: Callable[[Spend], None] = lambda _: None,
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self.budget = budget
        self._on_change = on_change
        self._monotonic = monotonic
        self._started_s = monotonic() - spent.seconds
        self._calls = spent.calls
        self._tokens = spent.tokens
        # Money that nobody could count may have been all of it.
        self._usd = budget.usd if spent.usd is None else spent.usd
        self._usd_known = spent.usd is not None
        self._open: set[Reservation] = set()
        self._lock = Lock()

    @property
    def spend(self) -> Spend:
        """All that is used or reserved."""
        with self._lock:
            return self._spend()

    def remaining_s(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self.budget.seconds - self._seconds())

    def remaining_usd(self) -> Decimal:
        """Return the money left, at least 0."""
        with self._lock:
            return max(_NOTHING, self.budget.usd - self._usd)

    def reserve(self, *, calls: int = 1, tokens: int, usd: Decimal = _NOTHING) -> Reservation:
        """Set aside what a call may use.

        Args:
            calls: model calls, at least 0.
            tokens: input and output together, at least 0.
            usd: money, at least 0.

        Raises:
            BudgetExceeded: it would go over the budget; nothing was set aside.
        """
        wanted = Reservation(calls=calls, tokens=tokens, usd=usd)
        with self._lock:
            self._require(wanted)
            self._add(wanted.calls, wanted.tokens, wanted.usd)
            self._open.add(wanted)
            try:
                self._on_change(self._spend())
            except BaseException:
                self._open.remove(wanted)
                self._add(-wanted.calls, -wanted.tokens, -wanted.usd)
                raise
        return wanted

    def settle(
        self,
        reservation: Reservation,
        *,
        tokens: int,
        usd: Decimal | None,
        calls: int | None = None,
    ) -> None:
        """Put what a call did use in place of what was set aside for it.

        A reservation that is never settled stays spent.

        Args:
            reservation: from `reserve`, each settled once.
            tokens: input and output together.
            usd: cost; None when it is not known: then what was set aside counts.
            calls: model calls; None for as many as were set aside.

        Raises:
            ValueError: it was settled before, or belongs to another ledger.
        """
        with self._lock:
            if reservation not in self._open:
                raise ValueError("this reservation is not open")
            self._open.remove(reservation)
            if usd is None:
                self._usd_known, usd = False, reservation.usd
            used = reservation.calls if calls is None else calls
            self._add(used - reservation.calls, tokens - reservation.tokens, usd - reservation.usd)
            self._on_change(self._spend())

    def _require(self, wanted: Reservation) -> None:
        budget = self.budget
        if self._seconds() >= budget.seconds:
            raise _exceeded("seconds", f"{budget.seconds:g} seconds", "all of them used")
        if self._calls + wanted.calls > budget.calls:
            used = f"{self._calls} used, {wanted.calls} more wanted"
            raise _exceeded("calls", f"{budget.calls} calls", used)
        if self._tokens + wanted.tokens > budget.tokens:
            used = f"{self._tokens:,} used or set aside, {wanted.tokens:,} more wanted"
            raise _exceeded("tokens", f"{budget.tokens:,} tokens", used)
        if self._usd + wanted.usd > budget.usd and wanted.usd > 0:
            used = f"${self._usd} used or set aside, ${wanted.usd} more wanted"
            raise _exceeded("usd", f"${budget.usd}", used)

    def _add(self, calls: int, tokens: int, usd: Decimal) -> None:
        self._calls += calls
        self._tokens += tokens
        self._usd += usd

    def _seconds(self) -> float:
        return self._monotonic() - self._started_s

    def _spend(self) -> Spend:
        return Spend(
            calls=self._calls,
            tokens=self._tokens,
            usd=self._usd if self._usd_known else None,
            seconds=self._seconds(),
        )


def _exceeded(what: str, budget: str, used: str) -> BudgetExceeded:
    return BudgetExceeded(
        f"The run's budget of {budget} does not allow another call: {used}.",
        hint=f"Give the run a larger budget ({what}), or raise runs.max_{what}.",
        param=f"budget.{what}",
    )
