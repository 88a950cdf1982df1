"""Failed calls in each dialect's shape and each vendor's words."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ymera.core.model import Dialect
from ymera.core.quota import QuotaWindow
from ymera.testing.faults import Refusal
from ymera.testing.vendors import Words

__all__ = ["body_of", "error_event", "headers_of"]

_Json = dict[str, object]

_encode = msgspec.json.encode
_PER = {
    QuotaWindow.SECOND: "second",
    QuotaWindow.MINUTE: "minute",
    QuotaWindow.HOUR: "hour",
    QuotaWindow.DAY: "day",
    QuotaWindow.MONTH: "month",
}


def body_of(refusal: Refusal, dialect: Dialect, words: Words = Words.OPENAI) -> bytes:
    """Return the body of a failed call."""
    match dialect:
        case Dialect.ANTHROPIC:
            return _encode(_anthropic(refusal))
        case Dialect.GEMINI:
            return _encode(_google(refusal))
        case Dialect.OLLAMA:
            return _encode({"error": refusal.message})
        case _:
            return _encode(_WORDS.get(words, _openai)(refusal))


def headers_of(refusal: Refusal, dialect: Dialect, *, retry_after: bool) -> dict[str, str]:
    """Return what a failed call's head says besides its limits."""
    headers = dict(refusal.headers)
    if refusal.wait_s is not None and retry_after and dialect is not Dialect.GEMINI:
        headers.setdefault("retry-after", f"{max(refusal.wait_s, 0):.0f}")
    return headers


def error_event(dialect: Dialect) -> bytes:
    """Return what a stream carries when the upstream dies in its middle."""
    died = Refusal(status=502, message="upstream died")
    match dialect:
        case Dialect.ANTHROPIC:
            overloaded = _anthropic(Refusal(status=529, message="Overloaded"))
            return b"event: error\ndata: " + _encode(overloaded) + b"\n\n"
        case Dialect.OLLAMA:
            return _encode({"error": "upstream died"}) + b"\n"
        case Dialect.GEMINI:
            return b"data: " + _encode(_google(died)) + b"\r\n\r\n"
        case Dialect.OPENAI_RESPONSES:
            failed = {
                "type": "error",
                "code": "server_error",
                "message": "upstream died",
                "param": None,
                "sequence_number": 99,
            }
            return b"event: error\ndata: " + _encode(failed) + b"\n\n"
        case _:
            return (
                b"data: "
                + _encode({"error": {"message": "upstream died", "code": 502}})
                + (b"\n\n")
            )


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    410: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _anthropic(refusal: Refusal) -> _Json:
    kind = _ANTHROPIC_TYPES.get(refusal.status, "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": refusal.message},
        "request_id": "req_sim",
    }


_GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_GOOGLE_QUOTAS = {
    QuotaWindow.MINUTE: "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
    QuotaWindow.DAY: "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
}
_TYPE = "type.googleapis.com/google.rpc."


def _google(refusal: Refusal) -> _Json:
    details: list[_Json] = []
    if refusal.code == "invalid_api_key":
        details.append(
            {
                "@type": f"{_TYPE}ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }
        )
    if refusal.window in _GOOGLE_QUOTAS:
        details.append({"@type": f"{_TYPE}QuotaFailure", "violations": [_violation(refusal)]})
        wait_s = min(refusal.wait_s or 36.0, 36.0)  # of a day it says no more than of a minute
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{wait_s:.0f}s"})
    message = refusal.message
    if refusal.status == 429 and refusal.window is not None:
        message = f"You exceeded your current quota. {message}"
    status = _GOOGLE_STATUS.get(refusal.status, "UNKNOWN")
    error: _Json = {"code": refusal.status, "message": message, "status": status}
    return {"error": {**error, "details": details} if details else error}


def _violation(refusal: Refusal) -> _Json:
    quota = _GOOGLE_QUOTAS[refusal.window or QuotaWindow.MINUTE]
    metric = "generate_content_free_tier_requests"
    if refusal.metric == "tokens":
        quota = quota.replace("GenerateRequests", "GenerateContentInputTokens")
        metric = "generate_content_free_tier_input_token_count"
    found: _Json = {
        "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
        "quotaId": quota,
        "quotaDimensions": {"location": "global", "model": refusal.model or "m"},
    }
    return found if refusal.limit is None else {**found, "quotaValue": str(refusal.limit)}


def _openai(refusal: Refusal) -> _Json:
    kind = "invalid_request_error"
    if refusal.status == 429:
        kind = refusal.metric if refusal.limit is not None else "requests"
    elif refusal.status >= 500:
        kind = "server_error"
    return {
        "error": {
            "message": refusal.message,
            "type": kind,
            "param": None,
            "code": refusal.code,
        }
    }


def _groq(refusal: Refusal) -> _Json:
    if refusal.limit is None or refusal.window is None:
        return _openai(refusal)
    short = refusal.metric[0].upper() + "P" + refusal.window[0].upper()
    counted = f"{refusal.metric} per {_PER[refusal.window]} ({short}): Limit {refusal.limit}"
    if refusal.status == 413:
        text = (
            f"Request too large for model `{refusal.model}` in organization `org_sim` service "
            f"tier `on_demand` on {counted}, Requested {refusal.requested}, please reduce your "
            "message size and try again."
        )
    else:
        text = (
            f"Rate limit reached for model `{refusal.model}` in organization `org_sim` service "
            f"tier `on_demand` on {counted}, Used {refusal.used}, Requested {refusal.requested}. "
            f"Please try again in {_duration(refusal.wait_s or 0)}."
        )
    return {"error": {"message": text, "type": refusal.metric, "code": "rate_limit_exceeded"}}


def _duration(seconds: float) -> str:
    hours, rest = divmod(max(seconds, 0.0), 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{hours:.0f}h" if hours else "", f"{minutes:.0f}m" if hours or minutes else ""]
    return "".join(parts) + f"{left:.3f}".rstrip("0").rstrip(".") + "s"


def _openrouter(refusal: Refusal) -> _Json:
    message = refusal.message
    if refusal.limit is not None and refusal.window is not None:
        message = f"Rate limit exceeded: free-models-per-{_PER[refusal.window][:3]}. "
        if refusal.window is QuotaWindow.DAY:
            message += "Add 10 credits to unlock 1000 free model requests per day"
    error: _Json = {"message": message.strip(), "code": refusal.status}
    if refusal.headers:
        error["metadata"] = {"headers": refusal.headers, "provider_name": None}
    return {"error": error, "user_id": "user_sim"}


def _cohere(refusal: Refusal) -> _Json:
    if refusal.limit is None or refusal.window is None:
        return _openai(refusal)
    text = (
        f"You are using a Trial key, which is limited to {refusal.limit} API calls / "
        f"{_PER[refusal.window]}. Upgrade to a Production key to go on."
    )
    return _openai(msgspec.structs.replace(refusal, message=text))


def _cloudflare(refusal: Refusal) -> _Json:
    code, message = 5007, refusal.message
    if refusal.metric == "units":
        code = 4006
        message = (
            "you have used up your daily free allocation of "
            f"{refusal.limit or 10_000:,} neurons, please use the Workers Paid plan"
        )
    elif refusal.status in {429, 503}:
        code, message = 3040, "Capacity temporarily exceeded, please try again."
        if refusal.window is not None:
            code, message = 971, f"You have been rate limited: {refusal.message}"
    elif refusal.status == 401:
        code, message = 10_000, "Authentication error"
    return {
        "success": False,
        "errors": [{"code": code, "message": message}],
        "messages": [],
        "result": None,
    }


def _modelscope(refusal: Refusal) -> _Json:
    message = refusal.message
    if refusal.window is QuotaWindow.DAY:
        message = "You have exceeded today's quota, please try again tomorrow (requests per day)"
    return {"errors": {"message": message}, "request_id": "sim"}


def _mistral(refusal: Refusal) -> _Json:
    if refusal.status == 422:
        found = {"type": "missing", "loc": ["body", "messages"], "msg": refusal.message}
        return {"detail": [found]}
    if refusal.status == 401:
        return {"detail": "Unauthorized"}
    kind = "rate_limited" if refusal.status == 429 else "invalid_request_error"
    message = refusal.message
    if refusal.limit is not None and refusal.window is not None:
        message = f"{refusal.metric.capitalize()} per {_PER[refusal.window]} rate limit exceeded"
    return {
        "object": "error",
        "message": message,
        "type": kind,
        "param": None,
        "code": refusal.code or str(refusal.status),
    }


def _nvidia(refusal: Refusal) -> _Json:
    titles = {404: "Not Found", 410: "Gone", 429: "Too Many Requests", 401: "Unauthorized"}
    title = titles.get(refusal.status, "Error")
    if refusal.status == 429 and refusal.limit is not None:
        return {"status": 429, "title": title}
    return {"type": "about:blank", "status": refusal.status, "title": title} | {
        "detail": refusal.message
    }


def _zai(refusal: Refusal) -> _Json:
    code = {429: "1302", 503: "1305", 401: "1000"}.get(refusal.status, "1210")
    message = refusal.message
    if refusal.metric == "concurrent":
        message = "High concurrency usage of this API, please reduce concurrency"
    return {"error": {"code": code, "message": message}}


_WORDS: dict[Words, Callable[[Refusal], object]] = {
    Words.GROQ: _groq,
    Words.OPENROUTER: _openrouter,
    Words.COHERE: _cohere,
    Words.CLOUDFLARE: _cloudflare,
    Words.MODELSCOPE: _modelscope,
    Words.GOOGLE: lambda refusal: [_google(refusal)],  # in the OpenAI dialect it is a list
    Words.MISTRAL: _mistral,
    Words.NVIDIA: _nvidia,
    Words.HUGGING_FACE: lambda refusal: {"error": refusal.message},
    Words.ZAI: _zai,
}
