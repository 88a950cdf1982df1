from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ymera.core.errors import (
    InvalidRequest,
    ProviderError,
    ProviderErrorKind,
    ProviderErrorScope,
    RateLimited,
    Unauthenticated,
    UnknownModel,
    YmeraError,
)
from ymera.wire.gemini import decode_error, encode_error

NOW = datetime(2026, 11, 22, tzinfo=UTC)
RPC = "type.googleapis.com/google.rpc."
BROKEN = ProviderError("It broke", kind=ProviderErrorKind.TRANSIENT, hint="Try again.")
KEY = "AIzaSyD-synthetic-key-of-a-test-000000"


def read(status: int, message: str, word: str, *details: dict[str, object]) -> ProviderError:
    error = {"code": status, "message": message, "status": word, "details": list(details)}
    body = json.dumps({"error": error}, indent=2).encode()
    return decode_error(status, {}, body, now=NOW, secrets=(KEY,))


def quota(quota_id: str, wait: str = "36s") -> ProviderError:
    violation = {"quotaMetric": "free_tier_requests", "quotaId": quota_id, "quotaValue": "20"}
    return read(
        429,
        "You exceeded your current quota.",
        "RESOURCE_EXHAUSTED",
        {"@type": f"{RPC}QuotaFailure", "violations": [violation]},
        {"@type": f"{RPC}RetryInfo", "retryDelay": wait},
    )


@pytest.mark.proves("wire.gemini-errors", "wire.error-taxonomy")
def test_a_minutes_quota_says_when_it_is_back() -> None:
    error = quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "36.5s")
    assert error.kind is ProviderErrorKind.QUOTA_MINUTE
    assert error.retry_after_s == 36.5


@pytest.mark.proves("wire.gemini-errors")
def test_a_days_quota_is_not_back_in_the_seconds_it_names() -> None:
    error = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
    assert error.kind is ProviderErrorKind.QUOTA_DAY
    assert error.scope is ProviderErrorScope.MODEL
    assert error.retry_after_s is None


@pytest.mark.proves("wire.gemini-errors", "wire.error-taxonomy")
@pytest.mark.parametrize(
    ("status", "word", "message", "reason", "kind", "scope"),
    [
        (400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID", "auth", "key"),
        (400, "INVALID_ARGUMENT", "API key expired.", "API_KEY_INVALID", "auth", "key"),
        (403, "PERMISSION_DENIED", "Your API key was reported as leaked.", "", "auth", "key"),
        (
            400,
            "FAILED_PRECONDITION",
            "User location is not supported for the API use.",
            "",
            "capability",
            "provider",
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (2000) exceeds the maximum number of tokens allowed (1000).",
            "",
            "too_large",
            "request",
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "Function call is missing a thought_signature in functionCall parts.",
            "",
            "capability",
            "request",
        ),
        (
            404,
            "NOT_FOUND",
            "models/m is not found for API version v1beta",
            "",
            "model_gone",
            "model",
        ),
        (500, "INTERNAL", "An internal error has occurred.", "", "transient", "model"),
        (
            503,
            "UNAVAILABLE",
            "This model is currently experiencing high demand.",
            "",
            "upstream_busy",
            "model",
        ),
    ],
)
def test_failures_are_sorted(
    status: int, word: str, message: str, reason: str, kind: str, scope: str
) -> None:
    error = read(status, f"{message} {KEY}", word, {"@type": f"{RPC}ErrorInfo", "reason": reason})
    assert (error.kind.value, error.scope.value) == (kind, scope)
    assert error.status == status
    assert KEY not in error.message


def test_a_page_in_front_of_the_vendor_is_not_the_models_fault() -> None:
    error = decode_error(502, {"content-type": "text/html"}, b"<html>bad gateway</html>", now=NOW)
    assert error.kind is ProviderErrorKind.TRANSIENT
    assert error.scope is ProviderErrorScope.PROVIDER


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (InvalidRequest("`a` is wrong.", param="a"), 400, "INVALID_ARGUMENT"),
        (Unauthenticated("No key."), 401, "UNAUTHENTICATED"),
        (UnknownModel("No such model."), 404, "NOT_FOUND"),
        (RateLimited("Too fast.", retry_after_s=1.5, limit=3), 429, "RESOURCE_EXHAUSTED"),
        (BROKEN, 502, "UNAVAILABLE"),
    ],
)
def test_our_errors_have_the_vendors_form(error: YmeraError, code: int, word: str) -> None:
    told = json.loads(encode_error(error))["error"]
    assert (told["code"], told["status"]) == (code, word)
    assert told["message"].startswith(error.message)
    again = decode_error(code, {}, encode_error(error), now=NOW)
    assert again.retry_after_s == getattr(error, "retry_after_s", None)


def test_the_parameter_at_fault_is_named() -> None:
    told = json.loads(encode_error(InvalidRequest("`a.b` is wrong.", param="a.b")))["error"]
    [violations] = [each for each in told["details"] if each["@type"] == f"{RPC}BadRequest"]
    assert violations["fieldViolations"][0]["field"] == "a.b"
