"""Never above the budget, whatever the order of calls; never under-counted after a crash."""

from __future__ import annotations

from decimal import Decimal
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.errors import BudgetExceeded
from ymera.phases.budget import BudgetLedger, Reservation
from ymera.phases.types import Budget, Spend

CENTS = st.integers(0, 300).map(lambda cents: Decimal(cents) / 100)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 3), st.integers(0, 400), CENTS),
        st.tuples(st.just("settle"), st.integers(0, 9), st.floats(0, 1), CENTS),
        st.tuples(st.just("lose"), st.integers(0, 9), st.floats(0, 1), CENTS),
    ),
    max_size=60,
)
BUDGET = Budget(calls=10, tokens=1500, usd=Decimal(5), seconds=60)


@pytest.mark.proves("phases.budget")
@given(STEPS)
def test_what_is_used_and_set_aside_is_never_above_the_budget(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    told: list[Spend] = []
    ledger = BudgetLedger(BUDGET, Spend(calls=1, tokens=100), told.append, monotonic=lambda: 0.0)
    opened: list[Reservation] = []
    for step, number, amount, usd in steps:
        if step == "reserve":
            before = ledger.spend
            try:
                opened.append(ledger.reserve(calls=number, tokens=amount, usd=usd))
                assert told[-1] == ledger.spend  # written down before the call could leave
            except BudgetExceeded:
                assert ledger.spend == before
        elif opened:
            reservation = opened.pop(number % len(opened))
            if step == "settle":
                ledger.settle(
                    reservation,
                    tokens=int(reservation.tokens * amount),
                    usd=min(usd, reservation.usd),
                )
        spend = ledger.spend
        assert spend.calls <= BUDGET.calls
        assert spend.tokens <= BUDGET.tokens
        assert spend.usd is not None
        assert spend.usd <= BUDGET.usd
    assert all(spend.tokens <= BUDGET.tokens for spend in told)


@pytest.mark.proves("phases.budget")
@given(st.lists(st.tuples(st.integers(0, 400), CENTS, st.booleans()), max_size=20))
def test_a_ledger_begun_from_what_was_written_down_allows_no_more(
    calls: list[tuple[int, Decimal, bool]],
) -> None:
    told = [Spend()]
    ledger = BudgetLedger(BUDGET, told[0], told.append, monotonic=lambda: 0.0)
    used = 0
    for tokens, usd, crashes in calls:
        try:
            reservation = ledger.reserve(tokens=tokens, usd=usd)
        except BudgetExceeded:
            continue
        used += tokens
        if crashes:  # another process goes on from the last that was written down
            ledger = BudgetLedger(BUDGET, told[-1], told.append, monotonic=lambda: 0.0)
        else:
            ledger.settle(reservation, tokens=tokens, usd=usd)
        assert ledger.spend.tokens == used <= BUDGET.tokens


@pytest.mark.proves("phases.budget")
def test_threads_that_reserve_at_once_share_one_budget() -> None:
    ledger = BudgetLedger(Budget(calls=100), monotonic=lambda: 0.0)
    won: list[Reservation] = []

    def grab() -> None:
        for _ in range(50):
            try:
                won.append(ledger.reserve(tokens=1))
            except BudgetExceeded:
                return

    threads = [Thread(target=grab) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == ledger.spend.calls == 100


@pytest.mark.proves("phases.budget")
def test_the_seconds_of_an_earlier_process_count() -> None:
    now = [100.0]
    ledger = BudgetLedger(Budget(seconds=60), Spend(seconds=50), monotonic=lambda: now[0])
    assert ledger.remaining_s() == 10
    now[0] = 109.0
    assert ledger.spend.seconds == 59
    ledger.reserve(tokens=1)
    now[0] = 110.0
    assert ledger.remaining_s() == 0
    with pytest.raises(BudgetExceeded, match="60 seconds") as refused:
        ledger.reserve(tokens=1)
    assert refused.value.param == "budget.seconds"
    assert refused.value.hint


@pytest.mark.proves("phases.budget")
def test_money_nobody_could_count_leaves_none_for_later() -> None:
    ledger = BudgetLedger(Budget(usd=Decimal(5)), Spend(usd=None), monotonic=lambda: 0.0)
    assert ledger.remaining_usd() == 0
    ledger.reserve(tokens=1)  # a free model may still be asked
    with pytest.raises(BudgetExceeded, match=r"\$5"):
        ledger.reserve(tokens=1, usd=Decimal("0.01"))
    assert ledger.spend.usd is None


@pytest.mark.proves("phases.budget")
def test_what_cannot_be_written_down_is_not_set_aside() -> None:
    def full(_: Spend) -> None:
        raise OSError("disk full")

    ledger = BudgetLedger(Budget(), on_change=full, monotonic=lambda: 0.0)
    with pytest.raises(OSError, match="disk full"):
        ledger.reserve(tokens=1)
    assert ledger.spend == Spend()


def test_a_reservation_is_settled_once() -> None:
    ledger = BudgetLedger(Budget(), monotonic=lambda: 0.0)
    reservation = ledger.reserve(tokens=10)
    ledger.settle(reservation, tokens=3, usd=None)
    assert (ledger.spend.tokens, ledger.spend.usd) == (3, None)
    with pytest.raises(ValueError, match="not open"):
        ledger.settle(reservation, tokens=3, usd=None)
