"""What the body of a refusal says of the vendor's limits, in each vendor's shape or words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from ymera.core.quota import LimitSeen, LimitSource, QuotaMetric, QuotaWindow
from ymera.wire.retry_after import retry_after_s

__all__ = ["limits_in_error"]

_BODY_BYTES = 16_384
_REFUSED = frozenset({403, 413, 429})

_WINDOWS = {
    "second": QuotaWindow.SECOND,
    "minute": QuotaWindow.MINUTE,
    "min": QuotaWindow.MINUTE,
    "hour": QuotaWindow.HOUR,
    "session": QuotaWindow.SESSION,
    "day": QuotaWindow.DAY,
    "daily": QuotaWindow.DAY,
    "week": QuotaWindow.WEEK,
    "weekly": QuotaWindow.WEEK,
    "month": QuotaWindow.MONTH,
    "monthly": QuotaWindow.MONTH,
}
_GOOGLE_ID = re.compile(r"(Requests|Tokens)\w*?Per(Minute|Hour|Day|Month)|Per(Minute|Hour|Day)")
_USED_OF = re.compile(
    r"on (?:input |output )?(requests|tokens) per (minute|hour|day|month)[^:]{0,20}:"
    r"\s*limit ([\d,]{1,15})(?:, used ([\d,]{1,15}))?, requested ~?([\d,]{1,15})",
    re.IGNORECASE,
)
_CALLS_PER = re.compile(
    r"([\d,]{1,15})\s*(?:api calls|calls|requests|api requests)\s*(?:/|per|a)\s*"
    r"(second|minute|hour|day|month)",
    re.IGNORECASE,
)
_NEURONS = re.compile(r"allocation of ([\d,]{1,15}) neurons", re.IGNORECASE)
_USAGE_LIMIT = re.compile(
    r"(session|weekly|monthly|daily) (?:usage limit|usage quota|included credits)", re.IGNORECASE
)
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Only dates in headers are compared with it, and there are none."""
_FREE_MODELS = re.compile(r"free-models-per-(min|day)")


def limits_in_error(
    status: int, body: bytes, *, now: datetime | None = None
) -> tuple[LimitSeen, ...]:
    """Return what a refusal says of limits; empty when it says nothing that can be used.

    `remaining` 0 stands for "used up", even where the vendor had room for a smaller call.

    Args:
        status: HTTP status; 429 and its neighbours alone are looked at.
        body: in any vendor's shape, or not JSON at all; 16 KiB of it are read.
        now: UTC, for resets given as a time.
    """
    if status not in _REFUSED:
        return ()
    text = body[:_BODY_BYTES].decode("utf-8", "replace")
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    error = _error_of(value)
    return tuple(_google(error)) or tuple(_open_router(error, text, now)) or tuple(_worded(text))


def _error_of(value: object) -> Mapping[str, object]:
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return {}
    error = value.get("error")
    return error if isinstance(error, dict) else {}


def _google(error: Mapping[str, object]) -> Iterator[LimitSeen]:
    """Yield the violations that google.rpc.QuotaFailure lists."""
    details = error.get("details")
    if not isinstance(details, list):
        return
    rows = [row for row in details if isinstance(row, dict)]
    delays = (row.get("retryDelay") for row in rows)
    delay = next((each for each in delays if isinstance(each, str)), "")
    wait_s = _seconds(delay)
    for row in rows:
        violations = row.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict) and (seen := _violation(violation, wait_s)):
                yield seen


def _violation(violation: Mapping[str, object], wait_s: float | None) -> LimitSeen | None:
    quota, metric_name = violation.get("quotaId"), violation.get("quotaMetric")
    if not isinstance(quota, str) or (said := _GOOGLE_ID.search(quota)) is None:
        return None
    tokens = (said[1] or "") == "Tokens" or "token" in str(metric_name)
    return LimitSeen(
        metric=QuotaMetric.TOKENS if tokens else QuotaMetric.REQUESTS,
        window=_WINDOWS[(said[2] or said[3]).lower()],
        limit=_count(violation.get("quotaValue")),
        remaining=0,
        reset_s=wait_s,
        source=LimitSource.ERROR,
        of_model="PerModel" in quota,
    )


def _open_router(
    error: Mapping[str, object], text: str, now: datetime | None
) -> Iterator[LimitSeen]:
    """Yield the platform's own limit; one of a provider behind it is that provider's affair."""
    said = _FREE_MODELS.search(text)
    metadata = error.get("metadata")
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    if not isinstance(headers, dict):
        headers = {}
    fields = {str(name).lower(): value for name, value in headers.items()}
    limit = _count(fields.get("x-ratelimit-limit"))
    if said is None and limit is None:
        return
    reset = _count(fields.get("x-ratelimit-reset"))
    wait_s = None
    if reset is not None and now is not None:
        wait_s = max(reset / 1000 - now.timestamp(), 0.0)
    if said is not None:
        window = _WINDOWS[said[1]]
    else:
        window = QuotaWindow.DAY if (wait_s or 0.0) > 120 else QuotaWindow.MINUTE
    yield LimitSeen(
        metric=QuotaMetric.REQUESTS,
        window=window,
        limit=limit,
        remaining=0,
        reset_s=wait_s,
        source=LimitSource.ERROR,
        of_model=False,
    )


def _worded(text: str) -> Iterator[LimitSeen]:
    """Yield what vendors write in sentences."""
    wait_s = _seconds(text)
    if said := _USED_OF.search(text):
        yield from _used_of(said, wait_s)
    elif said := _NEURONS.search(text):
        limit = _count(said[1])
        yield _spent(QuotaMetric.UNITS, QuotaWindow.DAY, limit, wait_s, of_model=False)
    elif said := _CALLS_PER.search(text):
        window = _WINDOWS[said[2].lower()]
        yield _spent(QuotaMetric.REQUESTS, window, _count(said[1]), wait_s)
    elif said := _USAGE_LIMIT.search(text):
        window = _WINDOWS[said[1].lower()]
        yield _spent(QuotaMetric.REQUESTS, window, None, wait_s, of_model=False)


def _used_of(said: re.Match[str], wait_s: float | None) -> Iterator[LimitSeen]:
    metric = QuotaMetric.TOKENS if said[1].lower() == "tokens" else QuotaMetric.REQUESTS
    window, limit = _WINDOWS[said[2].lower()], _count(said[3])
    used, requested = _count(said[4]), _count(said[5]) or 0
    if limit is None:
        return
    if used is not None and used < limit:
        yield LimitSeen(
            metric=metric,
            window=window,
            limit=limit,
            remaining=limit - used,
            source=LimitSource.ERROR,
        )
    if requested > limit:  # too large for any moment: nothing is used up
        yield LimitSeen(metric=metric, window=window, limit=limit, source=LimitSource.ERROR)
    else:
        yield _spent(metric, window, limit, wait_s)


def _spent(
    metric: QuotaMetric,
    window: QuotaWindow,
    limit: int | None,
    wait_s: float | None,
    of_model: bool | None = None,
) -> LimitSeen:
    return LimitSeen(
        metric=metric,
        window=window,
        limit=limit,
        remaining=0,
        reset_s=wait_s,
        source=LimitSource.ERROR,
        of_model=of_model,
    )


def _seconds(text: str) -> float | None:
    """Return a wait that the text asks for, or is."""
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", text):
        return float(text[:-1])
    return retry_after_s({}, text, now=_ANY_TIME)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).replace(",", "").strip()
    return int(text) if re.fullmatch(r"\d{1,15}", text) else None
