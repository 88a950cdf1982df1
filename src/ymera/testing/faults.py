"""What can go wrong at a provider: the list, and what is said of each."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ymera.core.quota import QuotaWindow

__all__ = ["PAGE", "Fault", "Refusal", "page_for", "refusal_for"]


class Fault(StrEnum):
    """A fault to script per model id."""

    # Said instead of an answer.
    BAD_REQUEST = "400"
    UNAUTHORIZED = "401"
    NO_CREDIT = "402"
    FORBIDDEN = "403"
    GONE = "404"
    TIMEOUT = "408"
    RETIRED = "410"
    TOO_LARGE = "413"
    UNPROCESSABLE = "422"
    MINUTE = "429-minute"
    MINUTE_MS = "429-minute-ms"
    MINUTE_DATE = "429-minute-date"
    DAY = "429-day"
    MONTH = "429-month"
    BUSY_UPSTREAM = "429-upstream"
    BROKEN = "500"
    BAD_GATEWAY = "502"
    OVERLOADED = "503"
    VENDOR_OVERLOADED = "529"
    BARE_ERROR = "400-bare"
    HTML_OK = "html-200"
    HTML_BAD_GATEWAY = "html-502"
    NOT_JSON = "not-json"
    # In how an answer is sent.
    SLOW_FIRST_BYTE = "slow-first-byte"
    STALL = "stall"
    CUT_BEFORE_HEAD = "cut-before-head"
    CUT_MID_HEAD = "cut-mid-head"
    CUT_MID_STREAM = "cut-mid-stream"
    ERROR_EVENT = "error-event"
    BAD_CHUNK = "bad-chunk"
    NO_FINISH = "no-finish"
    DUPLICATE_FINISH = "duplicate-finish"
    # In what it says.
    MISSING_USAGE = "missing-usage"
    WRONG_USAGE = "wrong-usage"
    EMPTY = "empty-length"
    BAD_ARGUMENTS = "bad-arguments"
    BROKEN_JSON = "broken-json"
    WRONG_JSON = "wrong-json"
    COSTS = "reports-cost"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A failed call in no vendor's words.

    Attributes:
        status: HTTP status.
        message: the sentence.
        code: the machine-readable word, where there is one.
        wait_s: seconds the vendor asks to wait; None when it does not say.
        window: of the quota that is used up, for refusals about one.
        model: what was asked, for bodies that name it.
        metric, limit, used, requested: what the used-up quota counts, and how much.
        headers: sent as they are.
    """

    status: int
    message: str
    code: str | None = None
    wait_s: float | None = None
    window: QuotaWindow | None = None
    model: str = ""
    metric: str = "requests"
    limit: int | None = None
    used: int | None = None
    requested: int | None = None
    headers: dict[str, str] = {}


PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

_PAGES = {
    Fault.HTML_OK: (200, PAGE, "text/html"),
    Fault.HTML_BAD_GATEWAY: (502, PAGE, "text/html"),
    Fault.NOT_JSON: (200, b"model says hi", "application/json"),
    Fault.BARE_ERROR: (400, b'{"error":"something is wrong"}', "application/json"),
}

_LIMIT = "rate_limit_exceeded"
_REFUSALS = {
    Fault.BAD_REQUEST: Refusal(status=400, message="'temperature' is not supported."),
    Fault.UNAUTHORIZED: Refusal(
        status=401, message="Invalid API key provided.", code="invalid_api_key"
    ),
    Fault.NO_CREDIT: Refusal(status=402, message="Insufficient credits."),
    Fault.FORBIDDEN: Refusal(
        status=403, message="You do not have access to this model.", code="permission_denied"
    ),
    Fault.GONE: Refusal(
        status=404, message="The model `gone` does not exist.", code="model_not_found"
    ),
    Fault.TIMEOUT: Refusal(status=408, message="The request timed out.", code="timeout"),
    Fault.RETIRED: Refusal(status=410, message="The model reached its end of life."),
    Fault.TOO_LARGE: Refusal(
        status=413,
        message="Request too large for model on tokens per minute (TPM): "
        "Limit 6000, Requested 9000.",
    ),
    Fault.UNPROCESSABLE: Refusal(
        status=422, message="Input should be a valid list: tools.", code="unprocessable"
    ),
    Fault.MINUTE: Refusal(
        status=429,
        message="Rate limit reached: requests per minute.",
        code=_LIMIT,
        wait_s=7,
        window=QuotaWindow.MINUTE,
    ),
    Fault.MINUTE_MS: Refusal(
        status=429, message="Slow down.", code=_LIMIT, headers={"retry-after-ms": "1500"}
    ),
    Fault.MINUTE_DATE: Refusal(
        status=429,
        message="Slow down.",
        code=_LIMIT,
        headers={"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"},
    ),
    Fault.DAY: Refusal(
        status=429,
        message="Rate limit exceeded: free-models-per-day.",
        wait_s=3600,
        window=QuotaWindow.DAY,
    ),
    Fault.MONTH: Refusal(
        status=429,
        message="Monthly token limit exceeded.",
        code="insufficient_quota",
        window=QuotaWindow.MONTH,
    ),
    Fault.BUSY_UPSTREAM: Refusal(
        status=429, message="The model is temporarily rate-limited upstream."
    ),
    Fault.BROKEN: Refusal(status=500, message="Internal error."),
    Fault.BAD_GATEWAY: Refusal(status=502, message="The upstream connection failed."),
    Fault.OVERLOADED: Refusal(status=503, message="The model is overloaded, try again later."),
    Fault.VENDOR_OVERLOADED: Refusal(status=529, message="Overloaded"),
}


def refusal_for(fault: Fault) -> Refusal | None:
    """Return what is said instead of an answer; None when the fault lies elsewhere."""
    return _REFUSALS.get(fault)


def page_for(fault: Fault) -> tuple[int, bytes, str] | None:
    """Return status, body and content type of an answer in no dialect, else None."""
    return _PAGES.get(fault)
