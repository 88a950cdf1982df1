"""The document's metrics collector: its keys, its rules, and counts that are exact."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.support.records import NOON, answered, record
from ymera.core.errors import InvalidRequest
from ymera.core.record import Attempt
from ymera.core.tool import ToolUse
from ymera.monitoring.collector import MAX_NAMES, OTHER, MetricsCollector

DOCUMENT_KEYS = {
    "overview": {"total_requests", "success_rate", "error_rate"},
    "performance": {
        "avg_response_time",
        "p50_response_time",
        "p95_response_time",
        "p99_response_time",
    },
    "usage": {"top_models", "top_agents"},
}


def dashboard(metrics: MetricsCollector) -> dict[str, Any]:
    """Return the dashboard as a program in another language would read it."""
    decoded: dict[str, Any] = json.loads(json.dumps(metrics.get_dashboard_data()))
    return decoded


@pytest.mark.proves("metrics.document-keys", "document.dashboard-keys")
def test_the_dashboard_of_nothing_has_every_key_and_zeros() -> None:
    data = dashboard(MetricsCollector())
    for section, keys in DOCUMENT_KEYS.items():
        assert keys <= set(data[section])
    assert data["overview"]["total_requests"] == 0
    assert data["overview"]["success_rate"] == data["overview"]["error_rate"] == 0
    assert set(data["performance"].values()) == {0}
    assert data["usage"]["top_models"] == data["usage"]["top_agents"] == []
    assert data["errors"] == {}


@pytest.mark.proves("metrics.document-keys", "document.dashboard-keys")
def test_the_documents_calls_give_the_documents_dashboard() -> None:
    metrics = MetricsCollector()
    for number in range(3):
        metrics.record_request("coding_agent", "gpt-x", "openai", True, 1.0 + number)
    metrics.record_request("test_agent", "claude-y", "anthropic", False, 2.0, "timeout")
    metrics.record_request("test_agent", "claude-y", "anthropic", False, 2.0)
    data = dashboard(metrics)
    assert data["overview"]["total_requests"] == 5
    assert data["overview"]["success_rate"] == 0.6
    assert data["overview"]["error_rate"] == 0.4
    assert data["performance"]["avg_response_time"] == 2.0
    assert data["performance"]["p50_response_time"] == 2.0
    assert data["usage"]["top_models"] == [["openai:gpt-x", 3], ["anthropic:claude-y", 2]]
    assert data["usage"]["top_agents"] == [["coding_agent", 3], ["test_agent", 2]]
    assert data["errors"] == {"timeout": 1}


@pytest.mark.proves("metrics.document-keys")
@pytest.mark.parametrize(
    ("count", "p95", "p99"), [(20, 0, 0), (21, 1, 0), (100, 1, 0), (101, 1, 1)]
)
@pytest.mark.proves("document.metrics-times")
def test_the_high_percentiles_wait_for_enough_samples(count: int, p95: float, p99: float) -> None:
    metrics = MetricsCollector()
    for _ in range(count):
        metrics.record_request("a", "m", "p", True, 1.0)
    performance = dashboard(metrics)["performance"]
    assert (performance["p95_response_time"], performance["p99_response_time"]) == (p95, p99)


@pytest.mark.proves("metrics.document-keys")
def test_the_top_lists_hold_five() -> None:
    metrics = MetricsCollector()
    for number in range(9):
        for _ in range(number + 1):
            metrics.record_request(f"agent{number}", f"m{number}", "p", True, 0.1)
    usage = dashboard(metrics)["usage"]
    assert usage["top_models"] == [[f"p:m{n}", n + 1] for n in (8, 7, 6, 5, 4)]
    assert usage["top_agents"] == [[f"agent{n}", n + 1] for n in (8, 7, 6, 5, 4)]


@pytest.mark.proves("engine.metrics", "core.unknown-cost", "document.metrics-cost")
async def test_every_record_is_counted_with_what_it_tells() -> None:
    metrics = MetricsCollector()
    use = ToolUse(name="calculator", source="builtin", ok=True)
    failed_use = ToolUse(name="calculator", source="builtin", ok=False, error_code="timeout")
    metrics.emit(answered(tools=(use, failed_use), run_id="run-1"))
    metrics.emit(answered(model_id="b/z", provider="b", usage=None, cost_usd=None, agent=None))
    metrics.emit(answered(model_id="b/z", provider="b", error_code="provider_error"))
    metrics.emit(record(error_code="no_route", latency_s=0.1))
    metrics.emit(answered(attempts=(), cached=True, cost_usd=Decimal(0)))
    await metrics.close()
    data = dashboard(metrics)
    assert data["overview"]["total_requests"] == 5
    assert data["overview"]["successful_requests"] == 3
    assert data["overview"]["failed_requests"] == 2
    assert data["usage"]["top_models"] == [["local:tiny", 2], ["b:z", 2]]
    assert data["usage"]["top_agents"] == [["coding_agent", 3], ["direct", 2]]
    assert data["usage"]["run_requests"] == 1
    assert data["usage"]["cache_hits"] == 1
    assert data["errors"] == {"provider_error": 1, "no_route": 1}
    assert data["cost"] == {
        "known_usd": "0.002468",
        "answers_with_known_cost": 2,
        "answers_with_unknown_cost": 1,
    }
    assert data["tokens"] == {"input": 22, "output": 44, "answers_with_unknown_usage": 1}
    assert data["tools"] == {"calculator": {"calls": 2, "failed": 1}}
    calls = {
        each.model: (each.calls_succeeded, each.calls_failed) for each in metrics.snapshot().models
    }
    assert calls["a/w"] == (0, 3)
    assert calls["local/tiny"] == (3, 0)


@pytest.mark.proves("engine.hedging")
def test_a_call_that_was_given_up_says_nothing_of_its_model() -> None:
    metrics = MetricsCollector()
    answer = answered()
    last = answer.attempts[-1]
    given_up = msgspec.structs.replace(last, error_code="cancelled")
    metrics.emit(msgspec.structs.replace(answer, attempts=(given_up, last)))
    (totals,) = metrics.snapshot().models
    assert (totals.calls_succeeded, totals.calls_failed) == (1, 0)


@pytest.mark.proves("document.metrics-rate")
def test_the_last_minute_is_counted_by_the_clock() -> None:
    now = 100.0
    metrics = MetricsCollector(monotonic=lambda: now)
    metrics.record_request("a", "m", "p", True, 0.1)
    now = 130.0
    metrics.record_request("a", "m", "p", True, 0.1)
    assert metrics.snapshot().last_minute == 2
    now = 160.0
    assert metrics.snapshot().last_minute == 1
    now = 500.0
    assert metrics.snapshot().last_minute == 0


def test_a_snapshot_does_not_change_afterwards() -> None:
    metrics = MetricsCollector()
    metrics.emit(answered())
    before = metrics.snapshot()
    (tiny,) = before.answered
    metrics.emit(answered())
    assert before.requests == tiny.duration_s.count == tiny.input_tokens.count == 1
    assert before.duration_s.count == 1
    assert before.agents == {"coding_agent": 1}


@pytest.mark.parametrize("time_s", [-0.1, float("nan"), float("inf")])
def test_a_time_that_cannot_be_is_refused_and_not_counted(time_s: float) -> None:
    metrics = MetricsCollector()
    with pytest.raises(InvalidRequest):
        metrics.record_request("a", "m", "p", True, time_s)
    assert metrics.snapshot().requests == 0


@pytest.mark.proves("metrics.bounded")
def test_names_beyond_the_bound_share_a_row_and_no_request_is_lost() -> None:
    metrics = MetricsCollector()
    many = 2 * MAX_NAMES
    for n in range(many):
        metrics.record_request(f"agent{n}", f"m{n}", "p", False, 0.1, f"error{n}")
        call = Attempt(model_id=f"x{n}", provider="q", started_at=NOON, latency_s=0.1)
        use = ToolUse(name=f"t{n}", source="builtin", ok=True)
        metrics.emit(answered(attempts=(call,), tools=(use,)))
    now = metrics.snapshot()
    assert now.requests == 2 * many
    assert len(now.models) == len(now.agents) == len(now.tools) == len(now.errors) == MAX_NAMES + 1
    assert sum(now.agents.values()) == 2 * many
    assert now.errors[OTHER] == many - MAX_NAMES
    assert sum(ok for ok, _ in now.tools.values()) == many


@pytest.mark.proves("metrics.exact")
def test_64_threads_lose_no_count() -> None:
    metrics = MetricsCollector()
    start = threading.Barrier(64)

    def work() -> None:
        start.wait(30)
        for number in range(50):
            metrics.emit(answered() if number % 5 else record(error_code="no_route"))

    threads = [threading.Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = metrics.snapshot()
    assert (now.requests, now.succeeded, now.failed) == (3_200, 2_560, 640)
    assert now.errors == {"no_route": 640}
    assert now.duration_s.count == 3_200
    assert 1_000 <= now.latency.samples < 2_000
    (tiny,) = now.answered
    assert tiny.cost_usd == Decimal("0.001234") * 2_560
    assert tiny.input_tokens.total == 11 * 2_560


@pytest.mark.proves("metrics.lazy")
def test_a_process_of_few_requests_loads_no_sketch_library() -> None:
    script = (
        "import sys; from ymera.monitoring.collector import MetricsCollector;"
        "m = MetricsCollector();"
        "[m.record_request('a', 'm', 'p', True, 0.1) for _ in range(100)];"
        "m.get_dashboard_data();"
        "print('ddsketch' in sys.modules, 'prometheus_client' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "False"]
