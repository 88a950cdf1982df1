"""Runs whose phases are carried out by a double, over a real store and the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from ymera.core.task import TaskComplexity, TaskType
from ymera.engine.trace import Clock
from ymera.phases.budget import BudgetLedger
from ymera.phases.executor import Report
from ymera.phases.service import RunService
from ymera.phases.types import (
    AgentSpec,
    Artefact,
    ArtefactKind,
    Budget,
    PhaseOutcome,
    PhaseSpec,
    PhaseState,
    RunSpec,
    Spend,
    Strategy,
)
from ymera.storage.runs import SqlRunStore

DIAMOND: Mapping[str, Sequence[str]] = {
    "plan": (),
    "research": ("plan",),
    "generate": ("plan",),
    "combine": ("research", "generate"),
}
"""A plan with two branches side by side."""


def run_spec(
    id_: str = "run_1",
    *,
    phases: Mapping[str, Sequence[str]] = DIAMOND,
    optional: Sequence[str] = (),
    budget: Budget = Budget(),  # noqa: B008 - frozen
    private: bool = False,
    format_: str = "1",
    task: str = "Write a poem",
) -> RunSpec:
    """Return a run of phases that use each other as told."""
    specs = tuple(
        PhaseSpec(
            name=name,
            task_type=TaskType.CHAT,
            prompt=f"Do {name} of {{{{ task }}}}"
            + "".join(f" with {{{{ artefacts.{used} }}}}" for used in after),
            after=tuple(after),
            optional=name in optional,
        )
        for name, after in phases.items()
    )
    return RunSpec(
        id=id_,
        agent=AgentSpec(name="tester", description="tests", phases=specs, single=specs[0]),
        task=task,
        parameters={},
        strategy=Strategy.MULTI_MODEL,
        strategy_reason="a test says so",
        phases=specs,
        complexity=TaskComplexity.COMPLEX,
        budget=budget,
        private=private,
        format=format_,
    )


Act = Callable[["Actor", str, BudgetLedger], Awaitable[None]]


@dataclass
class Actor:
    """Carries out phases: each pays one call, and makes a text of what it was given.

    Attributes:
        act: awaited in the middle of each phase; may raise, wait or fail the phase (`Failing`).
        began, ended: names of phases, in order.
        given: what each phase was given.
    """

    act: Act | None = None
    began: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    given: dict[str, list[str]] = field(default_factory=dict)

    async def run(
        self,
        spec: RunSpec,
        phase: PhaseSpec,
        outcomes: Mapping[str, PhaseOutcome],
        budget: BudgetLedger,
        report: Report,
    ) -> PhaseOutcome:
        """Carry out one phase."""
        name = phase.name
        self.began.append(name)
        self.given[name] = list(outcomes)
        if any(outcomes[each].state is not PhaseState.DONE for each in phase.after):
            return PhaseOutcome(phase=name, state=PhaseState.SKIPPED, error="its input is missing")
        try:
            reservation = budget.reserve(calls=1, tokens=10)
            if self.act is not None:
                await self.act(self, name, budget)
            budget.settle(reservation, tokens=5, usd=None if name == "priceless" else Decimal(0))
        except FailingError as failed:
            report("phase.retry", {"reason": str(failed)})
            return PhaseOutcome(
                phase=name, state=PhaseState.FAILED, error_code="bad_answer", error=str(failed)
            )
        self.ended.append(name)
        made = [outcomes[each].artefact for each in phase.after]
        used = " + ".join(each.text for each in made if each is not None)
        return PhaseOutcome(
            phase=name,
            state=PhaseState.DONE,
            artefact=Artefact(phase=name, kind=ArtefactKind.TEXT, text=f"{name}({used})"),
            model="stage/actor",
            provider="stage",
            spend=Spend(calls=1, tokens=5, seconds=0.5),
        )


class FailingError(Exception):
    """Raised by an `Act` to make its phase fail."""


def waits_in(*names: str) -> Act:
    """Return an act that never ends the phases `names`."""

    async def act(actor: Actor, name: str, budget: BudgetLedger) -> None:
        if name in names:
            await asyncio.Event().wait()

    return act


def fails_in(*names: str) -> Act:
    """Return an act that fails the phases `names`."""

    async def act(actor: Actor, name: str, budget: BudgetLedger) -> None:
        if name in names:
            raise FailingError("it said no")

    return act


def make_service(
    folder: Path,
    actor: Actor,
    *,
    max_parallel: int = 4,
    lease_s: float = 15.0,
    clock: Clock | None = None,
) -> RunService:
    """Return a service whose runs lie in `folder`."""
    return RunService(
        runner=lambda: actor,
        store=SqlRunStore(folder / "runs.sqlite3"),
        engine_location=folder / "dbos.sqlite",
        clock=clock or Clock.system(),
        max_parallel=lambda: max_parallel,
        retention=lambda: timedelta(days=30),
        lease_s=lease_s,
        beat_s=0.05,
    )


@asynccontextmanager
async def service(
    folder: Path, actor: Actor, *, max_parallel: int = 4
) -> AsyncIterator[RunService]:
    """Yield a service and close it."""
    made = make_service(folder, actor, max_parallel=max_parallel)
    try:
        yield made
    finally:
        await made.close()


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something that is about to happen."""
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - it happens in other threads, too
            await asyncio.sleep(0.01)


POET = """
description = "Writes poems."

[parameters.metre]
description = "Metre of the poem."
default = "free"

[single]
task_type = "text_generation"
prompt = "One poem about {{ task }}"

[[phases]]
name = "plan"
task_type = "text_generation"
prompt = "Plan a {{ parameters.metre }} poem about {{ task }}"

[[phases]]
name = "draft"
task_type = "text_generation"
after = ["plan"]
retries = 0
prompt = "Draft a poem about {{ task }} by: {{ artefacts.plan }}"

[[phases]]
name = "polish"
task_type = "text_generation"
after = ["draft"]
prompt = "Polish: {{ artefacts.draft }}"
"""
"""An agent of the user's own, as a file."""


def give_agent(config_home: Path, name: str = "poet", text: str = POET) -> None:
    """Write an agent where the user's own agents lie."""
    folder = config_home / "ymera" / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
