"""Who is known to be dead, and what becomes of the runs of the dead."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import Actor, make_service, run_spec, service, until, waits_in
from ymera.phases.owner import is_gone, new_owner
from ymera.phases.types import RunState


def owner_of_a_process_that_ended() -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from ymera.phases.owner import new_owner; print(new_owner())"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.mark.proves("runs.one-owner")
@pytest.mark.skipif(sys.platform == "win32", reason="there the lease alone decides")
def test_a_process_is_gone_when_it_ended_or_its_number_is_anothers() -> None:
    own = new_owner()
    machine, pid, started, unique = own.split("|")
    assert not is_gone(own)
    assert is_gone(owner_of_a_process_that_ended())
    if started:
        assert is_gone(f"{machine}|{pid}|1|{unique}")  # this number, but begun at another time
    assert not is_gone(f"elsewhere|{pid}|{started}|{unique}")  # nobody here can know
    assert not is_gone("nonsense")
    assert new_owner() != own


@pytest.mark.proves("runs.resume", "runs.one-owner")
async def test_a_run_of_a_dead_process_is_taken_over_at_once_and_of_a_silent_one_after_its_lease(
    tmp_path: Path,
) -> None:
    actor = Actor(waits_in("generate"))
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec())
        await until(lambda: "research" in actor.ended)
        await runs.close()
        actor.act = None
        set_columns(tmp_path, owner="silent|1|2|3", lease_until_us=2**60)
        assert await runs.resume_pending() == ()
        set_columns(tmp_path, owner=owner_of_a_process_that_ended())
        assert await runs.resume_pending() == ("run_1",)
        assert (await runs.wait("run_1")).state is RunState.DONE


@pytest.mark.proves("runs.resume")
async def test_a_lease_that_ends_later_is_noticed_by_a_server_that_keeps_looking(
    tmp_path: Path,
) -> None:
    actor = Actor(waits_in("generate"))
    first = make_service(tmp_path, actor)
    await first.submit(run_spec())
    await until(lambda: "research" in actor.ended)
    await first.close()
    actor.act = None
    set_columns(tmp_path, owner="silent|1|2|3", lease_until_us=2**60)
    server = make_service(tmp_path, actor, lease_s=0.1)
    assert await server.resume_pending(watch=True) == ()
    set_columns(tmp_path, lease_until_us=1)
    await until(lambda: "combine" in actor.ended)
    assert (await server.wait("run_1")).state is RunState.DONE
    await server.close()


@pytest.mark.proves("runs.always-a-state")
async def test_a_run_that_kills_its_processes_is_given_up(tmp_path: Path) -> None:
    actor = Actor(waits_in("plan"))
    async with service(tmp_path, actor) as runs:
        await runs.submit(run_spec())
        await until(lambda: actor.began == ["plan"])
        await runs.close()
        set_columns(tmp_path, owner="silent|1|2|3", lease_until_us=1, deaths=3)
        assert await runs.resume_pending() == ()
        result = await runs.get("run_1")
        assert (result.state, result.error_code) == (RunState.FAILED, "internal_error")
        assert "4 processes" in (result.error or "")
        actor.act = None  # a person may still try
        assert (await runs.wait(await runs.resume("run_1"))).state is RunState.DONE


def set_columns(folder: Path, **values: object) -> None:
    """Change the only run of a store behind everybody's back."""
    names = ", ".join(f"{name} = ?" for name in values)
    database = sqlite3.connect(folder / "runs.sqlite3")
    with database:
        database.execute(f"UPDATE ymera_runs SET {names}", list(values.values()))  # noqa: S608
    database.close()
