"""What is counted, added up; one set of numbers for the dashboard and for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import msgspec

from ymera.core.record import RequestRecord
from ymera.monitoring.latency import LatencySummary

__all__ = [
    "DURATION_BOUNDS_S",
    "TOKEN_BOUNDS",
    "Histogram",
    "MetricsSnapshot",
    "ModelTotals",
    "merged",
]

# Bucket bounds as OpenTelemetry's conventions for generative AI advise.
DURATION_BOUNDS_S = tuple(0.01 * 2**step for step in range(14))
TOKEN_BOUNDS = tuple(float(4**step) for step in range(14))


@dataclass(kw_only=True, slots=True)
class Histogram:
    """Counts of values by bucket.

    Attributes:
        bounds: upper bounds, inclusive, rising; a last bucket takes what is above them.
        counts: values in each bucket, not added up; one more than `bounds`.
        total: sum of the values.
    """

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self.counts)

    def copy(self) -> Histogram:
        """Return one that does not change with this one."""
        return Histogram(bounds=self.bounds, counts=list(self.counts), total=self.total)


def merged(durations: Iterable[Histogram]) -> Histogram:
    """Return what histograms of durations add up to."""
    whole = _durations()
    for each in durations:
        whole.counts = [mine + its for mine, its in zip(whole.counts, each.counts, strict=True)]
        whole.total += each.total
    return whole


def _durations() -> Histogram:
    return Histogram(bounds=DURATION_BOUNDS_S)


def _tokens() -> Histogram:
    return Histogram(bounds=TOKEN_BOUNDS)


@dataclass(kw_only=True, slots=True)
class ModelTotals:
    """Totals of one model; of the requests that no model answered where both names are empty.

    Attributes:
        provider, model: names.
        succeeded, failed: finished requests that it answered, whole or in part.
        calls_succeeded, calls_failed: upstream calls; those that were given up are in neither.
        usage_unknown: answers whose usage is not known.
        cost_usd: of the answers whose cost is known (`cost_known`); `cost_unknown` counts the
            others. Answers from the cache cost nothing and use no tokens: they are in none.
        duration_s: of its requests. ttft_s: of its streamed answers.
        input_tokens, output_tokens: per answer.
    """

    provider: str
    model: str
    succeeded: int = 0
    failed: int = 0
    calls_succeeded: int = 0
    calls_failed: int = 0
    usage_unknown: int = 0
    cost_usd: Decimal = Decimal(0)
    cost_known: int = 0
    cost_unknown: int = 0
    duration_s: Histogram = field(default_factory=_durations)
    ttft_s: Histogram = field(default_factory=_durations)
    input_tokens: Histogram = field(default_factory=_tokens)
    output_tokens: Histogram = field(default_factory=_tokens)

    @property
    def requests(self) -> int:
        """Finished requests."""
        return self.succeeded + self.failed

    def count(self, *, success: bool, latency_s: float) -> None:
        """Count one finished request."""
        if success:
            self.succeeded += 1
        else:
            self.failed += 1
        self.duration_s.add(latency_s)

    def count_answer(self, record: RequestRecord) -> None:
        """Count tokens, money and time to the first token of an answer."""
        if record.ttft_s is not None:
            self.ttft_s.add(record.ttft_s)
        if record.cached:
            return
        if record.usage is None:
            self.usage_unknown += 1
        else:
            self.input_tokens.add(record.usage.input_tokens)
            self.output_tokens.add(record.usage.output_tokens)
        if record.cost_usd is None:
            self.cost_unknown += 1
        else:
            self.cost_known += 1
            self.cost_usd += record.cost_usd

    def copy(self) -> ModelTotals:
        """Return totals that do not change with these."""
        return replace(
            self,
            duration_s=self.duration_s.copy(),
            ttft_s=self.ttft_s.copy(),
            input_tokens=self.input_tokens.copy(),
            output_tokens=self.output_tokens.copy(),
        )


class MetricsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is counted, at one moment; nothing in it changes afterwards.

    Attributes:
        models: totals by provider and model; what nothing answered is under two empty names.
        agents: requests by agent; those of none are under "direct".
        errors: failed requests by error code.
        tools: calls by tool: how many worked and how many failed.
        cache_hits: requests answered from the cache.
        run_requests: requests that were phases of runs.
        last_minute: requests that finished within the last 60 seconds.
        latency: of the last requests.
        duration_s: of all requests.
    """

    models: tuple[ModelTotals, ...]
    agents: dict[str, int]
    errors: dict[str, int]
    tools: dict[str, tuple[int, int]]
    cache_hits: int
    run_requests: int
    last_minute: int
    latency: LatencySummary
    duration_s: Histogram

    @property
    def succeeded(self) -> int:
        """Requests that were answered."""
        return sum(each.succeeded for each in self.models)

    @property
    def failed(self) -> int:
        """Requests that ended in an error."""
        return sum(each.failed for each in self.models)

    @property
    def requests(self) -> int:
        """Finished requests."""
        return self.succeeded + self.failed

    @property
    def answered(self) -> tuple[ModelTotals, ...]:
        """Totals of the models that answered anything."""
        return tuple(each for each in self.models if each.model and each.requests)

    @property
    def cost_usd(self) -> Decimal:
        """Money of the answers whose cost is known."""
        return sum((each.cost_usd for each in self.models), Decimal(0))

    @property
    def cost_known(self) -> int:
        """Answers whose cost is known."""
        return sum(each.cost_known for each in self.models)

    @property
    def cost_unknown(self) -> int:
        """Answers whose cost is not known."""
        return sum(each.cost_unknown for each in self.models)
