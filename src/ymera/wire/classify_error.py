"""What an upstream's failure means, for every dialect: one table of signals.

Vendors agree on little: the same status means different things, so their words are looked at too.
Order matters; the first rule that holds decides.
"""

from __future__ import annotations

import re

import msgspec

from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope

__all__ = ["Failure", "classify"]

_MINUTE_AT_MOST_S = 120.0
_DAY_AT_MOST_S = 36 * 3600.0


class Failure(msgspec.Struct, frozen=True):
    """What was seen.

    Attributes:
        status: HTTP status; None when an error came inside an answer without one.
        named: the vendor's sentence and codes, lower case.
        body: the whole (shortened) body, lower case. Only quota words are looked for in it: in
            other errors vendors quote the caller's own text.
        html: the body was a web page, so it came from something in front of the vendor's API.
        wait_s: seconds the vendor asked to wait.
    """

    status: int | None = None
    named: str = ""
    body: str = ""
    html: bool = False
    wait_s: float | None = None


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_CLIENT_LOCK = _words(r"can only be used (in|with|from)")
_BAD_KEY = _words(r"api_key_invalid", r"(invalid|incorrect) api[ _-]?key", r"api key not valid")
_NO_CREDIT = _words(
    r"insufficient_quota",
    r"payment_method_required",
    r"insufficient (credit|balance|funds)",
    r"billing_error",
    r"credit balance is too low",
)
_TOO_LARGE = _words(
    r"context_length_exceeded",
    r"maximum context length",
    r"maximum number of (input )?tokens",
    r"context (window|size|length|limit)",
    r"request too large",
    r"(prompt|input) is too long",
    r"too many (input )?tokens",
    r"reduce the length",
)
_MODERATION = _words(r"content[_ ](policy|filter)", r"moderation", r"\bflagged\b", r"safety system")
_GONE = _words(
    r"model_not_found",
    r"decommissioned",
    r"no longer (available|supported|served)",
    r"end[ -]of[ -]life",
    r"(unknown|invalid) model",
    r"model\b.{0,120}\b(does not exist|not found|not exist|is retired|was retired)",
)
_NOT_FOR_YOU = _words(
    r"\bplan\b", r"upgrade", r"region", r"country", r"access to (this |the )?model"
)
_BUSY = _words(
    r"overloaded",
    r"high demand",
    r"at capacity",
    r"queue_exceeded",
    r"engine is currently",
    r"\b3040\b",
)
_MONTH = _words(r"per[ _-]?month", r"/ ?month\b", r"monthly", r"tokens-month")
_DAY = _words(r"per[ _-]?day", r"\bdaily\b", r"neurons", r"\((rpd|tpd)\)", r"\brpd\b", r"\btpd\b")
_WHOLE_KEY = _words(r"free-models-per-day", r"neurons", r"\baccount\b")


def classify(failure: Failure) -> tuple[Kind, Scope]:
    """Return how the call failed and what to avoid because of it."""
    if failure.html:
        return _page(failure.status)
    if found := _by_words(failure):
        return found
    match failure.status:
        case 401:
            return Kind.AUTH, Scope.KEY
        case 403:
            return _forbidden(failure)
        case 404:
            return _not_found(failure)
        case 410:
            return Kind.MODEL_GONE, Scope.MODEL
        case 429:
            return _too_many(failure)
        case 498 | 529:
            return Kind.UPSTREAM_BUSY, Scope.MODEL
        case status if (status is not None and 300 <= status < 400) or status == 405:
            return Kind.BAD_ANSWER, Scope.PROVIDER  # the base URL is wrong
        case status if status is None or status >= 500 or status in {408, 409, 425}:
            busy = _BUSY.search(failure.named)
            return (Kind.UPSTREAM_BUSY if busy else Kind.TRANSIENT), Scope.MODEL
    return Kind.CAPABILITY, Scope.REQUEST


def _page(status: int | None) -> tuple[Kind, Scope]:
    """Judge a web page: never the model's fault."""
    if status == 401:
        return Kind.AUTH, Scope.KEY
    if status == 429:
        return Kind.QUOTA_MINUTE, Scope.PROVIDER
    if status == 413:
        return Kind.TOO_LARGE, Scope.REQUEST
    if status is not None and (status >= 500 or status in {403, 408}):
        return Kind.TRANSIENT, Scope.PROVIDER
    return Kind.BAD_ANSWER, Scope.PROVIDER


def _by_words(failure: Failure) -> tuple[Kind, Scope] | None:
    """Judge by words that mean the same under any status."""
    status, named = failure.status, failure.named
    if _CLIENT_LOCK.search(named):
        return Kind.CLIENT_LOCK, Scope.PROVIDER
    if status == 402 or _NO_CREDIT.search(named):
        return Kind.QUOTA_MONTH, Scope.KEY
    if status == 413 or _TOO_LARGE.search(named):
        return Kind.TOO_LARGE, Scope.REQUEST
    if status in {400, 403, 422} and _MODERATION.search(named):
        return Kind.MODERATION, Scope.REQUEST
    if status in {400, 403} and _BAD_KEY.search(named):
        return Kind.AUTH, Scope.KEY
    if status in {400, 403, 404, 422} and _GONE.search(named):
        return Kind.MODEL_GONE, Scope.MODEL
    return None


def _forbidden(failure: Failure) -> tuple[Kind, Scope]:
    if _NOT_FOR_YOU.search(failure.named):
        return Kind.CAPABILITY, Scope.MODEL
    return Kind.AUTH, Scope.KEY


def _not_found(failure: Failure) -> tuple[Kind, Scope]:
    if "no endpoints found" in failure.named:  # OpenRouter: none that can do what was asked
        return Kind.CAPABILITY, Scope.REQUEST
    return Kind.MODEL_GONE, Scope.MODEL


def _too_many(failure: Failure) -> tuple[Kind, Scope]:
    wait_s = failure.wait_s or 0.0
    if _MONTH.search(failure.body) or wait_s > _DAY_AT_MOST_S:
        return Kind.QUOTA_MONTH, Scope.KEY
    if _DAY.search(failure.body) or wait_s > _MINUTE_AT_MOST_S:
        whole_key = _WHOLE_KEY.search(failure.body)
        return Kind.QUOTA_DAY, Scope.KEY if whole_key else Scope.MODEL
    if _BUSY.search(failure.body) or "upstream" in failure.body:
        return Kind.UPSTREAM_BUSY, Scope.MODEL
    return Kind.QUOTA_MINUTE, Scope.MODEL
