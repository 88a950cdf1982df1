"""What stored requests add up to; knows nothing of SQL."""

from __future__ import annotations

from decimal import Decimal

import msgspec

__all__ = ["RequestTotals"]


class RequestTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Totals over stored requests.

    Attributes:
        requests: all; `succeeded` plus `failed`.
        models: requests by what answered them, most first.
        errors: failed requests by error code, most first.
        input_tokens, output_tokens: of the answers whose usage is known.
        usage_unknown: answers whose usage is not known.
        cost_usd: of the answers whose cost is known (`cost_known`); `cost_unknown` counts the
            others, so that a sum is never taken for the whole.
        p50_latency_s, p95_latency_s: exact percentiles (nearest rank) of the requests that
            succeeded; None when there are none.
    """

    requests: int
    succeeded: int
    failed: int
    models: dict[str, int]
    errors: dict[str, int]
    input_tokens: int
    output_tokens: int
    usage_unknown: int
    cost_usd: Decimal
    cost_known: int
    cost_unknown: int
    p50_latency_s: float | None
    p95_latency_s: float | None
