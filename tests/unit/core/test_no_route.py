"""Nothing can serve a request: whether waiting helps, and what to tell if it does not."""

from __future__ import annotations

import json

import pytest

from ymera.core.errors import (
    ConfigError,
    NoRoute,
    ProviderError,
    ProviderErrorKind,
    Unsupported,
    YmeraError,
)
from ymera.core.model import Dialect
from ymera.core.route import Exclusion, ExclusionReason
from ymera.wire.dialects import caller_dialect

Reason = ExclusionReason


def refused(*reasons: Reason, wait_s: float | None = None, **more: object) -> NoRoute:
    exclusions = [
        Exclusion(model_id=f"p/{reason}", reason=reason, detail="Why.", retry_after_s=wait_s)
        for reason in reasons
    ]
    return NoRoute("No.", exclusions=exclusions, hint="Do so.", **more)  # type: ignore[arg-type]


@pytest.mark.proves("routing.lasting-refusals")
@pytest.mark.parametrize(
    ("reasons", "status", "code"),
    [
        ((Reason.NOT_FREE,), 402, "no_free_route"),
        ((Reason.NOT_FREE, Reason.CONTEXT, Reason.NO_TOOLS), 402, "no_free_route"),
        ((Reason.CLOSED, Reason.NO_KEY), 402, "no_free_route"),
        ((Reason.PRIVACY, Reason.NO_KEY, Reason.NOT_FREE), 403, "no_private_route"),
        ((Reason.NO_KEY, Reason.NOT_FREE, Reason.NOT_PULLED), 424, "no_route"),
        ((Reason.KEY,), 424, "no_route"),
        ((Reason.NO_VISION, Reason.CONTEXT, Reason.NOT_CHAT), 400, "no_route"),
    ],
)
def test_what_no_waiting_mends_is_no_server_error(
    reasons: tuple[Reason, ...], status: int, code: str
) -> None:
    error = refused(*reasons)
    assert (error.http_status, error.code, error.exit_code) == (status, code, 5)
    assert not error.retryable
    assert error.retry_after_s is None


@pytest.mark.proves("routing.lasting-refusals")
@pytest.mark.parametrize(
    "error",
    [
        refused(),
        refused(Reason.QUOTA, Reason.NOT_FREE),
        refused(Reason.HEALTH, Reason.PRIVACY),
        refused(Reason.NOT_FREE, failures=[ProviderError("x", kind=ProviderErrorKind.TRANSIENT)]),
        refused(failures=[ConfigError("x")]),
    ],
)
def test_what_may_be_over_soon_is_unavailable(error: NoRoute) -> None:
    assert (error.http_status, error.code, error.exit_code) == (503, "no_route", 5)
    assert error.retryable


@pytest.mark.proves("routing.lasting-refusals")
def test_the_shortest_wait_is_told_where_waiting_helps() -> None:
    busy = ProviderError("x", kind=ProviderErrorKind.QUOTA_MINUTE, retry_after_s=7)
    assert refused(Reason.QUOTA, wait_s=9, failures=[busy]).retry_after_s == 7
    assert refused(Reason.QUOTA, wait_s=9).retry_after_s == 9


def test_failures_that_are_the_requests_keep_their_status() -> None:
    failures: list[YmeraError] = [
        Unsupported("x"),
        ProviderError("x", kind=ProviderErrorKind.TOO_LARGE),
    ]
    error = refused(failures=failures)
    assert (error.http_status, error.retryable) == (413, False)


@pytest.mark.proves("routing.lasting-refusals")
@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.NOT_FREE, ("insufficient_quota", "billing_error", "FAILED_PRECONDITION")),
        (Reason.PRIVACY, ("permission_error", "permission_error", "PERMISSION_DENIED")),
        (Reason.NO_KEY, ("invalid_request_error", "invalid_request_error", "FAILED_PRECONDITION")),
        (Reason.QUOTA, ("server_error", "overloaded_error", "UNAVAILABLE")),
    ],
)
def test_every_dialect_says_whose_matter_it_is(
    dialect: Dialect, reason: Reason, words: tuple[str, str, str]
) -> None:
    error = refused(reason, wait_s=7 if reason is Reason.QUOTA else None)
    body = json.loads(caller_dialect(dialect).encode_error(error))
    told = body["error"]
    if dialect is Dialect.OLLAMA:
        assert told == "No. Do so."
        return
    assert told["message"] == "No. Do so."
    match dialect:
        case Dialect.ANTHROPIC:
            assert told["type"] == words[1]
        case Dialect.GEMINI:
            assert (told["status"], told["code"]) == (words[2], error.http_status)
            assert ("retryDelay" in str(told)) is (reason is Reason.QUOTA)
        case _:
            assert (told["type"], told["code"]) == (words[0], error.code)
