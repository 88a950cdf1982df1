"""How long the last requests took: exact while they are few, a quantile sketch beyond."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ddsketch import LogCollapsingLowestDenseDDSketch

__all__ = ["RELATIVE_ERROR", "WINDOW", "LatencySummary", "LatencyWindow"]

WINDOW = 1_000
"""The window covers the last 1,000 to 1,999 requests; the document's holds the last 1,000."""

RELATIVE_ERROR = 0.01
"""How far a percentile from the sketch may be off, as a share of its value."""

_EXACT = 250
_BINS = 2048
_P95_FROM, _P99_FROM = 20, 100


class LatencySummary(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; 0 where there is nothing to tell.

    Attributes:
        samples: requests the window holds.
        mean, p50: exact mean, median.
        p95: 0 up to 20 samples. p99: 0 up to 100 samples (both as in the document).
    """

    samples: int
    mean: float
    p50: float
    p95: float
    p99: float


class LatencyWindow:
    """Times of the last requests in bounded memory; not for several threads at once.

    Up to 250 times are held as they are, and their percentiles are exact. More go into a DDSketch
    (Masson, Rim and Lee, VLDB 2019), two of them in turn: one fills up while the one before it
    still counts. The library is loaded with the first sketch, so a short-lived process does
    without.
    """

    def __init__(self) -> None:
        self._fresh: list[float] = []
        self._filling: LogCollapsingLowestDenseDDSketch | None = None
        self._full: LogCollapsingLowestDenseDDSketch | None = None

    def add(self, time_s: float) -> None:
        """Take in one time in seconds, at least 0."""
        self._fresh.append(time_s)
        if len(self._fresh) >= _EXACT:
            self._fold()

    def summary(self) -> LatencySummary:
        """Return what the window holds."""
        if self._filling is None and self._full is None:
            return _exact(self._fresh)
        whole = _sketch()
        for part in (self._full, self._filling):
            if part is not None:
                whole.merge(part)
        for time_s in self._fresh:
            whole.add(time_s)
        count = int(whole.count)
        return LatencySummary(
            samples=count,
            mean=whole.sum / count,
            p50=whole.get_quantile_value(0.5) or 0.0,
            p95=(whole.get_quantile_value(0.95) or 0.0) if count > _P95_FROM else 0.0,
            p99=(whole.get_quantile_value(0.99) or 0.0) if count > _P99_FROM else 0.0,
        )

    def _fold(self) -> None:
        if self._filling is None:
            self._filling = _sketch()
        for time_s in self._fresh:
            self._filling.add(time_s)
        self._fresh.clear()
        if self._filling.count >= WINDOW:
            self._full, self._filling = self._filling, None


def _sketch() -> LogCollapsingLowestDenseDDSketch:
    from ddsketch import LogCollapsingLowestDenseDDSketch

    return LogCollapsingLowestDenseDDSketch(RELATIVE_ERROR, _BINS)


def _exact(times: list[float]) -> LatencySummary:
    count = len(times)
    if not count:
        return LatencySummary(samples=0, mean=0.0, p50=0.0, p95=0.0, p99=0.0)
    return LatencySummary(
        samples=count,
        mean=statistics.fmean(times),
        p50=statistics.median(times),
        p95=statistics.quantiles(times, n=20)[18] if count > _P95_FROM else 0.0,
        p99=statistics.quantiles(times, n=100)[98] if count > _P99_FROM else 0.0,
    )
