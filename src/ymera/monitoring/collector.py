"""The document's metrics collector: counts every request of this process."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from ymera.core.errors import InvalidRequest
from ymera.core.record import CANCELLED, NO_AGENT, RequestRecord
from ymera.monitoring.latency import LatencyWindow
from ymera.monitoring.totals import MetricsSnapshot, ModelTotals, merged

__all__ = ["MAX_NAMES", "OTHER", "MetricsCollector"]

MAX_NAMES = 500
"""Names of one kind (models, agents, errors, tools) that are told apart; bounds memory."""

OTHER = "(other)"
"""What is counted under a name too many."""

_TOP = 5
_MINUTE_S = 60


class MetricsCollector:
    """Counts finished requests (an `EventSink`); from any number of threads, none lost.

    Counts are of the whole life of the process; response times are of the last 1,000 to 1,999
    requests (`monitoring.latency`). Memory is bounded: names beyond the first 500 of a kind share
    one row.

    Args:
        monotonic: returns seconds, for the number of requests of the last minute.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._models: dict[tuple[str, str], ModelTotals] = {}
        self._agents: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self._tools: dict[str, list[int]] = {}
        self._cache_hits = 0
        self._run_requests = 0
        self._window = LatencyWindow()
        self._seconds: deque[list[int]] = deque()
        self._second = [-1, 0]  # the last of them

    def record_request(
        self,
        agent_name: str,
        model_used: str,
        provider_used: str,
        success: bool,
        response_time: float,
        error_type: str | None = None,
    ) -> None:
        """Count one request (the document's signature).

        Args:
            agent_name: agent it belongs to.
            model_used: what answered.
            provider_used: where that runs.
            success: whether it was answered.
            response_time: seconds, at least 0.
            error_type: why not.

        Raises:
            InvalidRequest: `response_time` is no number of seconds.
        """
        if not (math.isfinite(response_time) and response_time >= 0):
            raise InvalidRequest(
                f"A response time of {response_time} seconds cannot be.",
                hint="Give a number that is at least 0.",
                param="response_time",
            )
        with self._lock:
            totals = self._totals(provider_used, model_used)
            self._count(totals, agent_name, response_time, success=success, error=error_type)

    def emit(self, record: RequestRecord) -> None:
        """Count one request with everything its record tells."""
        with self._lock:
            totals = self._totals(record.provider or "", record.model_id or "")
            self._count(
                totals,
                record.agent or NO_AGENT,
                record.latency_s,
                success=record.error_code is None,
                error=record.error_code,
            )
            if record.model_id is not None:
                totals.count_answer(record)
            for attempt in record.attempts:
                called = totals
                if attempt.model_id != record.model_id or attempt.provider != record.provider:
                    called = self._totals(attempt.provider, attempt.model_id)
                if attempt.error_code is None:
                    called.calls_succeeded += 1
                elif attempt.error_code != CANCELLED:  # which says nothing of the model
                    called.calls_failed += 1
            for use in record.tools:
                counts = self._tools.setdefault(_name(self._tools, use.name), [0, 0])
                counts[0 if use.ok else 1] += 1
            self._cache_hits += record.cached
            self._run_requests += record.run_id is not None

    async def close(self) -> None:
        """Do nothing: totals live as long as the process."""

    def snapshot(self) -> MetricsSnapshot:
        """Return everything as it stands; no request is counted in part."""
        with self._lock:
            return MetricsSnapshot(
                models=tuple(each.copy() for each in self._models.values()),
                agents=dict(self._agents),
                errors=dict(self._errors),
                tools={name: (ok, failed) for name, (ok, failed) in self._tools.items()},
                cache_hits=self._cache_hits,
                run_requests=self._run_requests,
                last_minute=self._last_minute(),
                latency=self._window.summary(),
                duration_s=merged(each.duration_s for each in self._models.values()),
            )

    def get_dashboard_data(self) -> dict[str, object]:
        """Return the document's dashboard, with more keys; everything in it is JSON.

        Money is text, so that it stays exact; seconds and rates are numbers.
        """
        now = self.snapshot()
        total, latency = now.requests, now.latency
        return {
            "overview": {
                "total_requests": total,
                "success_rate": now.succeeded / total if total else 0,
                "error_rate": now.failed / total if total else 0,
                "successful_requests": now.succeeded,
                "failed_requests": now.failed,
                "requests_last_minute": now.last_minute,
            },
            "performance": {
                "avg_response_time": latency.mean,
                "p50_response_time": latency.p50,
                "p95_response_time": latency.p95,
                "p99_response_time": latency.p99,
                "samples": latency.samples,
            },
            "usage": {
                "top_models": _top({_label(each): each.requests for each in now.answered}),
                "top_agents": _top(now.agents),
                "run_requests": now.run_requests,
                "cache_hits": now.cache_hits,
            },
            "errors": now.errors,
            "cost": {
                "known_usd": format(now.cost_usd, "f"),
                "answers_with_known_cost": now.cost_known,
                "answers_with_unknown_cost": now.cost_unknown,
            },
            "tokens": {
                "input": int(sum(each.input_tokens.total for each in now.models)),
                "output": int(sum(each.output_tokens.total for each in now.models)),
                "answers_with_unknown_usage": sum(each.usage_unknown for each in now.models),
            },
            "tools": {
                name: {"calls": ok + failed, "failed": failed}
                for name, (ok, failed) in now.tools.items()
            },
        }

    def _count(
        self,
        totals: ModelTotals,
        agent: str,
        latency_s: float,
        *,
        success: bool,
        error: str | None,
    ) -> None:
        totals.count(success=success, latency_s=latency_s)
        self._window.add(latency_s)
        _bump(self._agents, agent)
        if error is not None and not success:
            _bump(self._errors, error)
        second = int(self._monotonic())
        if second != self._second[0]:
            self._forget_seconds(second)
            self._second = [second, 0]
            self._seconds.append(self._second)
        self._second[1] += 1

    def _totals(self, provider: str, model: str) -> ModelTotals:
        found = self._models.get((provider, model))
        if found is not None:
            return found
        if len(self._models) >= MAX_NAMES:
            provider = model = OTHER
        return self._models.setdefault(
            (provider, model), ModelTotals(provider=provider, model=model)
        )

    def _last_minute(self) -> int:
        self._forget_seconds(int(self._monotonic()))
        return sum(count for _, count in self._seconds)

    def _forget_seconds(self, now: int) -> None:
        while self._seconds and self._seconds[0][0] <= now - _MINUTE_S:
            self._seconds.popleft()


def _name(known: Mapping[str, object], name: str) -> str:
    return name if name in known or len(known) < MAX_NAMES else OTHER


def _bump(counts: dict[str, int], name: str) -> None:
    if name not in counts:
        name = _name(counts, name)
        counts.setdefault(name, 0)
    counts[name] += 1


def _label(totals: ModelTotals) -> str:
    """Return `provider:model`; a catalogue id begins with its provider, which is said once."""
    return f"{totals.provider}:{totals.model.removeprefix(f'{totals.provider}/')}"


def _top(counts: Mapping[str, int]) -> list[list[str | int]]:
    """Return the most frequent names with their counts; the first come wins a tie."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return [[name, count] for name, count in ranked[:_TOP]]
