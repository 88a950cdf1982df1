"""Failures: what an upstream's error means, and how ours are written."""

from __future__ import annotations

import msgspec

from ymera.core.errors import ProviderError, YmeraError
from ymera.wire.upstream_error import decode_error, decode_error_value, told

__all__ = ["decode_error", "decode_error_event", "encode_error"]

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 408,
    "api_error": 500,
    "overloaded_error": 529,
}
_TYPE_OF_STATUS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class _Typed(msgspec.Struct):
    type: str | None = None


def decode_error_event(error: msgspec.Raw, *, secrets: tuple[str, ...] = ()) -> ProviderError:
    """Return what the `error` of an event (or of an answer with status 200) means.

    Its `type` stands for an HTTP status, which came too early to tell.
    """
    try:
        kind = msgspec.json.decode(error, type=_Typed).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        kind = None
    status = _STATUS_OF_TYPE.get(kind or "")
    return decode_error_value(bytes(error), status=status, secrets=secrets)


def encode_error(error: YmeraError) -> bytes:
    """Return the error as this dialect writes it; the hint follows the message.

    `details.error_code` is our stable code, `details.param` the parameter at fault.
    """
    fields: dict[str, object] = {"type": _type_of(error), "message": told(error)}
    fields["details"] = {"error_code": error.code, "param": error.param}
    return msgspec.json.encode({"type": "error", "error": fields, "request_id": error.request_id})


def _type_of(error: YmeraError) -> str:
    if (word := _TYPE_OF_STATUS.get(error.http_status)) is not None:
        return word
    if 400 <= error.http_status < 500:
        return "invalid_request_error"
    return "api_error"
