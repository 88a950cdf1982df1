"""Failures: what an upstream's error means, and how ours are written."""

from __future__ import annotations

import msgspec

from ymera.core.errors import (
    BudgetExceeded,
    Forbidden,
    ProviderError,
    RateLimited,
    RequestError,
    Unauthenticated,
    YmeraError,
)
from ymera.wire.upstream_error import decode_error, decode_error_value, told

__all__ = ["decode_error", "decode_error_value", "encode_error"]

_TYPES: tuple[tuple[type[YmeraError], str], ...] = (
    (RequestError, "invalid_request_error"),
    (Unauthenticated, "authentication_error"),
    (Forbidden, "permission_error"),
    (RateLimited, "rate_limit_error"),
    (BudgetExceeded, "insufficient_quota"),
    (ProviderError, "upstream_error"),
)

_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    402: "insufficient_quota",
    403: "permission_error",
    424: "invalid_request_error",
}
"""Of refusals whose class alone does not say whose matter it is."""


def encode_error(error: YmeraError) -> bytes:
    """Return the error as this dialect writes it; the hint follows the message."""
    kind = next((name for cls, name in _TYPES if isinstance(error, cls)), None)
    if kind is None:
        kind = _TYPE_OF_STATUS.get(error.http_status, "server_error")
    fields = {"message": told(error), "type": kind, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": fields})
