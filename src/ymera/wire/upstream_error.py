"""What upstreams' failures mean, in whichever dialect, and the sentence our callers get to read.

One reader for all: hosts put another vendor's envelope around their errors often enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from ymera.core.errors import ProviderError, ProviderErrorScope, YmeraError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.redaction import redact
from ymera.wire.classify_error import Failure, classify
from ymera.wire.retry_after import retry_after_s

__all__ = ["bad_answer", "decode_error", "decode_error_value", "told"]

_MESSAGE_CHARS = 240
_BODY_CHARS = 8192
_LONG_TOKEN = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{24,}")
_NO_SENTENCE = "no reason given"

_HINTS = {
    Kind.AUTH: "Check the provider's key; it may be mistyped, expired or revoked.",
    Kind.QUOTA_MINUTE: "Wait a moment, or let another model answer.",
    Kind.QUOTA_DAY: "Today's allowance is used up; another model can answer until it resets.",
    Kind.QUOTA_MONTH: "The account's credit is used up; use another provider or add credit there.",
    Kind.MODEL_GONE: "Choose another model; this one is no longer served under that name.",
    Kind.CAPABILITY: "Leave the named parameter out, or choose another model.",
    Kind.TOO_LARGE: "Shorten the request, or choose a model with a larger context.",
    Kind.MODERATION: "Rephrase the request.",
}


def decode_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    secrets: Iterable[str] = (),
) -> ProviderError:
    """Return what a failed upstream call means.

    Args:
        status: HTTP status, not 2xx.
        headers: names in lower case.
        body: as much of it as was read; JSON in any vendor's shape, HTML or nothing.
        now: UTC, for `retry-after` given as a date.
        secrets: exact strings that must not appear in the message.
    """
    text = body[:_BODY_CHARS].decode("utf-8", "replace")
    html = "text/html" in headers.get("content-type", "").lower() or text.lstrip().startswith("<")
    wait_s = retry_after_s(headers, "" if html else text, now=now)
    if html:
        failure = classify(Failure(status=status, html=True, wait_s=wait_s))
        sentence = "an HTML page"
    else:
        value = _parse(body)
        sentence = _sentence(value) or _one_line(text)
        named = f"{sentence} {_codes(value)}".lower()
        failure = classify(Failure(status, named, text.lower(), wait_s=wait_s))
    return _error(status, failure, sentence, wait_s, secrets)


def decode_error_value(
    value: bytes, *, status: int | None = None, secrets: Iterable[str] = ()
) -> ProviderError:
    """Return what the `error` inside an answer means.

    Args:
        value: its JSON.
        status: HTTP status that the dialect's own words stand for; None looks for a number in
            `code`, where hosts put one when they know it.
        secrets: exact strings that must not appear in the message.
    """
    error = _parse(value)
    code = error.get("code") if isinstance(error, dict) else None
    said = code if isinstance(code, int) and 400 <= code < 600 else None
    sentence = _sentence(error)
    named = f"{sentence} {_codes(error)}".lower()
    text = value[:_BODY_CHARS].decode("utf-8", "replace").lower()
    failure = classify(Failure(said or status, named, text))
    return _error(said, failure, sentence, None, secrets)


def bad_answer(what: str) -> ProviderError:
    """Return the failure of an upstream that sent `what`, which is no answer."""
    return ProviderError(f"The upstream sent {what}.", kind=Kind.BAD_ANSWER)


def told(error: YmeraError) -> str:
    """Return what a caller reads of an error of ours: its message, then its hint."""
    if not error.hint:
        return error.message
    stop = "" if error.message.endswith((".", "!", "?")) else "."  # a vendor's words may lack it
    return f"{error.message}{stop} {error.hint}"


def _error(
    status: int | None,
    failure: tuple[Kind, ProviderErrorScope],
    sentence: str,
    wait_s: float | None,
    secrets: Iterable[str],
) -> ProviderError:
    kind, scope = failure
    said = _harmless(sentence, secrets) or _NO_SENTENCE
    answered = "reported an error" if status is None else f"answered {status}"
    return ProviderError(
        f"The upstream {answered}: {said}",
        kind=kind,
        scope=scope,
        status=status,
        retry_after_s=wait_s,
        hint=_HINTS.get(kind),
    )


def _harmless(sentence: str, secrets: Iterable[str]) -> str:
    """Return one short line without anything that is or looks like a key."""
    for secret in secrets:
        sentence = sentence.replace(secret, "***")
    line = _LONG_TOKEN.sub("***", redact(_one_line(sentence)))
    return line if len(line) <= _MESSAGE_CHARS else line[: _MESSAGE_CHARS - 1] + "…"


def _one_line(text: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())


def _parse(body: bytes) -> object:
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value


def _sentence(value: object) -> str:
    """Find the vendor's sentence, wherever its dialect of errors puts it."""
    match value:
        case str():
            return value
        case [first, *_]:
            return _sentence(first)
        case {"error": {} | [_, *_] | str() as inner} if inner:
            return _sentence(inner)
        case {"errors": [first, *_]}:
            return _sentence(first)
        case {"message": str(message), "detail": str(detail)} | {
            "title": str(message),
            "detail": str(detail),
        }:
            return f"{message}: {detail}"
        case {"message": str(message)} | {"msg": str(message)} | {"title": str(message)}:
            return message
        case {"message": {} | [_, *_] as inner} | {"detail": inner}:
            return _sentence(inner)
    return ""


def _codes(value: object) -> str:
    """Return the machine-readable words of the error: code, type, param, status."""
    match value:
        case [first, *_] | {"error": {} | [_, *_] as first} | {"errors": [first, *_]}:
            return _codes(first)
        case dict():
            words = (value.get(name) for name in ("code", "type", "param", "status"))
            return " ".join(str(word) for word in words if word is not None)
    return ""
