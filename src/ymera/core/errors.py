"""Every error a caller can meet, one class per thing the caller can do about it.

YmeraError
├── ConfigError              a setting or file is wrong; fix it and start again
├── CatalogError             the model catalogue is unreadable or inconsistent
├── MachineError             this machine refuses: disk, directory, port, download, missing package
├── RequestError             the request itself is wrong
│   ├── InvalidRequest       malformed, empty, not UTF-8, wrong type
│   ├── UnknownModel         no model, alias or agent of that name
│   ├── UnknownRun           no run of that id
│   ├── UnknownRequest       no finished request of that id
│   ├── Unsupported          a valid wish that nothing here can serve
│   └── TooLong              larger than the size limit or any context window
├── AccessError              the caller may not do this (now)
│   ├── Unauthenticated      no or wrong access key
│   ├── Forbidden            the access key lacks the right
│   ├── RateLimited          over our rate limit; wait `retry_after_s`
│   └── BudgetExceeded       money, tokens or calls are used up
├── GuardBlocked             a guard refused the text
├── ProviderError            an upstream call failed (`kind` says how, `scope` says what to avoid)
├── NoRoute                  nothing can serve this now; every exclusion with its reason
└── RunFailed                a multi-model run ended early; finished phases are kept

Each class carries a stable `code`, the HTTP status and the CLI exit code; each instance a human
sentence, a `hint` (what to do next) and, as `__cause__`, the original. Edges render them in the
caller's dialect; nothing else does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ymera.core.route import ExclusionReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ymera.core.quota import LimitSeen
    from ymera.core.route import Exclusion, RoutePlan

__all__ = [
    "AccessError",
    "BudgetExceeded",
    "CatalogError",
    "ConfigError",
    "Forbidden",
    "GuardBlocked",
    "InvalidRequest",
    "MachineError",
    "NoRoute",
    "ProviderError",
    "ProviderErrorKind",
    "ProviderErrorScope",
    "RateLimited",
    "RequestError",
    "RunFailed",
    "TooLong",
    "Unauthenticated",
    "UnknownModel",
    "UnknownRequest",
    "UnknownRun",
    "Unsupported",
    "YmeraError",
]


_EXIT_CREDENTIALS = 4


class YmeraError(Exception):
    """Base of every error Ymera raises on purpose.

    Args:
        message: one human sentence: what happened, with the offending value quoted.
        hint: one human sentence: what to do next.
        param: name of the request parameter, setting or argument at fault.
    """

    code: str = "ymera_error"
    http_status: int = 500
    exit_code: int = 1
    retryable: bool = False

    def __init__(self, message: str, *, hint: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.request_id: str | None = None
        """Name of the stored record; set by the gateway."""
        self.route: RoutePlan | None = None
        """What was considered before it failed; set by the gateway."""
        self.broke_off = False
        """Whether a model had begun to answer, so that it may have cost something."""

    def __str__(self) -> str:
        return self.message


class ConfigError(YmeraError):
    """A setting, configuration file or environment variable is wrong."""

    code = "config_error"
    exit_code = 2


class CatalogError(YmeraError):
    """The model catalogue (bundled or user overlay) is unreadable or inconsistent."""

    code = "catalog_error"
    exit_code = 2


class MachineError(YmeraError):
    """This machine refuses: unwritable directory, full disk, port in use, failed download."""

    code = "machine_error"


class RequestError(YmeraError):
    """The request is wrong; sending it again unchanged will fail again."""

    code = "invalid_request"
    http_status = 400
    exit_code = 2


class InvalidRequest(RequestError):
    """Malformed, empty, not UTF-8 or of the wrong type."""


class UnknownModel(RequestError):
    """No model, alias or agent has this name."""

    code = "model_not_found"
    http_status = 404


class UnknownRun(RequestError):
    """No run has this id."""

    code = "run_not_found"
    http_status = 404


class UnknownRequest(RequestError):
    """No finished request has this id."""

    code = "request_not_found"
    http_status = 404


class Unsupported(RequestError):
    """A well-formed wish that this installation cannot serve; `param` names it."""

    code = "unsupported"


class TooLong(RequestError):
    """Larger than the size limit, or than every context window."""

    code = "context_length_exceeded"
    http_status = 413


class AccessError(YmeraError):
    """The caller may not do this, or not now."""

    code = "access_error"
    http_status = 403
    exit_code = 4


class Unauthenticated(AccessError):
    """No access key, or one that is not valid."""

    code = "invalid_api_key"
    http_status = 401


class Forbidden(AccessError):
    """The access key is valid but lacks this right; or the origin of the request is foreign."""

    code = "forbidden"


class RateLimited(AccessError):
    """Over our own rate limit (a provider's quota is a `ProviderError`).

    Args:
        message: one human sentence.
        retry_after_s: seconds until the next request is allowed, above 0.
        limit: requests allowed per window.
        hint: what to do next.
    """

    code = "rate_limit_exceeded"
    http_status = 429
    exit_code = 5
    retryable = True

    def __init__(
        self, message: str, *, retry_after_s: float, limit: int, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s
        self.limit = limit


class BudgetExceeded(AccessError):
    """A budget of money, tokens or calls is used up."""

    code = "budget_exceeded"
    http_status = 402
    exit_code = 5


class GuardBlocked(YmeraError):
    """A guard refused the text; `guard` names it."""

    code = "guard_blocked"
    http_status = 400
    exit_code = 6

    def __init__(self, message: str, *, guard: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.guard = guard


class ProviderErrorKind(StrEnum):
    """How an upstream call failed; the same words for every dialect."""

    AUTH = "auth"
    QUOTA_MINUTE = "quota_minute"
    QUOTA_DAY = "quota_day"
    QUOTA_MONTH = "quota_month"
    UPSTREAM_BUSY = "upstream_busy"
    MODEL_GONE = "model_gone"
    CAPABILITY = "capability"
    TOO_LARGE = "too_large"
    MODERATION = "moderation"
    TRANSIENT = "transient"
    CLIENT_LOCK = "client_lock"
    BAD_ANSWER = "bad_answer"


_STATUS_BY_KIND = {
    ProviderErrorKind.QUOTA_MINUTE: 429,
    ProviderErrorKind.QUOTA_DAY: 429,
    ProviderErrorKind.QUOTA_MONTH: 429,
    ProviderErrorKind.UPSTREAM_BUSY: 503,
    ProviderErrorKind.CAPABILITY: 400,
    ProviderErrorKind.MODERATION: 400,
    ProviderErrorKind.TOO_LARGE: 413,
}
"""What the caller is told; every other kind is a bad gateway."""

_NOT_RETRYABLE = frozenset(
    {ProviderErrorKind.CAPABILITY, ProviderErrorKind.MODERATION, ProviderErrorKind.TOO_LARGE}
)


class ProviderErrorScope(StrEnum):
    """What the failure is about, so what else to avoid."""

    REQUEST = "request"
    KEY = "key"
    MODEL = "model"
    PROVIDER = "provider"


class ProviderError(YmeraError):
    """One upstream call failed.

    Args:
        message: one human sentence, without secrets and without the vendor's raw body.
        kind: how it failed.
        scope: what it is about.
        status: HTTP status of the upstream answer; None when there was none.
        retry_after_s: seconds the upstream asked to wait; None when it did not say.
        hint: what to do next.
        limits: what the failed answer says of the vendor's limits.
    """

    code = "provider_error"
    http_status = 502
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        kind: ProviderErrorKind,
        scope: ProviderErrorScope = ProviderErrorScope.MODEL,
        status: int | None = None,
        retry_after_s: float | None = None,
        hint: str | None = None,
        limits: tuple[LimitSeen, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.limits = limits
        self.scope = scope
        self.http_status = _STATUS_BY_KIND.get(kind, self.http_status)
        self.retryable = kind not in _NOT_RETRYABLE
        if kind is ProviderErrorKind.AUTH:
            self.exit_code = _EXIT_CREDENTIALS
        elif kind is ProviderErrorKind.TOO_LARGE:
            self.exit_code = TooLong.exit_code
        self.status = status
        self.retry_after_s = retry_after_s


class NoRoute(YmeraError):
    """Nothing can serve this request now.

    `exclusions` says for each model why not; `failures` holds what ended the attempts that were
    made, and `retry_after_s` the shortest wait after which one of them may answer. Where waiting
    helps nothing it is not `retryable`, and its status says what would: clients that ask again at
    each 5xx on their own are not to.
    """

    code = "no_route"
    http_status = 503
    exit_code = 5
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        exclusions: Sequence[Exclusion] = (),
        failures: Sequence[YmeraError] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.exclusions = tuple(exclusions)
        self.failures = tuple(failures)
        if (status := _lasting(self.exclusions, self.failures)) is not None:
            self.http_status, self.retryable = status, False
            self.code = _CODE_BY_STATUS.get(status, self.code)
        self.retry_after_s = self._wait_s() if self.retryable else None
        if failures and all(each.exit_code == _EXIT_CREDENTIALS for each in failures):
            self.exit_code = _EXIT_CREDENTIALS

    def _wait_s(self) -> float | None:
        of_providers = (each for each in self.failures if isinstance(each, ProviderError))
        waits = [each.retry_after_s for each in of_providers]
        waits += [each.retry_after_s for each in self.exclusions]
        return min((each for each in waits if each is not None), default=None)


_PASSING = frozenset({ExclusionReason.HEALTH, ExclusionReason.QUOTA})
"""What is over by itself some time."""

_LASTING = (
    ({ExclusionReason.PRIVACY}, 403),
    ({ExclusionReason.CLOSED}, 402),
    (
        {
            ExclusionReason.KEY,
            ExclusionReason.NOT_PULLED,
            ExclusionReason.NO_KEY,
            ExclusionReason.NO_CONSENT,
            ExclusionReason.NOT_CALLABLE,
        },
        424,
    ),
    ({ExclusionReason.NOT_FREE}, 402),
)
"""What stays as it is until somebody changes it, and the status it is told with: what the request
itself demands comes first, then what waits to be set up, then money."""

_CODE_BY_STATUS = {402: "no_free_route", 403: "no_private_route"}


def _lasting(exclusions: Sequence[Exclusion], failures: Sequence[YmeraError]) -> int | None:
    """Return the status of a refusal that no waiting changes; None where waiting may help."""
    reasons = {each.reason for each in exclusions} - {ExclusionReason.NOT_ASKED}
    waits = any(each.retry_after_s is not None for each in exclusions)
    if waits or reasons & _PASSING or any(each.retryable for each in failures):
        return None
    if failures:
        last = failures[-1].http_status
        return last if last < 500 else None
    if not reasons:
        return None
    return next((status for known, status in _LASTING if reasons & known), 400)


class RunFailed(YmeraError):
    """A multi-model run ended before its last phase; what was finished is kept."""

    code = "run_failed"
    http_status = 502
