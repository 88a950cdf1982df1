"""How long an upstream asks to wait, in any of the forms in use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

__all__ = ["retry_after_s"]

_LONGEST_S = 62 * 86400.0
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_HTTP_DATE = re.compile(r"[A-Za-z]{3}, (\d\d) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_IN_TEXT = re.compile(
    r"(?:try again in|retry in|retrydelay\"?\s*:)\s*\"?((?:\d+(?:\.\d+)?(?:ms|h|m|s)\s*)+)",
    re.IGNORECASE,
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def retry_after_s(headers: Mapping[str, str], text: str, *, now: datetime) -> float | None:
    """Return the seconds to wait, 0 at least; None when nothing says so.

    Looks at `retry-after-ms`, `retry-after` (seconds or HTTP date, RFC 9110 section 10.2.3) and
    then at the error's text, where Groq, OpenAI and Gemini write it.

    Args:
        headers: names in lower case.
        text: of the error.
        now: UTC.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _sane(milliseconds / 1000)
    header = headers.get("retry-after", "").strip()
    seconds = _number(header)
    if seconds is not None:
        return _sane(seconds)
    if (date := _http_date(header)) is not None:
        return _sane((date - now).total_seconds())
    if found := _IN_TEXT.search(text):
        pieces = _DURATION.findall(found[1].lower())
        return _sane(sum(float(number) * _UNIT_S[unit] for number, unit in pieces))
    return None


def _sane(seconds: float) -> float:
    return min(max(seconds, 0.0), _LONGEST_S)


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\s*\d{1,12}(\.\d{1,9})?\s*", text):
        return None
    return float(text)


def _http_date(text: str) -> datetime | None:
    """Parse the one date form that servers may send; names are English whatever the locale."""
    found = _HTTP_DATE.fullmatch(text)
    if found is None or found[2].lower() not in _MONTHS:
        return None
    day, month, year, hour, minute, second = found.groups()
    try:
        return datetime(
            int(year),
            _MONTHS.index(month.lower()) + 1,
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),  # a leap second
            tzinfo=UTC,
        )
    except ValueError:
        return None
