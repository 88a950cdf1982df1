"""multi_model: agents load, a real run of several models is made, stored and accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal
from time import perf_counter
from typing import TYPE_CHECKING

from ymera.phases.types import PhaseState, RunResult, RunState, Strategy
from ymera.validation.embedded import require_embedded
from ymera.validation.report import Check, CheckState, Unchecked, Unmet, check

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.validation.installation import Installation

__all__ = ["DOCUMENT_AGENTS", "examine"]

DOCUMENT_AGENTS = (
    "analysis_agent",
    "code_review_agent",
    "coding_agent",
    "data_analysis_agent",
    "database_agent",
    "documentation_agent",
    "general_agent",
    "research_agent",
    "testing_agent",
)
_AGENT, _TASK, _PARAMETERS = "coding_agent", "Create a REST API", {"language": "python"}
"""The document's own example."""
_MANY = 1000


async def examine(installation: Installation) -> AsyncGenerator[Check, None]:
    """Make the checks."""
    async with installation.app() as app:
        yield await check("agents", _agents(app))
        yield await check("strategies", _strategies(app))
        results: list[RunResult] = []
        made = await check("a real run", _run(app, results))
        yield made
        if made.state is not CheckState.PASSED:
            return
        yield await check("models by phase", _phases(app, results[0]))
        yield await check("the run is stored", _stored(app, results[0]))
        await app.close()  # writes out what is held
        yield await check("records of its calls", _records(app, results[0]))


async def _agents(app: App) -> str:
    agents = app.running.agents
    names = agents.names()
    if missing := [name for name in DOCUMENT_AGENTS if name not in names]:
        raise Unmet(f"There is no {', '.join(missing)}.", hint="Reinstall ymera.")
    phases = sum(len(agents.get(name).phases) for name in names)
    return f"{len(names)} agents with {phases} phases load"


async def _strategies(app: App) -> str:
    forced = app.running.plan(_AGENT, _TASK, _PARAMETERS, strategy=Strategy.SINGLE_MODEL)
    if forced.strategy is not Strategy.SINGLE_MODEL or len(forced.phases) != 1:
        raise Unmet(f"Forced to one model, {len(forced.phases)} phases are planned.")
    if not app.settings.models.enable_multi_model:
        raise Unchecked(
            "You switched off runs of several models.", hint="Set models.enable_multi_model."
        )
    several = app.running.plan(_AGENT, _TASK, _PARAMETERS, strategy=Strategy.MULTI_MODEL)
    if several.strategy is not Strategy.MULTI_MODEL or len(several.phases) < 2:
        raise Unmet(f"{len(several.phases)} phases are planned for several models.")
    chosen = app.running.plan(_AGENT, _TASK, _PARAMETERS)
    return f"{chosen.strategy} for {_TASK!r}: {chosen.strategy_reason}"


async def _run(app: App, results: list[RunResult]) -> str:
    """The document's task on this machine's models; how long it takes is told, not judged."""
    models = require_embedded(app)
    forced = Strategy.MULTI_MODEL if app.settings.models.enable_multi_model else None
    spec = app.running.plan(_AGENT, _TASK, _PARAMETERS, strategy=forced)
    started = perf_counter()
    result = await app.running.service.run(spec)
    seconds = perf_counter() - started
    if result.successful_phases < 1 or not result.result.strip():
        raise Unmet(
            f"No phase succeeded: {result.error}",
            hint=f"Is {models[-1].id} able to answer? `ymera models test {models[-1].id} --live`",
        )
    if result.cost != Decimal(0):
        raise Unmet(f"The run cost {result.cost}, not 0.")
    results.append(result)
    ending = "" if result.state is RunState.DONE else f" It ended {result.state}: {result.error}"
    return (
        f"{result.strategy_type}: {result.successful_phases} of {len(result.phases)} phases, "
        f"{len(result.result)} characters, cost 0, in {seconds:.0f} s (not judged).{ending}"
    )


async def _phases(app: App, result: RunResult) -> str:
    """Each phase that asked a model says which one made its artefact, and why that one."""
    shown: list[str] = []
    for name, outcome in result.phases.items():
        asked = bool(outcome.request_ids)
        if asked and outcome.state is PhaseState.DONE and not (outcome.model and outcome.reason):
            raise Unmet(f"The phase {name} does not say which model made it, and why.")
        by = outcome.model or "no model needed"
        shown.append(f"{name}: {by if outcome.state is PhaseState.DONE else outcome.state}")
    embedded = {model.id for model in require_embedded(app)}
    if strangers := [model for model in result.models_used if model not in embedded]:
        raise Unmet(f"{', '.join(strangers)} was used, which is not on this machine.")
    return ", ".join(shown)


async def _stored(app: App, result: RunResult) -> str:
    service = app.running.service
    again = await service.get(result.run_id)
    if (again.state, again.result) != (result.state, result.result):
        raise Unmet(f"Read back, the run is {again.state} instead of {result.state}.")
    numbers = [event.seq async for event in service.events(result.run_id)]
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        raise Unmet(f"The events of the run are numbered {numbers}.")
    return f"{result.run_id}: {len(numbers)} events without a gap, the same result read back"


async def _records(app: App, result: RunResult) -> str:
    """No call of a run goes around the pipeline: each left a record."""
    asked = {each for outcome in result.phases.values() for each in outcome.request_ids}
    stored = {each.id for each in await asyncio.to_thread(app.records.recent, _MANY)}
    if not asked or not asked <= stored:
        raise Unmet(f"{len(asked - stored)} of {len(asked)} calls left no record.")
    return f"{len(asked)} calls, each with its record"
