"""The numbers of `MetricsCollector` in the Prometheus text formats. Import it lazily.

Names follow OpenTelemetry's conventions for generative AI where these have one (`gen_ai_client_*`,
version 1.41); the others begin with `ymera_`. Labels are names of models, providers, agents,
tools and error codes, which the collector bounds; never ids, users or texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from ymera.monitoring.collector import MetricsCollector
from ymera.monitoring.totals import Histogram, MetricsSnapshot, ModelTotals

__all__ = ["Exposition"]

_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_response_model")
_OPERATION = "chat"
_BY_MODEL = ("provider", "model")


class Exposition:
    """Writes the counters of one collector, in a registry of its own.

    Args:
        metrics: the collector that is read, at each call.
        version: version of Ymera, for `ymera_build_info`.
    """

    def __init__(self, metrics: MetricsCollector, *, version: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Reader(metrics, version))

    def write(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text and its content type.

        Args:
            accept: the request's Accept header; OpenMetrics where it asks for that.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Reader(Collector):
    """Turns one snapshot into families of samples, so that they all belong together."""

    def __init__(self, metrics: MetricsCollector, version: str) -> None:
        self._metrics = metrics
        self._version = version

    def collect(self) -> Iterator[Metric]:
        now = self._metrics.snapshot()
        yield from _of_requests(now)
        yield from _of_calls(now.models)
        yield from _of_answers([each for each in now.models if each.model])
        yield from _of_parts(now)
        build = GaugeMetricFamily("ymera_build_info", "Version of Ymera.", labels=("version",))
        build.add_metric((self._version,), 1)
        yield build


def _of_requests(now: MetricsSnapshot) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "ymera_requests",
        "Finished requests; provider and model are empty where none answered.",
        labels=(*_BY_MODEL, "outcome"),
    )
    for each in now.models:
        if each.requests:
            requests.add_metric((each.provider, each.model, "success"), each.succeeded)
            requests.add_metric((each.provider, each.model, "failure"), each.failed)
    yield requests
    yield HistogramMetricFamily(
        "ymera_request_duration_seconds",
        "Seconds from a request's arrival to the last byte of its answer.",
        buckets=_buckets(now.duration_s),
        sum_value=now.duration_s.total,
    )
    yield _counted("ymera_request_errors", "Failed requests by error code.", "code", now.errors)
    yield _counted("ymera_agent_requests", "Requests by agent.", "agent", now.agents)


def _of_calls(models: Iterable[ModelTotals]) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "ymera_upstream_calls",
        "Calls to models, fallbacks included.",
        labels=(*_BY_MODEL, "outcome"),
    )
    for each in models:
        if each.calls_succeeded or each.calls_failed:
            calls.add_metric((each.provider, each.model, "success"), each.calls_succeeded)
            calls.add_metric((each.provider, each.model, "failure"), each.calls_failed)
    yield calls


def _of_answers(models: Iterable[ModelTotals]) -> Iterator[Metric]:
    duration = HistogramMetricFamily(
        "gen_ai_client_operation_duration_seconds",
        "Seconds of requests that a model answered.",
        labels=_GEN_AI,
    )
    first = HistogramMetricFamily(
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "Seconds to the first piece of a streamed answer.",
        labels=_GEN_AI,
    )
    tokens = HistogramMetricFamily(
        "gen_ai_client_token_usage",
        "Tokens of an answer whose usage is known.",
        labels=(*_GEN_AI, "gen_ai_token_type"),
    )
    cost = CounterMetricFamily(
        "ymera_cost_usd", "Money of the answers whose cost is known.", labels=_BY_MODEL
    )
    unknown = CounterMetricFamily(
        "ymera_cost_unknown_answers", "Answers whose cost is not known.", labels=_BY_MODEL
    )
    for each in models:
        name = (each.provider, each.model)
        labels = (_OPERATION, *name)
        _observed(duration, labels, each.duration_s)
        _observed(first, labels, each.ttft_s)
        _observed(tokens, (*labels, "input"), each.input_tokens)
        _observed(tokens, (*labels, "output"), each.output_tokens)
        if each.requests:
            cost.add_metric(name, float(each.cost_usd))
            unknown.add_metric(name, each.cost_unknown)
    yield from (duration, first, tokens, cost, unknown)


def _of_parts(now: MetricsSnapshot) -> Iterator[Metric]:
    tools = CounterMetricFamily(
        "ymera_tool_calls", "Tool calls by tool.", labels=("tool", "outcome")
    )
    for name, (ok, failed) in now.tools.items():
        tools.add_metric((name, "success"), ok)
        tools.add_metric((name, "failure"), failed)
    yield tools
    yield CounterMetricFamily(
        "ymera_cache_hits", "Requests answered from the cache.", value=now.cache_hits
    )
    yield CounterMetricFamily(
        "ymera_run_requests", "Requests that were phases of runs.", value=now.run_requests
    )


def _counted(name: str, text: str, label: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family


def _observed(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    if histogram.count:
        family.add_metric(labels, _buckets(histogram), histogram.total)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Return the counts added up from bucket to bucket, as Prometheus wants them."""
    below, buckets = 0, []
    for bound, count in zip((*histogram.bounds, math.inf), histogram.counts, strict=True):
        below += count
        buckets.append(("+Inf" if bound == math.inf else repr(bound), float(below)))
    return buckets
