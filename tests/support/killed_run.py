"""A process that carries out a run on the scripted model and kills itself at a chosen point.

    python -m tests.support.killed_run FOLDER RUN_ID POINT [POSTGRESQL_URL]

Points, of a phase NAME: `before:NAME` (begun, nothing asked), `in:NAME` (a model is being asked),
`after:NAME` (answered, nothing stored), `stored:NAME` (stored, no checkpoint of the engine's); and
of the run: `begun` (known, not with the engine), `ending` (every phase ended), `ended` (stored).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support.engine import Stage
from tests.support.runs import run_spec
from ymera.app.phase_calls import PhaseCalls
from ymera.core.access import Principal
from ymera.core.chat import ChatRequest, prompt_text
from ymera.core.model import Model
from ymera.engine.trace import Clock
from ymera.phases.budget import BudgetLedger
from ymera.phases.calls import PhaseAnswer
from ymera.phases.executor import PhaseRunner, Report
from ymera.phases.home import Engine
from ymera.phases.run_log import Detail, StoredLog
from ymera.phases.service import RunService
from ymera.phases.types import Budget, PhaseOutcome, PhaseSpec, RunSpec
from ymera.storage.runs import SqlRunStore
from ymera.testing.scripted import ScriptedProvider

CALLS = 6
"""The budget: four phases, and the two that can be in flight once more."""


def spec_of(run_id: str) -> RunSpec:
    """Return the run."""
    return run_spec(run_id, budget=Budget(calls=CALLS))


def no_kill(point: str) -> None:
    """Live on."""
    del point


def killing(point: str) -> Callable[[str], None]:
    """Return what kills this process once it is called with `point`."""

    def reach(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return reach


class Runner:
    """The real runner over the scripted model; notes every call in `asked` and reaches points."""

    def __init__(self, asked: Path, reach: Callable[[str], None]) -> None:
        self._asked = asked
        self._reach = reach
        stage = Stage({"stage": ScriptedProvider(answers=_say)}, max_input_length=100_000)
        gateway = stage.gateway()
        self._calls = PhaseCalls(lambda: gateway)
        self._runner = PhaseRunner(ask=self._ask, clock=Clock.system())

    async def run(
        self,
        spec: RunSpec,
        phase: PhaseSpec,
        outcomes: Mapping[str, PhaseOutcome],
        budget: BudgetLedger,
        report: Report,
    ) -> PhaseOutcome:
        """Carry out a phase."""
        self._reach(f"before:{phase.name}")
        outcome = await self._runner.run(spec, phase, outcomes, budget, report)
        self._reach(f"after:{phase.name}")
        return outcome

    async def _ask(self, request: ChatRequest, principal: Principal) -> PhaseAnswer:
        with self._asked.open("a", encoding="utf-8") as log:
            log.write(f"{request.hints.phase}\n")
        self._reach(f"in:{request.hints.phase}")
        return await self._calls(request, principal)


def _say(request: ChatRequest, model: Model) -> str:
    """Answer with what depends on every word of the prompt."""
    digest = hashlib.sha256(prompt_text(request).encode()).hexdigest()[:16]
    return f"The artefact of {request.hints.phase} is {digest}."


def service_of(folder: Path, url: str | None, reach: Callable[[str], None] = no_kill) -> RunService:
    """Return a service over files in `folder`, or over a PostgreSQL database."""
    runner = Runner(folder / "asked.txt", reach)
    return RunService(
        runner=lambda: runner,
        store=SqlRunStore(url or folder / "runs.sqlite3"),
        engine_location=url or folder / "dbos.sqlite",
        clock=Clock.system(),
        retention=lambda: timedelta(days=30),
    )


def _set_traps(reach: Callable[[str], None]) -> None:
    """Have the run reach the points that lie between the product's own steps."""
    finish, end, get = StoredLog.finish, StoredLog.end, Engine.get

    def finish_then_reach(
        self: StoredLog, outcome: PhaseOutcome, position: int, detail: Detail
    ) -> PhaseOutcome:
        standing = finish(self, outcome, position, detail)
        reach(f"stored:{outcome.phase}")
        return standing

    def end_between(self: StoredLog, *rest: Any, **more: Any) -> None:
        reach("ending")
        end(self, *rest, **more)
        reach("ended")

    def get_after(self: Engine) -> Any:
        reach("begun")
        return get(self)

    StoredLog.finish = finish_then_reach  # type: ignore[method-assign]
    StoredLog.end = end_between  # type: ignore[method-assign]
    Engine.get = get_after  # type: ignore[method-assign]


async def _main(folder: Path, run_id: str, point: str, url: str | None) -> None:
    reach = killing(point)
    _set_traps(reach)
    runs = service_of(folder, url, reach)
    result = await runs.run(spec_of(run_id))
    await runs.close()
    sys.exit(f"lived through it: {result.state}")


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], (*sys.argv[4:], None)[0]))
