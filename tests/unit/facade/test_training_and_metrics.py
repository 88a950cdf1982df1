"""The document's `TrainingManager` and `MetricsCollector`, alone and over the running process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core_services.ai_mcp.monitoring import metrics_collector as document_metrics
from core_services.ai_mcp.training import training_manager as document_training
from tests.support.server import SCRIPTED
from ymera.core.errors import InvalidRequest
from ymera.core.task import TaskType
from ymera.facade.ai_orchestrator import AIRequest, get_orchestrator
from ymera.facade.metrics_collector import MetricsCollector, get_metrics_collector
from ymera.facade.shared import forget_shared_app
from ymera.facade.training_manager import TrainingManager, get_training_manager


@pytest.fixture
async def scripted(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    yield
    await forget_shared_app()


@pytest.mark.proves("document.paths")
def test_the_documents_paths_give_the_same_objects() -> None:
    assert document_training.TrainingManager is TrainingManager
    assert document_training.get_training_manager is get_training_manager
    assert document_metrics.MetricsCollector is MetricsCollector
    assert document_metrics.get_metrics_collector is get_metrics_collector


@pytest.mark.proves("document.training", "learning.formula", "document.training-record")
async def test_executions_and_ratings_make_the_documents_scores() -> None:
    manager = TrainingManager()
    assert manager.learning_rate == 0.1
    assert manager.performance_matrix == {}
    assert manager.get_optimized_model_scores("a", "t", ["x", "y"]) == {"x": 0.5, "y": 0.5}
    await manager.record_execution("a", "t", "x", True, 2.0, user_rating=4.0)
    await manager.record_execution("a", "t", "x", False, 12.0)
    assert manager.performance_matrix == {
        "a:t:x": {
            "executions": 2,
            "successes": 1,
            "avg_time": pytest.approx(0.1 * 12 + 0.9 * 2),
            "avg_rating": 4.0,
            "ratings": 1,
        }
    }
    scores = manager.get_optimized_model_scores("a", "t", ["x", "y"])
    assert scores == {"x": pytest.approx(0.4 * 0.5 + 0.3 / 4 + 0.3 * 0.8), "y": 0.5}
    other = manager.get_optimized_model_scores("b", "t", ["x"])
    assert other == {"x": 0.5}


@pytest.mark.proves("document.training")
async def test_two_managers_made_alone_know_nothing_of_each_other() -> None:
    one, other = TrainingManager(), TrainingManager()
    one.learning_rate = 0.5
    await one.record_execution("a", TaskType.CHAT, "local/x:7b", True, 1.0)
    await one.record_execution("a", "chat", "local/x:7b", True, 3.0)
    assert one.performance_matrix["a:chat:local/x:7b"]["avg_time"] == 2.0
    assert other.performance_matrix == {}
    assert other.learning_rate == 0.1


@pytest.mark.proves("document.training")
@pytest.mark.parametrize(
    ("time_s", "rating"), [(-1.0, None), (float("nan"), None), (1.0, 6.0), (1.0, -1.0), (1.0, 0.5)]
)
async def test_what_cannot_be_is_refused_and_teaches_nothing(
    time_s: float, rating: float | None
) -> None:
    manager = TrainingManager()
    with pytest.raises(InvalidRequest):
        await manager.record_execution("a", "t", "x", True, time_s, rating)
    assert manager.performance_matrix == {}


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, float("nan")])
def test_a_learning_rate_that_makes_no_average_is_refused(rate: float) -> None:
    manager = TrainingManager()
    with pytest.raises(InvalidRequest):
        manager.learning_rate = rate
    assert manager.learning_rate == 0.1


@pytest.mark.proves("document.training", "document.metrics", "learning.every-request")
@pytest.mark.usefixtures("scripted")
async def test_the_processes_own_ones_share_what_its_requests_teach() -> None:
    manager = get_training_manager()
    request = AIRequest(task_id="1", task_type=TaskType.CHAT, prompt="Say hello")
    assert (await get_orchestrator().execute(request)).success
    await asyncio.sleep(0)  # its record reaches the sinks when the reply has left
    await manager.record_execution("direct", "chat", "stage/actor", True, 1.0, 5.0)
    row = manager.performance_matrix["direct:chat:stage/actor"]
    assert (row["executions"], row["avg_rating"]) == (2, 5.0)
    assert get_training_manager() is manager
    plan = get_orchestrator().route(request)
    assert plan.candidates[0].terms["experience"] > 0

    metrics = get_metrics_collector()
    assert metrics is get_metrics_collector()
    overview = metrics.get_dashboard_data()["overview"]
    assert isinstance(overview, dict)
    assert overview["total_requests"] == 1
    await forget_shared_app()
    assert manager.performance_matrix["direct:chat:stage/actor"]["executions"] == 2  # it was kept
