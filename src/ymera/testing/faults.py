"""What can go wrong at a provider, in the words that providers use."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Fault", "FaultAnswer", "answer_for"]


class Fault(StrEnum):
    """A fault to script per model id."""

    UNAUTHORIZED = "401"
    NO_CREDIT = "402"
    GONE = "404"
    RETIRED = "410"
    TOO_LARGE = "413"
    MINUTE = "429-minute"
    MINUTE_MS = "429-minute-ms"
    MINUTE_DATE = "429-minute-date"
    DAY = "429-day"
    MONTH = "429-month"
    BUSY_UPSTREAM = "429-upstream"
    BROKEN = "500"
    OVERLOADED = "503"
    BARE_ERROR = "400-bare"
    HTML_OK = "html-200"
    HTML_BAD_GATEWAY = "html-502"
    NOT_JSON = "not-json"
    SLOW_FIRST_BYTE = "slow-first-byte"
    STALL = "stall"
    CUT_BEFORE_HEAD = "cut-before-head"
    CUT_MID_STREAM = "cut-mid-stream"
    ERROR_EVENT = "error-event"
    MISSING_USAGE = "missing-usage"


class FaultAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP answer of a fault; `status` None when the fault is in how an answer is sent."""

    status: int | None = None
    headers: dict[str, str] = {}
    body: bytes = b""
    content_type: str = "application/json"


def _error(status: int, message: str, code: str | None = None, **headers: str) -> FaultAnswer:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return FaultAnswer(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=msgspec.json.encode({"error": error}),
    )


_PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

_ANSWERS = {
    Fault.UNAUTHORIZED: _error(401, "Invalid API key provided.", "invalid_api_key"),
    Fault.NO_CREDIT: _error(402, "Insufficient credits."),
    Fault.GONE: _error(404, "The model `gone` does not exist.", "model_not_found"),
    Fault.RETIRED: _error(410, "The model reached its end of life."),
    Fault.TOO_LARGE: _error(
        413, "Request too large for model on tokens per minute (TPM): Limit 6000, Requested 9000."
    ),
    Fault.MINUTE: _error(
        429, "Rate limit reached: requests per minute.", "rate_limit_exceeded", retry_after="7"
    ),
    Fault.MINUTE_MS: _error(429, "Slow down.", "rate_limit_exceeded", retry_after_ms="1500"),
    Fault.MINUTE_DATE: _error(
        429, "Slow down.", "rate_limit_exceeded", retry_after="Fri, 31 Dec 1999 23:59:59 GMT"
    ),
    Fault.DAY: _error(429, "Rate limit exceeded: free-models-per-day.", retry_after="3600"),
    Fault.MONTH: _error(429, "Monthly token limit exceeded.", "insufficient_quota"),
    Fault.BUSY_UPSTREAM: _error(429, "The model is temporarily rate-limited upstream."),
    Fault.BROKEN: _error(500, "Internal error."),
    Fault.OVERLOADED: _error(503, "The model is overloaded, try again later."),
    Fault.BARE_ERROR: FaultAnswer(status=400, body=b'{"error":"something is wrong"}'),
    Fault.HTML_OK: FaultAnswer(status=200, body=_PAGE, content_type="text/html"),
    Fault.HTML_BAD_GATEWAY: FaultAnswer(status=502, body=_PAGE, content_type="text/html"),
    Fault.NOT_JSON: FaultAnswer(status=200, body=b"model says hi"),
}


def answer_for(fault: Fault) -> FaultAnswer:
    """Return the HTTP answer that `fault` gives."""
    return _ANSWERS.get(fault, FaultAnswer())
