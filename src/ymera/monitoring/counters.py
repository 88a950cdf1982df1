"""Running totals of this process, read by the dashboard and the metrics endpoint."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import msgspec

from ymera.core.record import RequestRecord

__all__ = ["Counters", "CountersSnapshot"]


class CountersSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the process started.

    Attributes:
        requests: finished requests; `succeeded` plus `failed`.
        by_model, by_provider: requests by what answered them; unanswered ones are in neither.
        by_error: failed requests by error code.
        input_tokens, output_tokens: of the answers whose usage is known.
        usage_unknown: answers whose usage is not known.
        cost_usd: of the answers whose cost is known (`cost_known`); `cost_unknown` counts the
            others, so that a sum is never taken for the whole.
        latency_s: added up over all requests.
    """

    requests: int
    succeeded: int
    failed: int
    by_model: dict[str, int]
    by_provider: dict[str, int]
    by_error: dict[str, int]
    input_tokens: int
    output_tokens: int
    usage_unknown: int
    cost_usd: Decimal
    cost_known: int
    cost_unknown: int
    latency_s: float


class Counters:
    """Adds up finished requests (an `EventSink`).

    One event loop writes; any thread may take a snapshot, which may then miss part of the request
    being counted at that moment.
    """

    def __init__(self) -> None:
        self._succeeded = 0
        self._failed = 0
        self._by_model: Counter[str] = Counter()
        self._by_provider: Counter[str] = Counter()
        self._by_error: Counter[str] = Counter()
        self._input_tokens = 0
        self._output_tokens = 0
        self._usage_unknown = 0
        self._cost_usd = Decimal(0)
        self._cost_known = 0
        self._cost_unknown = 0
        self._latency_s = 0.0

    def emit(self, record: RequestRecord) -> None:
        """Count one request."""
        self._latency_s += record.latency_s
        if record.error_code is None:
            self._succeeded += 1
        else:
            self._failed += 1
            self._by_error[record.error_code] += 1
        if record.model_id is not None:
            self._count_answer(record, record.model_id)

    async def close(self) -> None:
        """Do nothing: totals live as long as the process."""

    def snapshot(self) -> CountersSnapshot:
        """Return the totals as they stand."""
        return CountersSnapshot(
            requests=self._succeeded + self._failed,
            succeeded=self._succeeded,
            failed=self._failed,
            by_model=dict(self._by_model),
            by_provider=dict(self._by_provider),
            by_error=dict(self._by_error),
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
            usage_unknown=self._usage_unknown,
            cost_usd=self._cost_usd,
            cost_known=self._cost_known,
            cost_unknown=self._cost_unknown,
            latency_s=self._latency_s,
        )

    def _count_answer(self, record: RequestRecord, model_id: str) -> None:
        self._by_model[model_id] += 1
        if record.provider is not None:
            self._by_provider[record.provider] += 1
        if record.usage is None:
            self._usage_unknown += 1
        else:
            self._input_tokens += record.usage.input_tokens
            self._output_tokens += record.usage.output_tokens
        if record.cost_usd is None:
            self._cost_unknown += 1
        else:
            self._cost_known += 1
            self._cost_usd += record.cost_usd
