"""DBOS as our engine: what it keeps, what it repeats, and that there is one in a process."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.runs import Actor, make_service, run_spec, until, waits_in
from ymera.core.errors import ConfigError, MachineError
from ymera.phases.durable import DurableEngine, Perform, close_engine, open_engine
from ymera.phases.types import RunState

PLAN = [("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b", "c"))]


@dataclass
class Stage:
    """Performs phases on an event loop of its own, as the service does."""

    loop: asyncio.AbstractEventLoop
    seen: list[str] = field(default_factory=list)

    def performing(self, act: Callable[[str], Awaitable[None]] | None = None) -> Perform:
        """Return what begins a phase: note it, then do `act`."""

        async def phase(name: str) -> None:
            self.seen.append(name)
            if act is not None:
                await act(name)

        def perform(name: str) -> Future[None]:
            return asyncio.run_coroutine_threadsafe(phase(name), self.loop)

        return perform


@pytest.fixture
def stage() -> Iterator[Stage]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield Stage(loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DurableEngine]:
    opened = open_engine(tmp_path / "dbos.sqlite")
    yield opened
    close_engine(opened)


async def forever(name: str) -> None:
    if name == "b":
        await asyncio.Event().wait()


@pytest.mark.proves("runs.durable")
def test_what_was_done_is_not_done_again_when_a_workflow_is_carried_on(
    engine: DurableEngine, stage: Stage
) -> None:
    first = engine.carry("w.1", PLAN, stage.performing(forever))
    asyncio.run(until(lambda: steps_of(engine, "w.1") == ["a", "c"]))
    assert sorted(stage.seen) == ["a", "b", "c"]
    engine.stop("w.1").result()
    with pytest.raises(RuntimeError, match="interrupted"):
        first.result(20)
    stage.seen.clear()
    engine.carry("w.1", PLAN, stage.performing()).result(20)
    assert stage.seen == ["b", "d"]
    assert steps_of(engine, "w.1") == ["a", "b", "c", "d"]


@pytest.mark.proves("runs.durable")
def test_a_failure_of_ours_leaves_no_checkpoint_and_is_told(
    engine: DurableEngine, stage: Stage
) -> None:
    async def bug(name: str) -> None:
        if name == "b":
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        engine.carry("w.1", PLAN, stage.performing(bug)).result(20)
    assert "b" not in steps_of(engine, "w.1")
    stage.seen.clear()
    engine.carry("w.1", PLAN, stage.performing()).result(20)
    assert {"b", "d"} <= set(stage.seen)


@pytest.mark.proves("runs.durable")
def test_the_order_of_steps_does_not_depend_on_which_branch_is_quicker(
    engine: DurableEngine, stage: Stage
) -> None:
    async def slow_b(name: str) -> None:
        if name == "b":
            await asyncio.sleep(0.05)

    engine.carry("w.1", PLAN, stage.performing(slow_b)).result(20)
    engine.carry("w.2", PLAN, stage.performing()).result(20)
    assert numbers_of(engine, "w.1") == numbers_of(engine, "w.2")


@pytest.mark.proves("runs.durable")
def test_dbos_is_given_no_text_and_no_pickle(tmp_path: Path, stage: Stage) -> None:
    engine = open_engine(tmp_path / "dbos.sqlite")
    engine.carry("w.1", PLAN, stage.performing()).result(20)
    database = sqlite3.connect(tmp_path / "dbos.sqlite")
    rows = database.execute("SELECT serialization, output FROM operation_outputs").fetchall()
    version = database.execute("SELECT application_version FROM workflow_status").fetchall()
    database.close()
    close_engine(engine)
    assert set(rows) == {("ymera_json", '"ended"')}
    assert version == [("1",)]
    assert (tmp_path / "dbos.sqlite").stat().st_mode & 0o777 == 0o600


def test_forgotten_workflows_leave_nothing(engine: DurableEngine, stage: Stage) -> None:
    engine.carry("w.1", PLAN, stage.performing()).result(20)
    engine.forget(["w.1", "unheard.of"]).result(20)
    assert steps_of(engine, "w.1") == []


# --- one in a process


@pytest.mark.proves("runs.one-engine")
def test_two_data_directories_in_one_process_are_refused_with_the_way_out(
    engine: DurableEngine, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="keeps runs elsewhere") as caught:
        open_engine(tmp_path / "other.sqlite")
    assert "Close the other one" in str(caught.value.hint)
    same = open_engine(tmp_path / "dbos.sqlite")
    assert same is engine
    close_engine(same)


@pytest.mark.proves("runs.one-engine", "runs.always-a-state")
async def test_a_run_in_a_second_data_directory_fails_with_the_reason(tmp_path: Path) -> None:
    actor = Actor(waits_in("plan"))
    first = make_service(tmp_path, actor)
    await first.submit(run_spec())
    await until(lambda: actor.began == ["plan"])
    (tmp_path / "other").mkdir()
    second = make_service(tmp_path / "other", Actor())
    result = await second.run(run_spec())
    assert (result.state, result.error_code) == (RunState.FAILED, "config_error")
    await second.close()
    await first.close()


@pytest.mark.proves("runs.one-engine")
def test_somebody_elses_dbos_in_the_process_is_left_alone(tmp_path: Path) -> None:
    from dbos import DBOS

    DBOS(config={"name": "theirs", "system_database_url": f"sqlite:///{tmp_path}/theirs.sqlite"})
    try:
        with pytest.raises(ConfigError, match="DBOS of its own") as caught:
            open_engine(tmp_path / "dbos.sqlite")
        assert "process of their own" in str(caught.value.hint)
    finally:
        DBOS.destroy()
        logging.getLogger("dbos").handlers.clear()
    close_engine(open_engine(tmp_path / "dbos.sqlite"))


def test_a_database_that_cannot_be_used_is_a_machine_error(tmp_path: Path) -> None:
    (tmp_path / "dbos.sqlite").write_bytes(b"this is no database, and it is long enough" * 50)
    with pytest.raises(MachineError, match="could not start") as caught:
        open_engine(tmp_path / "dbos.sqlite")
    assert caught.value.hint


# --- quiet and late


@pytest.mark.proves("runs.lazy")
def test_dbos_is_loaded_by_the_first_run_alone_and_writes_no_log(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from tests.support.runs import Actor, make_service, run_spec
folder = Path({str(tmp_path)!r})
runs = make_service(folder, Actor())
async def main():
    assert await runs.resume_pending() == ()
    assert await runs.list() == ()
    print("dbos" in sys.modules, "sqlalchemy" in sys.modules)
    await runs.run(run_spec())
    await runs.close()
    assert await runs.resume_pending() == ()
    print("dbos" in sys.modules)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout.split(), done.stderr) == (["False", "False", "True"], "")


def steps_of(engine: DurableEngine, workflow_id: str) -> list[str]:
    return sorted(name for name, _ in numbers_of(engine, workflow_id))


def numbers_of(engine: DurableEngine, workflow_id: str) -> list[tuple[str, int]]:
    database = sqlite3.connect(engine.location)
    rows = database.execute(
        "SELECT function_name, function_id FROM operation_outputs WHERE workflow_uuid = ?",
        (workflow_id,),
    ).fetchall()
    database.close()
    return sorted(rows)
