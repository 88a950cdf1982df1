"""The document's executor and the short way to a run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import ymera
from core_services.ai_mcp.multi_model_executor import get_multi_model_executor
from tests.support.runs import give_agent
from tests.support.server import SCRIPTED
from ymera.core.errors import InvalidRequest, UnknownModel
from ymera.facade.shared import forget_shared_app


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    give_agent(Path(os.environ["XDG_CONFIG_HOME"]))
    yield
    asyncio.run(forget_shared_app())


@pytest.mark.proves("runs.document", "runs.any-loop")
def test_the_documents_executor_does_a_task_in_one_event_loop_after_another() -> None:
    executor = get_multi_model_executor()
    for strategy, phases in (("multi_model", 3), ("single_model", 1)):
        result = asyncio.run(
            executor.execute_with_multi_model(
                agent_name="poet",
                task_description="the sea",
                task_parameters={"metre": "iambic"},
                strategy=strategy,
            )
        )
        assert result.strategy_type == strategy
        assert (result.successful_phases, result.failed_phases) == (phases, 0)
        assert len(result.phases) == phases
        assert result.cost == 0
        assert result.models_used == ("stage/actor",)
        assert "the sea" in result.result
    asyncio.run(executor.initialize())


@pytest.mark.proves("runs.document")
async def test_what_cannot_be_begun_says_why_before_any_call() -> None:
    executor = get_multi_model_executor()
    with pytest.raises(UnknownModel, match="nobody"):
        await executor.execute_with_multi_model("nobody", "the sea")
    with pytest.raises(InvalidRequest, match="rhyme"):
        await executor.execute_with_multi_model("poet", "the sea", {"rhyme": "yes"})


@pytest.mark.proves("runs.document")
async def test_the_short_way_does_the_same() -> None:
    async with ymera.connect() as ai:
        result = await ai.run("the sea", agent="poet", strategy="single_model")
    assert isinstance(result, ymera.RunResult)
    assert result.result == "You asked: One poem about the sea"


@pytest.mark.proves("runs.document")
def test_the_blocking_twin_does_the_same() -> None:
    with ymera.connect_sync() as ai:
        result = ai.run("the sea", agent="poet", strategy="multi_model")
    assert (result.state.value, result.successful_phases) == ("done", 3)
