"""Runs that are stopped, carried on, owned, private, removed."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.runs import Actor, fails_in, make_service, run_spec, service, until, waits_in
from ymera.core.errors import InvalidRequest
from ymera.phases.budget import BudgetLedger
from ymera.phases.service import RunService
from ymera.phases.types import Budget, RunEvent, RunState

WHOLE = "combine(research(plan()) + generate(plan()))"


async def all_events(runs: RunService, run_id: str = "run_1", after: int = 0) -> list[RunEvent]:
    return [event async for event in runs.events(run_id, after)]


# --- stopped


@pytest.mark.proves("runs.cancel")
async def test_a_cancelled_run_stops_its_phases_at_once(tmp_path: Path) -> None:
    cut: list[str] = []

    async def act(actor: Actor, name: str, budget: BudgetLedger) -> None:
        try:
            if name in {"research", "generate"}:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append(name)
            raise

    actor = Actor(act)
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec())
        await until(lambda: len(actor.began) == 3)
        async with asyncio.timeout(2):
            result = await runs.cancel("run_1")
        assert sorted(cut) == ["generate", "research"]
        assert (await runs.cancel("run_1")).state is RunState.CANCELLED
    assert (result.state, result.error_code) == (RunState.CANCELLED, "cancelled")
    assert list(result.phases) == ["plan"]


@pytest.mark.proves("runs.cancel")
async def test_another_process_can_cancel_a_run(tmp_path: Path) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        other = make_service(tmp_path, Actor())
        await runs.submit(run_spec())
        await until(lambda: "generate" in actor.began)
        assert (await other.cancel("run_1")).state is RunState.CANCELLED
        await other.close()


@pytest.mark.proves("runs.resume")
async def test_a_caller_that_is_cancelled_leaves_a_run_that_can_be_carried_on(
    tmp_path: Path,
) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        waiting = asyncio.create_task(runs.run(run_spec()))
        await until(lambda: "research" in actor.ended)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await runs.get("run_1")).state is RunState.PENDING
        assert await runs.resume_pending() == ()  # it was put aside on purpose
        actor.act = None
        result = await runs.wait(await runs.resume("run_1"))
        kinds = [event.kind for event in await all_events(runs)]
    assert result.state is RunState.DONE
    assert result.result == WHOLE
    assert [name for name in actor.began if name != "generate"] == ["plan", "research", "combine"]
    assert actor.began.count("generate") == 2
    assert kinds.index("run.interrupted") < kinds.index("run.resumed") < kinds.index("run.done")


# --- carried on


@pytest.mark.proves("runs.resume")
async def test_closing_leaves_runs_that_the_next_start_carries_on(tmp_path: Path) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec())
        await until(lambda: "research" in actor.ended)
        await runs.close()
        actor.act = None
        assert await runs.resume_pending() == ("run_1",)
        assert (await runs.wait("run_1")).result == WHOLE
    assert sorted(actor.ended) == ["combine", "generate", "plan", "research"]


@pytest.mark.proves("runs.any-loop")
def test_two_event_loops_one_after_another_use_one_service(tmp_path: Path) -> None:
    actor = Actor(waits_in("generate"))
    runs = make_service(tmp_path, actor)

    async def begin() -> None:
        await runs.submit(run_spec())
        await until(lambda: "research" in actor.ended)

    async def go_on() -> RunState:
        actor.act = None
        (carried_on,) = await runs.resume_pending()
        first = await runs.wait(carried_on)
        second = await runs.run(run_spec("run_2"))
        await runs.close()
        assert first.result == second.result == WHOLE
        return second.state

    asyncio.run(begin())  # ends in the middle of the run
    assert asyncio.run(go_on()) is RunState.DONE
    assert actor.ended.count("plan") == 2  # once a run


@pytest.mark.proves("runs.resume")
async def test_from_a_phase_on_everything_that_uses_it_runs_again(tmp_path: Path) -> None:
    actor = Actor()
    async with service(tmp_path, actor) as runs:
        await runs.run(run_spec())
        actor.began.clear()
        result = await runs.wait(await runs.resume("run_1", "generate"))
        assert sorted(actor.began) == ["combine", "generate"]
        assert result.state is RunState.DONE
        assert result.spend.calls == 6
        with pytest.raises(InvalidRequest, match="no phase 'nothing'"):
            await runs.resume("run_1", "nothing")
        with pytest.raises(InvalidRequest, match="is done"):
            await runs.resume("run_1")


@pytest.mark.proves("runs.resume", "runs.budget")
async def test_a_failed_phase_runs_again_with_what_uses_it_and_money_spent_stays_spent(
    tmp_path: Path,
) -> None:
    actor = Actor(fails_in("research"))
    async with service(tmp_path, actor) as runs:
        first = await runs.run(run_spec(budget=Budget(calls=4)))
        assert first.spend.calls == 3
        actor.act = None
        actor.began.clear()
        second = await runs.wait(await runs.resume("run_1"))
        assert sorted(actor.began) == ["combine", "research"]
        assert second.spend.calls == 4
        assert second.state is not RunState.DONE
        third = await runs.wait(await runs.resume("run_1", calls=5))
    assert (third.state, third.result) == (RunState.DONE, WHOLE)


async def test_a_run_under_way_is_neither_resumed_nor_removed(tmp_path: Path) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        other = make_service(tmp_path, Actor())
        await runs.submit(run_spec())
        await until(lambda: "generate" in actor.began)
        for each in (runs, other):
            with pytest.raises(InvalidRequest, match=r"under way|another process"):
                await each.resume("run_1")
            with pytest.raises(InvalidRequest, match="under way"):
                await each.remove("run_1")
        assert await other.resume_pending() == ()
        await other.close()


async def test_a_run_of_another_plan_format_is_not_carried_on(tmp_path: Path) -> None:
    actor = Actor(waits_in("plan"))
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec(format_="0"))
        await until(lambda: actor.began == ["plan"])
        await runs.close()
        with pytest.raises(InvalidRequest, match="version of Ymera"):
            await runs.resume("run_1")
        assert await runs.resume_pending() == ()
        result = await runs.get("run_1")
    assert (result.state, "version" in (result.error or "")) == (RunState.FAILED, True)


# --- owned by one process


@pytest.mark.proves("runs.one-owner")
async def test_a_process_that_lost_a_run_writes_nothing_into_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()

    async def act(actor: Actor, name: str, budget: BudgetLedger) -> None:
        if name == "plan":
            await gate.wait()

    actor = Actor(act)
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec())
        await until(lambda: actor.began == ["plan"])
        with sqlite3.connect(tmp_path / "runs.sqlite3") as database:
            database.execute("UPDATE ymera_runs SET owner = 'elsewhere|1|2|3'")
        database.close()
        caplog.set_level(logging.WARNING)
        await until(lambda: "another process" in caplog.text)
        gate.set()
        result = await runs.get("run_1")
    assert (result.state, result.phases) == (RunState.RUNNING, {})
    assert actor.ended == []


# --- private


@pytest.mark.proves("runs.private")
async def test_a_private_run_leaves_no_text_on_the_disk(tmp_path: Path) -> None:
    nonce = "kumquat-7431"
    actor = Actor()
    async with service(tmp_path, actor) as runs:
        spec = run_spec(private=True, phases={f"about_{nonce}": ()}, task=nonce)
        result = await runs.run(spec)
        events = await all_events(runs)
        assert result.state is RunState.DONE
        assert nonce in result.result
        assert result.private
        assert (events[0].detail["resumable"], events[-1].kind) == (False, "run.done")
        with pytest.raises(InvalidRequest, match="memory only"):
            await runs.resume("run_1")
        other = make_service(tmp_path, Actor())
        elsewhere = await other.get("run_1")
        assert (elsewhere.phases, elsewhere.result, elsewhere.spend.calls) == ({}, "", 1)
        await other.close()
    left = left_in(tmp_path)
    assert left
    assert nonce.encode() not in left


@pytest.mark.proves("runs.private", "runs.always-a-state")
async def test_a_private_run_whose_process_ended_is_failed(tmp_path: Path) -> None:
    actor = Actor(waits_in("plan"))
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec(private=True))
        await until(lambda: actor.began == ["plan"])
        other = make_service(tmp_path, Actor())
        with sqlite3.connect(tmp_path / "runs.sqlite3") as database:
            database.execute("UPDATE ymera_runs SET owner = 'x', lease_until_us = 0")
        database.close()
        result = await other.get("run_1")
        await other.close()
    assert result.state is RunState.FAILED
    assert result.error_code == "internal_error"


# --- removed


@pytest.mark.proves("runs.remove")
async def test_a_removed_run_leaves_nothing_in_any_table(tmp_path: Path) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        await runs.run(run_spec("run_9", phases={"only": ()}))
        waiting = asyncio.create_task(runs.run(run_spec()))
        await until(lambda: "research" in actor.ended)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert rows_about(tmp_path, "run_1")
        await runs.remove("run_1")
        assert rows_about(tmp_path, "run_1") == {}
        assert [each.run_id for each in await runs.list()] == ["run_9"]


@pytest.mark.proves("runs.remove")
async def test_what_ended_long_ago_is_removed_and_the_rest_is_kept(tmp_path: Path) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec("run_1"))
        await runs.run(run_spec("run_2", phases={"only": ()}))
        assert await runs.prune(timedelta(hours=1)) == 0
        assert await runs.prune(timedelta(seconds=-1)) == 1
        assert [each.run_id for each in await runs.list()] == ["run_1"]


def left_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def rows_about(folder: Path, run_id: str) -> dict[str, int]:
    """Return tables that hold the run's id anywhere, and in how many rows."""
    found: dict[str, int] = {}
    for file in ("runs.sqlite3", "dbos.sqlite"):
        database = sqlite3.connect(folder / file)
        tables = [
            row[0]
            for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608
            count = sum(any(run_id in str(value) for value in row) for row in rows)
            if count:
                found[f"{file}:{table}"] = count
        database.close()
    return found
