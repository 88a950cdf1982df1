"""kill -9 in the middle of a run, at every step of it; another process carries it on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.killed_run import CALLS, service_of, spec_of
from tests.support.postgres import postgres_server
from ymera.phases.types import RunEvent, RunResult, RunState
from ymera.storage.runs import SqlRunStore

PHASES = ("plan", "research", "generate", "combine")
POINTS = (
    "begun",
    *(f"{when}:{name}" for name in PHASES for when in ("before", "in", "after", "stored")),
    "ending",
    "ended",
)
WITHIN_S = 60

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.proves("runs.killed", "runs.durable", "runs.budget", "runs.one-owner"),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL"),
]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a PostgreSQL server of this module's own."""
    with postgres_server(tmp_path_factory) as url:
        yield url


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the artefacts of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed")

    async def carry_out() -> RunResult:
        runs = service_of(folder, None)
        try:
            return await runs.run(spec_of("run_whole"))
        finally:
            await runs.close()

    result = asyncio.run(carry_out())
    assert result.state is RunState.DONE
    return artefacts(result)


@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_anywhere_is_carried_on_without_repeating_what_was_done(
    point: str, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    kill_and_carry_on(point, tmp_path, None, undisturbed)


@pytest.mark.full
@pytest.mark.parametrize("point", POINTS)
def test_the_same_on_postgresql(
    point: str, tmp_path: Path, postgres: str, undisturbed: dict[str, str]
) -> None:
    kill_and_carry_on(point, tmp_path, postgres, undisturbed)


def kill_and_carry_on(
    point: str, folder: Path, url: str | None, undisturbed: dict[str, str]
) -> None:
    run_id = "run_" + point.replace(":", "_")
    store = SqlRunStore(url or folder / "runs.sqlite3")
    killed = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_run", str(folder), run_id, point]
        + ([] if url is None else [url]),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = set(store.open().outcomes(run_id))
    asked_before = asked(folder)
    store.close()

    result, events = asyncio.run(carry_on(folder, url, run_id, ended=point == "ended"))

    assert (result.state, result.error) == (RunState.DONE, None)
    assert artefacts(result) == undisturbed
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].kind == "run.done"
    times = asked(folder)
    assert all(times[name] == 1 for name in done), f"done before, asked again: {times}"
    assert all(times[name] - asked_before[name] <= 1 for name in PHASES)
    assert all(times[name] <= 2 for name in PHASES)
    assert times.total() <= result.spend.calls <= CALLS


async def carry_on(
    folder: Path, url: str | None, run_id: str, *, ended: bool
) -> tuple[RunResult, list[RunEvent]]:
    runs = service_of(folder, url)
    try:
        assert await runs.resume_pending() == (() if ended else (run_id,))
        result = await runs.wait(run_id)
        return result, [event async for event in runs.events(run_id)]
    finally:
        await runs.close()


def artefacts(result: RunResult) -> dict[str, str]:
    """Return what each phase made."""
    made = {name: each.artefact for name, each in result.phases.items()}
    return {name: each.text for name, each in made.items() if each is not None}


def asked(folder: Path) -> Counter[str]:
    """Return how often a model was asked for each phase, by all processes."""
    file = folder / "asked.txt"
    return Counter(file.read_text("utf-8").split() if file.exists() else ())
