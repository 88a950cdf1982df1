"""Runs over months: what is damaged, old, private or stopped twice."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.runs import Actor, fails_in, make_service, run_spec, service, until, waits_in
from ymera.engine.trace import Clock
from ymera.phases import reader
from ymera.phases.budget import BudgetLedger
from ymera.phases.service import RunService
from ymera.phases.types import RunState
from ymera.storage.runs import SqlRunStore


def change(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "runs.sqlite3") as database:
        database.execute(statement)
    database.close()


def rows(folder: Path) -> int:
    with sqlite3.connect(folder / "runs.sqlite3") as database:
        count: int = database.execute("SELECT count(*) FROM ymera_runs").fetchone()[0]
    database.close()
    return count


def left_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.proves("runs.private")
async def test_why_a_private_run_failed_is_told_here_and_leaves_no_text_on_the_disk(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, Actor(fails_in("kumquat"))) as runs:
        result = await runs.run(run_spec(private=True, phases={"kumquat": ()}))
        assert result.error == "The phase 'kumquat' failed: it said no"
        other = make_service(tmp_path, Actor())
        elsewhere = await other.get("run_1")
        await other.close()
    assert elsewhere.error_code == "bad_answer"
    assert elsewhere.error == "A phase failed; the reason of a private run is kept in memory only."
    assert b"kumquat" not in left_in(tmp_path)


@pytest.mark.proves("runs.private")
async def test_a_private_run_that_was_stopped_says_so_in_the_store(tmp_path: Path) -> None:
    async with service(tmp_path, Actor(waits_in("plan"))) as runs:
        await runs.submit(run_spec(private=True))
        await runs.interrupt("run_1")
        other = make_service(tmp_path, Actor())
        elsewhere = await other.get("run_1")
        await other.close()
    assert elsewhere.error == "It was interrupted; a private run cannot be resumed."


@pytest.mark.proves("runs.private")
async def test_private_runs_make_room_only_once_they_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_MOST_PRIVATE", 1)
    gate = asyncio.Event()

    async def act(actor: Actor, name: str, budget: BudgetLedger) -> None:
        if name == "long":
            await gate.wait()

    async with service(tmp_path, Actor(act)) as runs:
        await runs.submit(run_spec("run_1", private=True, phases={"long": ()}))
        await runs.run(run_spec("run_2", private=True, phases={"short": ()}))
        await runs.run(run_spec("run_3", private=True, phases={"short": ()}))
        gate.set()
        assert (await runs.wait("run_1")).result == "long()"
        assert (await runs.get("run_2")).phases == {}


@pytest.mark.proves("runs.cancel")
@pytest.mark.parametrize("private", [False, True])
async def test_a_run_that_is_stopped_twice_still_waits_for_its_phases(
    tmp_path: Path, private: bool
) -> None:
    leaving, ended = asyncio.Event(), asyncio.Event()

    async def act(actor: Actor, name: str, budget: BudgetLedger) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            leaving.set()
            await asyncio.sleep(0.2)  # such as closing a connection
            ended.set()

    actor = Actor(act)
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec(private=private, phases={"plan": ()}))
        await until(lambda: actor.began == ["plan"])
        cancelling = asyncio.create_task(runs.cancel("run_1"))
        await leaving.wait()
        await runs.interrupt("run_1")
        assert ended.is_set()
        assert (await cancelling).state is RunState.CANCELLED


@pytest.mark.proves("runs.always-a-state")
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE ymera_run_phases SET outcome = '{' WHERE run_id = 'run_1'",
        "UPDATE ymera_runs SET spent = '{' WHERE id = 'run_1'",
        "UPDATE ymera_runs SET spec = '{' WHERE id = 'run_1'",
    ],
)
async def test_a_damaged_run_fails_and_the_others_are_carried_on(
    tmp_path: Path, damage: str
) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec("run_1"))
        await runs.submit(run_spec("run_2"))
        await until(lambda: actor.ended.count("research") == 2)
    change(tmp_path, damage)
    async with service(tmp_path, Actor()) as runs:
        assert await runs.resume_pending() == ("run_2",)
        assert (await runs.wait("run_2")).state is RunState.DONE
        states = {each.run_id: each.state for each in await runs.list()}
    assert states["run_1"] is RunState.FAILED


@pytest.mark.proves("runs.remove")
async def test_a_process_that_lives_for_long_removes_old_runs_again_and_again(
    tmp_path: Path,
) -> None:
    days = 0
    hour = asyncio.Event()

    async def wait(seconds: float) -> None:
        if seconds < 3_600:
            await asyncio.sleep(seconds)
        else:
            await hour.wait()
            hour.clear()

    start = datetime(2026, 1, 1, tzinfo=UTC)
    actor = Actor()
    runs = RunService(
        runner=lambda: actor,
        store=SqlRunStore(tmp_path / "runs.sqlite3"),
        engine_location=tmp_path / "dbos.sqlite",
        clock=Clock(now=lambda: start + timedelta(days=days), monotonic=lambda: 0.0),
        wait=wait,
    )
    await runs.run(run_spec(phases={"only": ()}))
    days = 31
    hour.set()
    await until(lambda: rows(tmp_path) == 0)
    await runs.close()
