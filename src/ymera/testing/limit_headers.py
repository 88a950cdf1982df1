"""Limits in an answer's head, in each vendor's names and formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ymera.core.quota import QuotaMetric, QuotaWindow
from ymera.testing.quotas import Standing
from ymera.testing.vendors import HeaderStyle

__all__ = ["limit_headers"]

_Reset = Callable[[float], str]
_REQUESTS, _TOKENS = QuotaMetric.REQUESTS, QuotaMetric.TOKENS
_DAY, _MINUTE, _MONTH = QuotaWindow.DAY, QuotaWindow.MINUTE, QuotaWindow.MONTH


def limit_headers(
    style: HeaderStyle, standings: Sequence[Standing], *, now: datetime, refused: bool
) -> dict[str, str]:
    """Return the headers of one answer.

    Args:
        style: whose names and formats.
        standings: the limits that the call counted against.
        now: UTC, for styles that name a moment.
        refused: whether the answer is a 429 of the vendor's own.
    """

    def of(metric: QuotaMetric, *windows: QuotaWindow) -> Standing | None:
        fitting = (s for window in windows for s in standings if s.limit.window is window)
        return next((s for s in fitting if s.limit.metric is metric), None)

    match style:
        case HeaderStyle.OPENAI:
            return {
                **_three("x-ratelimit-{}-requests", of(_REQUESTS, _DAY, _MINUTE), _go),
                **_three("x-ratelimit-{}-tokens", of(_TOKENS, _MINUTE, _DAY), _go),
            }
        case HeaderStyle.CEREBRAS:
            return {
                **_three("x-ratelimit-{}-requests-day", of(_REQUESTS, _DAY), _seconds),
                **_three("x-ratelimit-{}-tokens-minute", of(_TOKENS, _MINUTE), _seconds),
            }
        case HeaderStyle.MISTRAL:
            return {
                **_three("x-ratelimit-{}-req-minute", of(_REQUESTS, _MINUTE), None),
                **_three("x-ratelimit-{}-tokens-minute", of(_TOKENS, _MINUTE), None),
                **_three("x-ratelimit-{}-tokens-month", of(_TOKENS, _MONTH), None),
            }
        case HeaderStyle.MODELSCOPE:
            return _modelscope(standings)
        case HeaderStyle.COHERE:
            return _cohere(of(_REQUESTS, _MINUTE), of(_REQUESTS, _MONTH))
        case HeaderStyle.ANTHROPIC:
            return {
                **_three("anthropic-ratelimit-requests-{}", of(_REQUESTS, _MINUTE), _moment(now)),
                **_three("anthropic-ratelimit-tokens-{}", of(_TOKENS, _MINUTE), _moment(now)),
            }
        case HeaderStyle.OPENROUTER if refused:
            spent = min(standings, key=lambda s: s.remaining, default=None)
            return _openrouter(spent, now)
    return {}


def _three(name: str, standing: Standing | None, reset: _Reset | None) -> dict[str, str]:
    if standing is None:
        return {}
    found = {
        name.format("limit"): str(standing.limit.amount),
        name.format("remaining"): str(standing.remaining),
    }
    if reset is not None:
        found[name.format("reset")] = reset(standing.reset_s)
    return found


def _go(seconds: float) -> str:
    """Write a duration as Go does: `2m59.56s`, `750ms`."""
    seconds = round(seconds, 2)
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    text = f"{left:.2f}".rstrip("0").rstrip(".") + "s"
    if hours or minutes:
        text = f"{minutes:.0f}m{text}"
    return f"{hours:.0f}h{text}" if hours else text


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _modelscope(standings: Sequence[Standing]) -> dict[str, str]:
    """Name the account's requests of the day and the model's."""
    found: dict[str, str] = {}
    for standing in standings:
        if standing.limit.window is _DAY:
            name = "modelscope-ratelimit-"
            name += "model-requests-{}" if standing.limit.per_model else "requests-{}"
            found |= _three(name, standing, None)
    return found


def _cohere(minute: Standing | None, month: Standing | None) -> dict[str, str]:
    found = {} if minute is None else _three("x-trial-endpoint-call-{}", minute, None)
    if month is not None:
        found["x-endpoint-monthly-call-limit"] = str(month.limit.amount)
    return found


def _openrouter(spent: Standing | None, now: datetime) -> dict[str, str]:
    if spent is None:
        return {}
    reset = now + timedelta(seconds=spent.reset_s)
    return {
        "X-RateLimit-Limit": str(spent.limit.amount),
        "X-RateLimit-Remaining": str(spent.remaining),
        "X-RateLimit-Reset": str(int(reset.timestamp() * 1000)),
    }


def _moment(now: datetime) -> _Reset:
    def write(seconds: float) -> str:
        return (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    return write
