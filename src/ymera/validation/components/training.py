"""training: executions change scores by the document's formula, persist, and reach the router."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ymera.core.record import NO_AGENT
from ymera.core.task import TaskType
from ymera.engine.orchestrator import AIRequest
from ymera.facade.training_manager import TrainingManager
from ymera.learning.experience import Experience
from ymera.learning.store import ExperienceFile
from ymera.validation.hosted import HOST, HostedDouble, hosted_only
from ymera.validation.report import Check, Unmet, check

if TYPE_CHECKING:
    from ymera.validation.installation import Installation

__all__ = ["examine"]

_AGENT, _TASK = "coding_agent", "code_generation"
_GOOD, _POOR, _NEW = "a/good", "b/poor", "c/new"
_NEUTRAL = 0.5
_EXECUTIONS = 20


async def examine(installation: Installation) -> AsyncGenerator[Check, None]:
    """Make the checks."""
    yield await check("formula", _formula())
    yield await check("persistence", _persistence(installation))
    yield await check("the router uses it", _routing(installation))
    yield await check("your experience", _own(installation))


async def _taught(manager: TrainingManager) -> None:
    """Teach one model that does well and is rated, and one that fails and is slow."""
    await manager.record_execution(_AGENT, _TASK, _GOOD, True, 1.0, 4.0)
    await manager.record_execution(_AGENT, _TASK, _GOOD, True, 2.0, 5.0)
    await manager.record_execution(_AGENT, _TASK, _POOR, True, 3.0)
    await manager.record_execution(_AGENT, _TASK, _POOR, False, 9.0)


def _expected() -> dict[str, float]:
    """Return the document's formula worked out by hand for `_taught`.

    Averages start at the first observation and move by a tenth: 1.0 -> 1.1 seconds and 4.0 -> 4.1
    stars; 3.0 -> 3.6 seconds.
    """
    good = 0.4 * 2 / 2 + 0.3 * (1 / (1.1 + 1)) + 0.3 * (4.1 / 5)
    poor = 0.4 * 1 / 2 + 0.3 * (1 / (3.6 + 1))
    return {_GOOD: good, _POOR: poor, _NEW: _NEUTRAL}


def _require_scores(manager: TrainingManager) -> dict[str, float]:
    scores = manager.get_optimized_model_scores(_AGENT, _TASK, [_GOOD, _POOR, _NEW])
    for model, expected in _expected().items():
        if not math.isclose(scores[model], expected, rel_tol=1e-9):
            raise Unmet(f"The score of {model} is {scores[model]:.6f}, not {expected:.6f}.")
    return scores


async def _formula() -> str:
    manager = TrainingManager()
    before = manager.get_optimized_model_scores(_AGENT, _TASK, [_GOOD])[_GOOD]
    if before != _NEUTRAL:
        raise Unmet(f"Without history the score is {before}, not {_NEUTRAL}.")
    await _taught(manager)
    scores = _require_scores(manager)
    return f"0.5 became {scores[_GOOD]:.3f} for a good model and {scores[_POOR]:.3f} for a poor one"


async def _persistence(installation: Installation) -> str:
    file = _file_in(installation.directory("ai_performance"))
    first = Experience(file)
    await _taught(TrainingManager(lambda: first))
    await first.close()
    second = Experience(file)
    _require_scores(TrainingManager(lambda: second))
    return f"written to {file.path.name} and read back to the same scores"


async def _routing(installation: Installation) -> str:
    """Experience changes which model real requests go to."""
    request = AIRequest(prompt="Say hello", task_type=TaskType.CHAT, fresh=True)
    keys, flags = hosted_only()
    async with installation.app(flags=flags, keys=keys, providers={HOST: HostedDouble()}) as app:
        first, second = [each.model.id for each in app.orchestrator.route(request).candidates][:2]
        manager = TrainingManager(lambda: app.observing.experience)
        for _ in range(_EXECUTIONS):
            await manager.record_execution(NO_AGENT, TaskType.CHAT, first, False, 30.0, 1.0)
            await manager.record_execution(NO_AGENT, TaskType.CHAT, second, True, 0.3, 5.0)
        now_first = app.orchestrator.route(request).candidates[0]
    if now_first.model.id != second:
        raise Unmet(f"{now_first.model.id} stays before {second}: {now_first.reason}")
    return f"{second} took the place of {first} after {_EXECUTIONS} executions of each"


async def _own(installation: Installation) -> str:
    """What this installation learned so far can be read."""
    file = _file_in(installation.paths.ai_performance)
    if not file.path.exists():
        return "nothing was learned yet"
    rows = await asyncio.to_thread(lambda: len(file.read().rows))
    return f"{rows} rows in {file.path}"


def _file_in(folder: Path) -> ExperienceFile:
    return ExperienceFile(folder, now=lambda: datetime.now(UTC))
