"""The document's multi-model test with two real models: the router gives each phase its own."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from core_services.ai_mcp.multi_model_executor import RunResult, get_multi_model_executor
from tests.support import local_model
from tests.support.local_model import LARGER, SMALL
from tests.support.scenario import records, stored_plan
from ymera.facade.shared import forget_shared_app
from ymera.phases.types import PhaseState

pytestmark = [pytest.mark.full, pytest.mark.proves("document.two-models")]


@pytest.fixture(scope="module")
def dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return models directories with one model, the other, and both."""
    made = {name: tmp_path_factory.mktemp("models") for name in ("both", "small", "larger")}
    for name, models in (("both", (SMALL, LARGER)), ("small", (SMALL,)), ("larger", (LARGER,))):
        for model in models:
            local_model.linked(made[name], model)
    return made


@pytest.fixture(autouse=True)
def closed_app() -> Iterator[None]:
    yield
    asyncio.run(forget_shared_app())


def create_a_rest_api() -> RunResult:
    """Do what the document's own test does."""

    async def run() -> RunResult:
        result = await get_multi_model_executor().execute_with_multi_model(
            agent_name="coding_agent",
            task_description="Create a REST API",
            task_parameters={"language": "python"},
        )
        await forget_shared_app()
        return result

    return asyncio.run(run())


def assert_it_is_a_python_program_for_nothing(result: RunResult) -> None:
    assert (result.strategy_type, result.failed_phases) == ("multi_model", 0)
    assert result.successful_phases == len(result.phases) > 3
    assert result.cost == 0
    assert ast.parse(result.result).body


def test_each_phase_goes_to_the_model_that_is_best_for_it(
    dirs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(dirs["both"]))
    result = create_a_rest_api()
    assert_it_is_a_python_program_for_nothing(result)
    assert set(result.models_used) == {SMALL, LARGER}
    assert result.phases["plan"].model == SMALL  # wants speed
    assert result.phases["generate"].model == LARGER  # wants code
    assert result.phases["review"].model != result.phases["generate"].model
    by_id = {str(row["id"]): row for row in records()}
    for outcome in result.phases.values():
        for request_id in outcome.request_ids:  # the reason stands in the records, too
            candidates = stored_plan(by_id[request_id])["candidates"]
            assert {each["model_id"] for each in candidates} == {SMALL, LARGER}
        if outcome.request_ids:
            asked = stored_plan(by_id[outcome.request_ids[-1]])["candidates"]
            assert outcome.reason in {each["reason"] for each in asked}
            assert outcome.model in {SMALL, LARGER}


@pytest.mark.parametrize(("left", "model"), [("small", SMALL), ("larger", LARGER)])
def test_without_one_model_its_phases_go_to_the_other(
    dirs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, left: str, model: str
) -> None:
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(dirs[left]))
    result = create_a_rest_api()
    assert_it_is_a_python_program_for_nothing(result)
    assert result.models_used == (model,)
    asked = {each.model for each in result.phases.values() if each.state is PhaseState.DONE}
    assert asked <= {model, None}
    assert {row["model_id"] for row in records()} == {model}
