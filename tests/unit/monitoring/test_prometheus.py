"""What Prometheus reads is what the dashboard shows."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.records import ALICE, answered, record
from ymera.core.tool import ToolUse
from ymera.monitoring.collector import MetricsCollector
from ymera.monitoring.prometheus import Exposition

LABELS = {
    "agent",
    "code",
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_response_model",
    "gen_ai_token_type",
    "le",
    "model",
    "outcome",
    "provider",
    "tool",
    "version",
}


@pytest.fixture
def metrics() -> MetricsCollector:
    made = MetricsCollector()
    use = ToolUse(name="calculator", source="builtin", ok=False, error_code="timeout")
    for number in range(7):
        made.emit(answered(f"req-{number}", latency_s=0.02 * 2**number))
    made.emit(answered(model_id='odd/"name"\n', provider="odd", usage=None, cost_usd=None))
    made.emit(answered(error_code="provider_error", tools=(use,), run_id="run-secret"))
    made.emit(record(error_code="no_route"))
    made.emit(answered(cached=True, attempts=()))
    return made


def samples(metrics: MetricsCollector) -> list[tuple[str, dict[str, str], float]]:
    text = Exposition(metrics, version="1.2.3").write()[0].decode()
    return [
        (sample.name, sample.labels, sample.value)
        for family in parse(text)
        for sample in family.samples
    ]


def total(metrics: MetricsCollector, name: str, **labels: str) -> float:
    return sum(
        value
        for found, has, value in samples(metrics)
        if found == name and labels.items() <= has.items()
    )


@pytest.mark.proves("metrics.prometheus")
def test_prometheus_and_the_dashboard_agree(metrics: MetricsCollector) -> None:
    now = metrics.snapshot()
    assert total(metrics, "ymera_requests_total") == now.requests == 11
    assert total(metrics, "ymera_requests_total", outcome="success") == now.succeeded
    assert total(metrics, "ymera_request_duration_seconds_count") == now.requests
    assert total(metrics, "ymera_request_errors_total") == now.failed
    assert total(metrics, "ymera_agent_requests_total", agent="direct") == now.agents["direct"]
    assert total(metrics, "ymera_cost_unknown_answers_total") == now.cost_unknown == 1
    assert math.isclose(total(metrics, "ymera_cost_usd_total"), float(now.cost_usd))
    assert now.cost_usd == Decimal("0.001234") * 8
    assert total(metrics, "ymera_cache_hits_total") == 1
    assert total(metrics, "ymera_run_requests_total") == 1
    assert total(metrics, "ymera_tool_calls_total", tool="calculator", outcome="failure") == 1
    assert total(metrics, "ymera_upstream_calls_total", model="a/w", outcome="failure") == 9
    answers = sum(each.requests for each in now.answered)
    assert total(metrics, "gen_ai_client_operation_duration_seconds_count") == answers
    tokens = total(metrics, "gen_ai_client_token_usage_sum", gen_ai_token_type="output")
    assert tokens == sum(each.output_tokens.total for each in now.models) == 22 * 8
    assert ("ymera_build_info", {"version": "1.2.3"}, 1.0) in samples(metrics)


@pytest.mark.proves("metrics.prometheus")
def test_histogram_buckets_add_up_and_bounds_are_inclusive(metrics: MetricsCollector) -> None:
    name = "ymera_request_duration_seconds_bucket"
    found = [(has["le"], value) for each, has, value in samples(metrics) if each == name]
    counts = [value for _, value in found]
    assert counts == sorted(counts)
    assert found[-1] == ("+Inf", 11.0)
    assert dict(found)["0.02"] == 2.0  # the one of exactly 0.02 s, and the refused one of 0 s


@pytest.mark.proves("metrics.prometheus")
def test_labels_are_bounded_names_and_never_ids_or_users(metrics: MetricsCollector) -> None:
    found = samples(metrics)
    assert {label for _, has, _ in found for label in has} == LABELS
    text = Exposition(metrics, version="1").write()[0].decode()
    for private in ("req-", "run-secret", ALICE.id):
        assert private not in text
    assert any(has.get("model") == 'odd/"name"\n' for _, has, _ in found)


@pytest.mark.proves("metrics.prometheus")
def test_openmetrics_is_spoken_to_who_asks_for_it(metrics: MetricsCollector) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    body, content_type = Exposition(metrics, version="1").write(accept)
    assert content_type.startswith("application/openmetrics-text")
    parsed = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]
    families = {family.name for family in parsed}
    assert {"ymera_requests", "gen_ai_client_token_usage"} <= families
    assert Exposition(metrics, version="1").write()[1].startswith("text/plain")


def test_two_apps_of_one_process_do_not_mix() -> None:
    one, other = MetricsCollector(), MetricsCollector()
    one.emit(answered())
    assert total(one, "ymera_requests_total") == 1
    assert total(other, "ymera_requests_total") == 0
