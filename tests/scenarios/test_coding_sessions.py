"""Coding sessions over the free quotas: the whole app, vendors that count for themselves."""

import pytest

from bench.sessions.report import TURNS
from bench.sessions.run import run
from ymera.routing import plan
from ymera.routing.quota import QuotaBook
from ymera.wire.tool_ids import ToolIds

_FEW = 24
_MANY = 200


@pytest.mark.proves("sessions.promises")
def test_sessions_are_served_without_avoidable_refusals_or_needless_switches() -> None:
    report = run(1, sessions=_FEW)
    assert [session.turns for session in report.sessions] == [TURNS] * _FEW
    assert report.avoidable_per_1000 <= 5, report.avoidable
    assert report.most_needless <= 1
    assert report.seen.invalid == []


@pytest.mark.proves("sessions.wrong-limits")
def test_limits_that_are_documented_wrongly_cost_few_refusals() -> None:
    report = run(1, sessions=_FEW, wrong=True)
    assert report.refused, "nothing was found out"
    assert report.avoidable_per_1000 <= 20, report.avoidable
    assert report.most_needless <= 1
    assert report.seen.invalid == []


@pytest.mark.proves("sessions.histories")
def test_a_history_that_crosses_vendors_at_every_turn_stays_valid() -> None:
    report = run(1, sessions=_FEW, wander=True)
    switches = sum(len(session.switches) for session in report.sessions)
    assert switches > _FEW * (TURNS - 1) / 2
    assert len(report.seen.dialects) == 4, "every dialect was asked"
    assert report.seen.invalid == []


@pytest.mark.proves("sessions.scarce")
def test_sessions_that_outlast_their_pools_go_on_elsewhere_with_a_valid_history() -> None:
    report = run(1, sessions=2 * _FEW, scarce=True)
    assert sum(len(session.switches) for session in report.sessions) > 0
    assert all(session.turns == TURNS for session in report.sessions)
    assert report.seen.invalid == []


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.proves("sessions.promises", "sessions.wrong-limits")
def test_two_hundred_sessions_keep_every_promise(seed: int, *, wrong: bool) -> None:
    report = run(seed, sessions=_MANY, wrong=wrong)
    assert report.holds, (report.avoidable, report.most_needless, report.seen.invalid)


@pytest.mark.full
@pytest.mark.proves("sessions.bench-can-fail")
def test_a_book_of_quotas_that_never_says_no_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuotaBook, "check", lambda *_: None)
    report = run(1, sessions=100, scarce=True)
    assert report.avoidable_per_1000 > 5
    assert not report.holds


@pytest.mark.full
@pytest.mark.proves("sessions.bench-can-fail")
def test_conversations_that_leave_their_model_are_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "staying_bonus", lambda _: -1.0)
    report = run(1, sessions=_FEW)
    assert report.most_needless > 1
    assert not report.holds


@pytest.mark.full
@pytest.mark.proves("sessions.bench-can-fail")
def test_ids_of_tool_calls_that_are_left_as_they_are_are_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ToolIds, "__call__", lambda _, id: id)
    report = run(1, sessions=2 * _FEW, wander=True)
    assert report.seen.invalid
    assert not report.holds
