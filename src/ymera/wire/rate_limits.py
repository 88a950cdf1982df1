"""What an upstream's answer says of the vendor's limits: its headers, and the words of its errors.

Names differ by vendor, and few say over which time they count; a small table knows those that do
not. Nothing here raises, whatever stands in a header or body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from ymera.core.errors import ProviderErrorKind
from ymera.core.quota import LimitSeen, LimitSource, QuotaMetric, QuotaWindow
from ymera.wire.rate_limit_errors import limits_in_error

__all__ = ["limits_in_error", "limits_in_headers", "limits_of_failure", "seconds_until"]

_DAY_FROM_S = 120.0
"""A window whose reset is further away than this is taken for a day where nothing says so."""
_LONGEST_S = 62 * 86_400.0
_EPOCH_MS_FROM = 100_000_000_000.0
_EPOCH_S_FROM = 1_000_000_000.0

_METRICS = {
    "requests": QuotaMetric.REQUESTS,
    "req": QuotaMetric.REQUESTS,
    "tokens": QuotaMetric.TOKENS,
}
_WINDOWS = {
    "": None,
    "second": QuotaWindow.SECOND,
    "minute": QuotaWindow.MINUTE,
    "hour": QuotaWindow.HOUR,
    "day": QuotaWindow.DAY,
    "month": QuotaWindow.MONTH,
}
_SUFFIXED = re.compile(
    r"x-ratelimit-(limit|remaining|reset)-(requests|req|tokens)"
    r"(?:-(second|minute|hour|day|month))?"
)
_PLAIN = re.compile(r"(?:x-)?ratelimit-(limit|remaining|reset)")
_ANTHROPIC = re.compile(r"anthropic-ratelimit-(requests|tokens)-(limit|remaining|reset)")
_MODELSCOPE = re.compile(r"modelscope-ratelimit-(model-)?requests-(limit|remaining|reset)")
_COHERE = re.compile(r"x-trial-endpoint-call-(limit|remaining)")
_COHERE_MONTH = "x-endpoint-monthly-call-limit"

_UNNAMED_WINDOWS = {
    ("groq", QuotaMetric.REQUESTS): QuotaWindow.DAY,
    ("groq", QuotaMetric.TOKENS): QuotaWindow.MINUTE,
}
"""Over which time vendors count that do not say so, where it is documented."""

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?")
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|d|h|m|s))+")
_PIECE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|d|h|m|s)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_What = tuple[QuotaMetric, QuotaWindow | None, bool | None]


def limits_in_headers(
    headers: Mapping[str, str], provider_id: str, now: datetime
) -> tuple[LimitSeen, ...]:
    """Return what the headers of an answer, failed or not, say; empty when they say nothing.

    Args:
        headers: names in lower case.
        provider_id: catalogue id; unknown ones are read by what the names say.
        now: UTC, for resets given as a time.
    """
    found: dict[_What, dict[str, str]] = {}
    for name, value in headers.items():
        if ("limit" in name or "trial" in name) and (what := _meaning(name)) is not None:
            found.setdefault(what[0], {})[what[1]] = value
    seen = (_seen(what, fields, provider_id, now) for what, fields in found.items())
    return tuple(each for each in seen if each is not None)


def limits_of_failure(
    kind: ProviderErrorKind,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    provider_id: str,
    now: datetime,
) -> tuple[LimitSeen, ...]:
    """Return what a failed answer says, in its head and in its body.

    Args:
        kind: what the failure was taken for; a busy upstream says nothing of our quota.
        status: HTTP status.
        headers: names in lower case.
        body: as much as was read.
        provider_id: catalogue id.
        now: UTC.
    """
    in_headers = limits_in_headers(headers, provider_id, now)
    if kind is ProviderErrorKind.UPSTREAM_BUSY:
        return in_headers
    return (*in_headers, *limits_in_error(status, body, now=now))


def seconds_until(text: str, now: datetime) -> float | None:
    """Return the seconds until a reset; None when it is not understood.

    Takes seconds, durations (`1m26.4s`, `750ms`), Unix time in seconds or milliseconds, RFC 3339.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value >= _EPOCH_MS_FROM:
            value = value / 1000 - now.timestamp()
        elif value >= _EPOCH_S_FROM:
            value -= now.timestamp()
        return _sane(value)
    if _DURATION.fullmatch(text):
        return _sane(sum(float(n) * _UNIT_S[unit] for n, unit in _PIECE.findall(text)))
    if "T" in text:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return _sane((at - now).total_seconds())
    return None


@lru_cache(maxsize=256)
def _meaning(name: str) -> tuple[_What, str] | None:
    """Return what a header counts, and which of limit, remaining and reset it is."""
    if said := _SUFFIXED.fullmatch(name):
        return (_METRICS[said[2]], _WINDOWS[said[3] or ""], None), said[1]
    if said := _ANTHROPIC.fullmatch(name):
        return (_METRICS[said[1]], QuotaWindow.MINUTE, None), said[2]
    if said := _PLAIN.fullmatch(name):
        return (QuotaMetric.REQUESTS, None, None), said[1]
    if said := _MODELSCOPE.fullmatch(name):
        return (QuotaMetric.REQUESTS, QuotaWindow.DAY, said[1] is not None), said[2]
    if said := _COHERE.fullmatch(name):
        return (QuotaMetric.REQUESTS, QuotaWindow.MINUTE, None), said[1]
    if name == _COHERE_MONTH:
        return (QuotaMetric.REQUESTS, QuotaWindow.MONTH, False), "limit"
    return None


def _seen(
    what: _What, fields: Mapping[str, str], provider_id: str, now: datetime
) -> LimitSeen | None:
    metric, window, of_model = what
    # A limit of 0 is how some say that they have none to tell: of a request that was answered.
    limit, remaining = _count(fields.get("limit")) or None, _count(fields.get("remaining"))
    if limit is None and remaining is None:
        return None
    reset_s = seconds_until(fields.get("reset", ""), now)
    if window is None:
        window = _UNNAMED_WINDOWS.get((provider_id, metric))
    if window is None:
        window = QuotaWindow.DAY if (reset_s or 0.0) > _DAY_FROM_S else QuotaWindow.MINUTE
    return LimitSeen(
        metric=metric,
        window=window,
        limit=limit,
        remaining=remaining,
        reset_s=reset_s,
        source=LimitSource.HEADER,
        of_model=of_model,
    )


def _count(text: str | None) -> int | None:
    """Return a count; the first of several, as in `100, 100;w=60`."""
    if text is None:
        return None
    first = text.split(",", 1)[0].strip()
    return int(float(first)) if _NUMBER.fullmatch(first) else None


def _sane(seconds: float) -> float:
    return min(max(seconds, 0.0), _LONGEST_S)
