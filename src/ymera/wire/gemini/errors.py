"""Failures: what an upstream's error means, and how ours are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime

import msgspec

from ymera.core.errors import NoRoute, ProviderError, RateLimited, YmeraError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.wire import upstream_error
from ymera.wire.upstream_error import told

__all__ = ["decode_error", "decode_error_value", "encode_error"]

_RPC = "type.googleapis.com/google.rpc."

_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    424: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_STATUSES = {word: status for status, word in reversed(_WORDS.items())} | {
    "FAILED_PRECONDITION": 400
}


def decode_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    secrets: Iterable[str] = (),
) -> ProviderError:
    """Return what a failed upstream call means; see `ymera.wire.codec.DecodeError`."""
    error = upstream_error.decode_error(status, headers, body, now=now, secrets=secrets)
    return _as_this_vendor_means_it(error, body)


def decode_error_value(value: bytes, *, secrets: Iterable[str] = ()) -> ProviderError:
    """Return what the `error` inside an answer means (`value`: its JSON)."""
    status = None
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        status = _STATUSES.get(_inner.decode(value).status or "")
    error = upstream_error.decode_error_value(value, status=status, secrets=secrets)
    return _as_this_vendor_means_it(error, value)


class _Inner(msgspec.Struct):
    status: str | None = None


_inner = msgspec.json.Decoder(_Inner)


def _as_this_vendor_means_it(error: ProviderError, body: bytes) -> ProviderError:
    """Correct the reading of words that only this vendor uses so."""
    text = body[:8192].decode("utf-8", "replace").lower()
    if error.kind is Kind.CAPABILITY and "api_key_invalid" in text:
        return _again(error, Kind.AUTH, Scope.KEY, "Check the provider's key; it may have expired.")
    if error.kind is Kind.CAPABILITY and "location is not supported" in text:
        hint = "Use another provider; this one does not serve the place this machine is in."
        return _again(error, Kind.CAPABILITY, Scope.PROVIDER, hint)
    if error.kind is Kind.QUOTA_DAY:
        # What it asks to wait are seconds, though nothing comes back before the day's reset.
        error.retry_after_s = None
    return error


def _again(error: ProviderError, kind: Kind, scope: Scope, hint: str) -> ProviderError:
    return ProviderError(error.message, kind=kind, scope=scope, status=error.status, hint=hint)


# --- to our callers --------------------------------------------------------------------------


def encode_error(error: YmeraError) -> bytes:
    """Return the error as this dialect writes it; the hint follows the message."""
    details: list[dict[str, object]] = [
        {"@type": f"{_RPC}ErrorInfo", "reason": error.code.upper(), "domain": "ymera"}
    ]
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_RPC}BadRequest", "fieldViolations": [violation]})
    wait_s = (
        error.retry_after_s if isinstance(error, RateLimited | ProviderError | NoRoute) else None
    )
    if wait_s is not None:
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": f"{wait_s:.9g}s"})
    status = error.http_status
    word = _WORDS.get(status, "INVALID_ARGUMENT" if status < 500 else "UNAVAILABLE")
    fields = {"code": status, "message": told(error), "status": word, "details": details}
    return msgspec.json.encode({"error": fields})
