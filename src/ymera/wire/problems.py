"""How what is wrong with a caller's request is told: always with the name of the parameter."""

from __future__ import annotations

import re

import msgspec

from ymera.core.errors import InvalidRequest, Unsupported

__all__ = ["given", "invalid", "not_json", "schema_of", "unsupported", "wrong_shape"]


def invalid(param: str, message: str, hint: str) -> InvalidRequest:
    """Return the error of a wrong parameter."""
    return InvalidRequest(f"`{param}` {message}", hint=hint, param=param)


def unsupported(param: str, what: str, hint: str) -> Unsupported:
    """Return the error of a wish that cannot be fulfilled here."""
    return Unsupported(f"`{param}`: {what} is not supported.", hint=hint, param=param)


_CHAT = "`model` and `messages`"


def not_json(wanted: str = _CHAT) -> InvalidRequest:
    """Return the error of a body that cannot be read at all; `wanted` names what it should hold."""
    return InvalidRequest(
        "The request body is not valid JSON in UTF-8.",
        hint=f"Send one JSON object encoded as UTF-8, with {wanted}.",
    )


def wrong_shape(error: str, prefix: str = "", *, wanted: str = _CHAT) -> InvalidRequest:
    """Return what msgspec's sentence means; it ends in the place: "... - at `$.messages[0].role`".

    Args:
        error: that sentence.
        prefix: where the decoded part stands in the request.
        wanted: names what a whole body should hold.
    """
    what, _, place = error.partition(" - at `$")
    path = f"{prefix}{place.rstrip('`')}".lstrip(".")
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        param = f"{path}.{missing[1]}" if path else missing[1]
        return invalid(param, "is missing.", f"Add `{param}`.")
    expected = what[:1].lower() + what[1:]
    if not path:
        return InvalidRequest(
            f"The request body has the wrong shape: {expected}.",
            hint=f"Send one JSON object with {wanted}.",
        )
    return invalid(path, f"is wrong: {expected}.", "Correct that field.")


def given(raw: msgspec.Raw | None) -> bool:
    """Return whether a field says anything: it is there, and neither null, false nor empty."""
    return raw is not None and bytes(raw) not in {b"", b"null", b"[]", b"{}", b'""', b"false"}


def schema_of(raw: msgspec.Raw, param: str) -> msgspec.Raw | None:
    """Return `raw` when it is a JSON object, None when it is absent or null.

    Raises:
        InvalidRequest: it is anything else.
    """
    text = bytes(raw).lstrip()
    if text in {b"", b"null"}:
        return None
    if not text.startswith(b"{"):
        raise invalid(param, "is not a JSON object.", "Send a JSON Schema.")
    return raw
