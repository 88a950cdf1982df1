"""The nouns of a run: agent, phases, artefacts, outcomes; all of it data that JSON can hold.

A run is data (`RunSpec`), not decorated code: it can be stored, shown, resumed by another process
and read by a later version. `PLAN_FORMAT` names the format; a run of another one is not resumed.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from ymera.core.access import LOCAL_OWNER, Principal
from ymera.core.task import TaskComplexity, TaskType
from ymera.core.tool import ContextUse, ToolUse
from ymera.core.usage import Usage

__all__ = [
    "PLAN_FORMAT",
    "AgentSpec",
    "Artefact",
    "ArtefactKind",
    "Budget",
    "Check",
    "OutputContract",
    "Parameter",
    "PhaseOutcome",
    "PhaseSpec",
    "PhaseState",
    "RunEvent",
    "RunResult",
    "RunSpec",
    "RunState",
    "Spend",
    "Strategy",
]

PLAN_FORMAT = "1"
"""Version of the stored form of a run; raised when an older run could not be carried on."""


class Strategy(StrEnum):
    """How an agent does a task: in one call, or in phases over several models."""

    SINGLE_MODEL = "single_model"
    MULTI_MODEL = "multi_model"


class ArtefactKind(StrEnum):
    """What a phase hands over. `notes` are prose for later phases: code blocks are left out."""

    TEXT = "text"
    NOTES = "notes"
    MARKDOWN = "markdown"
    JSON = "json"
    CODE = "code"
    SQL = "sql"


class OutputContract(msgspec.Struct, frozen=True, kw_only=True):
    """What a phase's answer has to be; what can be executed is checked.

    Attributes:
        kind: what the artefact is.
        language: of code (`python`, ...); may name a parameter: `{{ parameters.language }}`.
        schema: JSON Schema of a JSON artefact, as JSON text.
        min_chars: shortest artefact that counts as an answer.
    """

    kind: ArtefactKind = ArtefactKind.TEXT
    language: str | None = None
    schema: str | None = None
    min_chars: int = 1


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Most that a run may use; every call reserves its share before it is made.

    Attributes:
        calls: model calls, at least 1.
        tokens: input and output tokens together.
        usd: money; 0 lets free models alone be asked.
        seconds: wall time of the run.
    """

    calls: int = 40
    tokens: int = 200_000
    usd: Decimal = Decimal(0)
    seconds: float = 1800.0


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """What was used. `usd` is None when a part of it is not known."""

    calls: int = 0
    tokens: int = 0
    usd: Decimal | None = Decimal(0)
    seconds: float = 0.0


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A task parameter of an agent."""

    description: str = ""
    required: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()


class PhaseSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of an agent.

    Attributes:
        name: unique in its agent.
        task_type: what the router chooses a model for.
        prompt: Jinja template; knows `task`, `parameters` and `artefacts` (by phase name).
        system: Jinja template of the system prompt; empty for none.
        after: names of the phases whose artefacts this one uses.
        complexity: for the router; None = that of the task.
        model: alias or catalogue id.
        output: what the answer has to be.
        tools: tools the phase may use, by name; `server__*` for all of a server.
        context: MCP servers whose resources may be brought in.
        review_of: the phase whose artefact this one reviews; it goes to another model than made
            that artefact, where there is one. Its artefact is JSON: a verdict and issues.
        revises: the phase whose artefact this one improves by its review. That artefact stands
            as it is when the review finds nothing, and when no revision passes its checks.
        optional: whether the run goes on without it.
        retries: further tries with the same model after a check failed, before another is asked.
        max_tokens: most tokens of the answer; None = the usual length for the task.
        context_tokens: most tokens of the prompt; None = what the runner was told to expect.
        timeout_s: seconds the phase may take.
    """

    name: str
    task_type: TaskType
    prompt: str
    system: str = ""
    after: tuple[str, ...] = ()
    complexity: TaskComplexity | None = None
    model: str = "auto"
    output: OutputContract = OutputContract()
    tools: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    review_of: str | None = None
    revises: str | None = None
    optional: bool = False
    retries: int = 1
    max_tokens: int | None = None
    context_tokens: int | None = None
    timeout_s: float = 600.0


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A profile that turns a task into phases; one TOML file.

    Attributes:
        name: as in the file's name.
        description: one sentence for people.
        phases: of the strategy `multi_model`; they form a DAG, and the last one's artefact is
            the run's result unless `result` names another.
        single: the one phase of the strategy `single_model`.
        strategy: the strategy unless the caller forces one; None = by the task's complexity.
        parameters: what a task may say beside its description, by name.
        budget: most that a run may use unless the caller sets less.
        result: phase whose artefact is the result; None = the last one.
    """

    name: str
    description: str
    phases: tuple[PhaseSpec, ...]
    single: PhaseSpec
    strategy: Strategy | None = None
    parameters: dict[str, Parameter] = {}
    budget: Budget = Budget()
    result: str | None = None


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """What one phase hands to the next: the answer, never a model's reasoning.

    Attributes:
        phase: who made it.
        kind, language: what it is.
        text: the thing itself (JSON encoded, code without its fence).
    """

    phase: str
    kind: ArtefactKind
    text: str
    language: str | None = None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of an artefact. Only checks that are executed decide; a review advises."""

    name: str
    passed: bool
    detail: str = ""
    decides: bool = True


class PhaseState(StrEnum):
    """Where a phase stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class PhaseOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a phase ended; stored once, never made again.

    Attributes:
        state: done, failed or skipped.
        artefact: what it made; None unless done.
        model, provider: what answered at last.
        reason: why the router chose that model, one sentence.
        spend: all tries together.
        usage: tokens of all tries; None when not known.
        checks: of the last try.
        losses: what was cut from its context to fit, one sentence each.
        tools, context: what was used.
        request_ids: records of its calls, in order.
        error_code, error: why it failed.
        started_at, ended_at: UTC.
    """

    phase: str
    state: PhaseState
    artefact: Artefact | None = None
    model: str | None = None
    provider: str | None = None
    reason: str = ""
    spend: Spend = Spend()
    usage: Usage | None = None
    checks: tuple[Check, ...] = ()
    losses: tuple[str, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    context: tuple[ContextUse, ...] = ()
    request_ids: tuple[str, ...] = ()
    error_code: str | None = None
    error: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a process needs to carry a run on.

    Attributes:
        id: `run_` and hexadecimal digits.
        agent: the agent as it was when the run began (not looked up again).
        task: the task's description.
        parameters: by name, defaults filled in.
        strategy, strategy_reason: how it is done and why.
        phases: those of the strategy, in a valid order.
        complexity: of the task.
        budget: most it may use.
        private: only local models and hosts that do not train; artefacts stay in memory, so it
            cannot be resumed.
        principal: who asked.
        format: `PLAN_FORMAT` of the process that made it.
    """

    id: str
    agent: AgentSpec
    task: str
    parameters: dict[str, str]
    strategy: Strategy
    strategy_reason: str
    phases: tuple[PhaseSpec, ...]
    complexity: TaskComplexity
    budget: Budget
    private: bool = False
    principal: Principal = LOCAL_OWNER
    format: str = PLAN_FORMAT

    @property
    def result_phase(self) -> str:
        """Name of the phase whose artefact is the result."""
        named = self.agent.result if self.strategy is Strategy.MULTI_MODEL else None
        return named or self.phases[-1].name


class RunState(StrEnum):
    """Where a run stands. `partial`: it ended with a result, but a phase failed."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a run; `seq` counts from 1 without gaps.

    Attributes:
        kind: `run.started`, `run.resumed`, `phase.started`, `phase.done`, `phase.failed`,
            `phase.skipped`, `phase.retry`, `run.done`, `run.partial`, `run.failed`,
            `run.cancelled`, `run.interrupted` (it rests until it is resumed).
        phase: of events about a phase.
        detail: a few facts, by name.
    """

    seq: int
    at: datetime
    kind: str
    phase: str | None = None
    detail: dict[str, str | int | float | bool | None] = {}


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the document shows it.

    Attributes:
        run_id, agent, state: of the run.
        strategy_type: `single_model` or `multi_model`.
        phases: outcomes by phase name, in plan order; phases not reached are absent.
        result: the result artefact's text; of a partial run without one, the last artefact that
            was made; empty when there is none.
        spend: all phases together.
        private: whether its artefacts were kept in memory only.
        error_code, error: why it is not `done`; names the failed phase.
    """

    run_id: str
    agent: str
    state: RunState
    strategy_type: Strategy
    strategy_reason: str
    phases: dict[str, PhaseOutcome]
    result: str
    spend: Spend
    private: bool = False
    created_at: datetime | None = None
    error_code: str | None = None
    error: str | None = None

    @property
    def successful_phases(self) -> int:
        """How many phases are done."""
        return sum(each.state is PhaseState.DONE for each in self.phases.values())

    @property
    def failed_phases(self) -> int:
        """How many phases failed."""
        return sum(each.state is PhaseState.FAILED for each in self.phases.values())

    @property
    def cost(self) -> Decimal | None:
        """USD; None when a part of it is not known."""
        return self.spend.usd

    @property
    def models_used(self) -> tuple[str, ...]:
        """Ids of the models that made artefacts, each once, in order of first use."""
        made = (each.model for each in self.phases.values() if each.state is PhaseState.DONE)
        return tuple(dict.fromkeys(model for model in made if model is not None))
