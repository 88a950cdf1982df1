"""Scripted models behind a real gateway and the real router, and agents of a test's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.resources import files

import msgspec

from tests.support.engine import Stage, model
from ymera.app.phase_calls import PhaseCalls
from ymera.catalog.load import load
from ymera.core.chat import ChatRequest
from ymera.core.route import RoutePlan
from ymera.core.task import TaskComplexity, TaskType
from ymera.engine.router import Router
from ymera.phases.budget import BudgetLedger
from ymera.phases.calls import Ask, AskWithTools
from ymera.phases.executor import PhaseRunner
from ymera.phases.types import (
    AgentSpec,
    ArtefactKind,
    Budget,
    OutputContract,
    PhaseOutcome,
    PhaseSpec,
    PhaseState,
    RunSpec,
    Strategy,
)
from ymera.routing.classify import TaskClassifier
from ymera.routing.plan import Snapshot
from ymera.testing.scripted import ScriptedProvider

CODE = OutputContract(kind=ArtefactKind.CODE, language="python")
GOOD = "```python\ndef add(a, b):\n    return a + b\n```"
BAD = "```python\ndef add(a, b:\n    return\n```"


def phase(name: str, prompt: str = "Do {{ task }}.", **facts: object) -> PhaseSpec:
    """Return a phase of one try."""
    given: dict[str, object] = {"task_type": TaskType.CHAT, "retries": 0, "max_tokens": 100}
    return PhaseSpec(name=name, prompt=prompt, **{**given, **facts})  # type: ignore[arg-type]


def run_of(*phases: PhaseSpec, **facts: object) -> RunSpec:
    """Return a run of these phases."""
    agent = AgentSpec(
        name="test_agent", description="Tests.", phases=phases, single=phase("answer")
    )
    given: dict[str, object] = {
        "id": "run_1",
        "agent": agent,
        "task": "the task",
        "parameters": {},
        "strategy": Strategy.MULTI_MODEL,
        "strategy_reason": "test",
        "phases": phases,
        "complexity": TaskComplexity.MEDIUM,
        "budget": Budget(),
    }
    return RunSpec(**{**given, **facts})  # type: ignore[arg-type]


@cache
def _classifier() -> TaskClassifier:
    weights = files("ymera.routing").joinpath("data", "task_model.bin")
    return TaskClassifier.from_bytes(weights.read_bytes())


@dataclass
class RoutedStage(Stage):
    """A `Stage` whose requests are routed for real; models are called `<provider>/m`."""

    schemas: bool = True
    max_cost_usd: Decimal = Decimal(0)
    snapshot: Snapshot | None = None

    def router(self) -> Router:
        """Return the router over the scripted models."""
        models = tuple(model(name, free=self.free) for name in self.providers)
        if self.schemas:
            models = tuple(msgspec.structs.replace(each, json_schema=True) for each in models)
        return Router(
            catalog=load(),
            snapshot=lambda: self.snapshot or Snapshot(models=models),
            classifier=_classifier(),
            default_complexity=TaskComplexity.MEDIUM,
            prefer_free=True,
            max_cost_usd=self.max_cost_usd,
            max_retries=3,
        )

    def _route(
        self, request: ChatRequest, *, explain: bool, stays_with: str | None = None
    ) -> RoutePlan:
        return self.router()(request, explain=explain, stays_with=stays_with)


@dataclass
class Cast:
    """Carries out runs phase by phase.

    Attributes:
        models: scripted models by provider name; the first of the alphabet is asked first.
        told: what the runner reported.
    """

    models: Mapping[str, ScriptedProvider]
    ask: Ask | None = None
    ask_with_tools: AskWithTools | None = None
    context_tokens: int = 4096
    stage: RoutedStage = field(init=False)
    told: list[dict[str, object]] = field(default_factory=list)
    ledger: BudgetLedger = field(init=False)

    def __post_init__(self) -> None:
        self.stage = RoutedStage(self.models, max_input_length=1_000_000)

    def runner(self) -> PhaseRunner:
        """Return what carries out phases."""
        gateway = self.stage.gateway()
        return PhaseRunner(
            ask=self.ask or PhaseCalls(lambda: gateway),
            ask_with_tools=self.ask_with_tools,
            clock=self.stage.time.clock(),
            context_tokens=lambda _spec, _phase: self.context_tokens,
        )

    async def play(
        self, spec: RunSpec, outcomes: Mapping[str, PhaseOutcome] | None = None
    ) -> dict[str, PhaseOutcome]:
        """Carry out the phases in order and return how each ended."""
        runner = self.runner()
        self.ledger = BudgetLedger(spec.budget, monotonic=self.stage.time.clock().monotonic)
        ended = dict(outcomes or {})
        for each in spec.phases:
            if each.name not in ended:
                ended[each.name] = await runner.run(spec, each, ended, self.ledger, self._tell)
        return ended

    def asked(self, name: str) -> list[ChatRequest]:
        """Return what a model was asked."""
        return self.models[name].requests

    def _tell(self, kind: str, facts: Mapping[str, object]) -> None:
        self.told.append({"kind": kind, **facts})


def states(outcomes: Mapping[str, PhaseOutcome]) -> dict[str, PhaseState]:
    """Return the state of each phase."""
    return {name: outcome.state for name, outcome in outcomes.items()}


def text_of(outcome: PhaseOutcome) -> str:
    """Return the artefact's text."""
    assert outcome.artefact is not None, outcome.error
    return outcome.artefact.text
