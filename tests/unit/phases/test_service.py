"""Runs from begin to end, within their budget, and watched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.runs import Actor, fails_in, make_service, run_spec, service, until, waits_in
from ymera.core.errors import ConfigError, UnknownRun
from ymera.phases.budget import BudgetLedger
from ymera.phases.service import RunService
from ymera.phases.types import Budget, PhaseState, RunEvent, RunState

WHOLE = "combine(research(plan()) + generate(plan()))"


async def all_events(runs: RunService, run_id: str = "run_1", after: int = 0) -> list[RunEvent]:
    return [event async for event in runs.events(run_id, after)]


# --- carried out


@pytest.mark.proves("runs.carried-out", "runs.events")
async def test_a_run_hands_artefacts_on_and_returns_the_last_one(tmp_path: Path) -> None:
    async with service(tmp_path, Actor()) as runs:
        result = await runs.run(run_spec())
        events = await all_events(runs)
    assert result.state is RunState.DONE
    assert result.result == WHOLE
    assert list(result.phases) == ["plan", "research", "generate", "combine"]
    assert (result.successful_phases, result.failed_phases) == (4, 0)
    assert (result.spend.calls, result.spend.tokens, result.cost) == (4, 20, Decimal(0))
    assert result.models_used == ("stage/actor",)
    assert [event.seq for event in events] == list(range(1, 11))
    assert (events[0].kind, events[-1].kind) == ("run.started", "run.done")


@pytest.mark.proves("runs.dag")
async def test_branches_run_side_by_side_and_a_phase_waits_for_its_inputs_alone(
    tmp_path: Path,
) -> None:
    both = asyncio.Event()
    phases = {"a": (), "b": (), "after_a": ("a",), "end": ("b", "after_a")}

    async def act(actor: Actor, name: str, budget: BudgetLedger) -> None:
        if name == "after_a":
            both.set()
        elif name == "b":
            await both.wait()  # ends only once what follows `a` has begun

    actor = Actor(act)
    async with service(tmp_path, actor) as runs:
        result = await runs.run(run_spec(phases=phases))
    assert result.result == "end(b() + after_a(a()))"
    assert actor.given == {"a": [], "b": [], "after_a": ["a"], "end": ["a", "b", "after_a"]}


@pytest.mark.proves("runs.partial")
async def test_a_failed_phase_makes_a_partial_result_that_names_it(tmp_path: Path) -> None:
    async with service(tmp_path, Actor(fails_in("generate"))) as runs:
        result = await runs.run(run_spec())
        events = await all_events(runs)
    assert result.state is RunState.PARTIAL
    assert result.result == "research(plan())"
    assert result.phases["combine"].state is PhaseState.SKIPPED
    assert result.error_code == "bad_answer"
    assert "'generate' failed: it said no" in (result.error or "")
    kinds = [(event.kind, event.phase) for event in events]
    assert ("phase.retry", "generate") in kinds
    assert ("phase.failed", "generate") in kinds
    assert ("phase.skipped", "combine") in kinds
    assert kinds[-1] == ("run.partial", None)


@pytest.mark.proves("runs.partial")
async def test_a_run_without_any_artefact_is_failed(tmp_path: Path) -> None:
    async with service(tmp_path, Actor(fails_in("plan"))) as runs:
        result = await runs.run(run_spec())
    assert (result.state, result.result) == (RunState.FAILED, "")
    assert "'plan' failed" in (result.error or "")


@pytest.mark.proves("runs.always-a-state")
async def test_a_bug_in_our_own_code_ends_the_run_as_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(actor: Actor, name: str, budget: BudgetLedger) -> None:
        if name == "research":
            raise KeyError("secret detail")
        if name == "generate":
            await asyncio.Event().wait()

    async with service(tmp_path, Actor(act)) as runs:
        result = await runs.run(run_spec())
    assert (result.state, result.error_code) == (RunState.FAILED, "internal_error")
    assert "secret detail" not in (result.error or "")
    assert "met a bug" in caplog.text
    assert list(result.phases) == ["plan"]


async def test_phases_that_do_not_fit_together_are_refused_before_anything_is_stored(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, Actor()) as runs:
        with pytest.raises(ConfigError, match="cycle"):
            await runs.submit(run_spec(phases={"a": ("b",), "b": ("a",)}))
        assert await runs.list() == ()


@pytest.mark.proves("runs.max-parallel")
async def test_more_runs_than_may_be_under_way_wait_for_their_turn(tmp_path: Path) -> None:
    actor = Actor(waits_in("plan"))
    async with service(tmp_path, actor, max_parallel=1) as runs:
        await runs.submit(run_spec("run_1"))
        await runs.submit(run_spec("run_2"))
        await until(lambda: actor.began == ["plan"])
        assert [each.state for each in await runs.list()] == [RunState.PENDING, RunState.RUNNING]
        await runs.cancel("run_1")
        await until(lambda: actor.began == ["plan", "plan"])
        assert (await runs.get("run_2")).state is RunState.RUNNING


# --- budget


@pytest.mark.proves("runs.budget")
async def test_calls_over_the_budget_are_not_made_and_the_run_ends(tmp_path: Path) -> None:
    actor = Actor()
    async with service(tmp_path, actor) as runs:
        result = await runs.run(
            run_spec(budget=Budget(calls=2), phases={"a": (), "b": ("a",), "c": ("b",)})
        )
    assert result.spend.calls == 2
    assert actor.ended == ["a", "b"]
    assert result.state in {RunState.PARTIAL, RunState.FAILED}


@pytest.mark.proves("runs.budget", "runs.always-a-state")
async def test_the_seconds_of_the_budget_cut_a_run_off(tmp_path: Path) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        result = await runs.run(run_spec(budget=Budget(seconds=1.5)))
        events = await all_events(runs)
    assert (result.state, result.error_code) == (RunState.PARTIAL, "budget_exceeded")
    assert "1.5 seconds" in (result.error or "")
    assert result.phases["generate"].state is PhaseState.FAILED
    assert result.result == "research(plan())"
    assert events[-1].kind == "run.partial"
    assert result.spend.seconds >= 1.5


@pytest.mark.proves("runs.budget")
async def test_an_unknown_cost_is_told_as_unknown(tmp_path: Path) -> None:
    async with service(tmp_path, Actor()) as runs:
        result = await runs.run(run_spec(phases={"priceless": ()}))
    assert result.cost is None


# --- watched


@pytest.mark.proves("runs.events")
async def test_events_come_live_and_can_be_taken_up_again_by_number(tmp_path: Path) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec())
        seen: list[RunEvent] = []
        async for event in runs.events("run_1"):
            seen.append(event)
            if event.kind == "phase.done" and event.phase == "research":
                break
        await runs.cancel("run_1")
        rest = await all_events(runs, after=seen[-1].seq)
    assert [each.seq for each in (*seen, *rest)] == list(range(1, len(seen) + len(rest) + 1))
    assert rest[-1].kind == "run.cancelled"


@pytest.mark.proves("runs.events")
async def test_events_of_another_process_are_seen_through_the_store(tmp_path: Path) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        other = make_service(tmp_path, Actor())  # shares nothing with the first but the store
        await runs.submit(run_spec())
        watching = asyncio.create_task(all_events(other))
        await until(lambda: "research" in actor.ended)
        await runs.cancel("run_1")
        events = await watching
        await other.close()
    assert [each.seq for each in events] == list(range(1, len(events) + 1))
    assert events[-1].kind == "run.cancelled"


async def test_an_unknown_run_is_told_as_such_everywhere(tmp_path: Path) -> None:
    async with service(tmp_path, Actor()) as runs:
        for asked in (
            runs.get,
            runs.cancel,
            runs.resume,
            runs.remove,
            runs.wait,
            all_events_of(runs),
        ):
            with pytest.raises(UnknownRun, match="run_x"):
                await asked("run_x")
        assert not (tmp_path / "runs.sqlite3").exists()


def all_events_of(runs: RunService) -> Callable[[str], Awaitable[object]]:
    return lambda run_id: all_events(runs, run_id)
