from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.core.errors import UnknownModel
from ymera.wire.openai_chat import decode_error, encode_error

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def error(message: str, **fields: object) -> bytes:
    return json.dumps({"error": {"message": message, **fields}}).encode()


@pytest.mark.proves("providers.errors", "wire.error-taxonomy")
@pytest.mark.parametrize(
    ("status", "body", "kind", "scope"),
    [
        (401, error("Invalid API Key"), Kind.AUTH, Scope.KEY),
        (403, error("Access denied."), Kind.AUTH, Scope.KEY),
        (400, error("API key not valid.", code="API_KEY_INVALID"), Kind.AUTH, Scope.KEY),
        (403, error("Your input was flagged"), Kind.MODERATION, Scope.REQUEST),
        (400, error("x", code="content_policy_violation"), Kind.MODERATION, Scope.REQUEST),
        (403, error("Not included in your plan"), Kind.CAPABILITY, Scope.MODEL),
        (402, error("Insufficient credits"), Kind.QUOTA_MONTH, Scope.KEY),
        (429, error("x", code="insufficient_quota"), Kind.QUOTA_MONTH, Scope.KEY),
        (429, error("Limit per month reached"), Kind.QUOTA_MONTH, Scope.KEY),
        (429, error("Rate limit exceeded: free-models-per-day"), Kind.QUOTA_DAY, Scope.KEY),
        (429, error("tokens per day (TPD): Limit 100000"), Kind.QUOTA_DAY, Scope.MODEL),
        (
            429,
            error("quota", details=[{"quotaId": "RequestsPerDayPerModel"}]),
            Kind.QUOTA_DAY,
            Scope.MODEL,
        ),
        (429, error("you have used your daily neurons"), Kind.QUOTA_DAY, Scope.KEY),
        (429, error("Requests per minute"), Kind.QUOTA_MINUTE, Scope.MODEL),
        (429, b"", Kind.QUOTA_MINUTE, Scope.MODEL),
        (
            429,
            error("Provider returned error", metadata={"raw": "rate-limited upstream"}),
            Kind.UPSTREAM_BUSY,
            Scope.MODEL,
        ),
        (429, error("queue_exceeded: high traffic"), Kind.UPSTREAM_BUSY, Scope.MODEL),
        (503, error("Experiencing high demand"), Kind.UPSTREAM_BUSY, Scope.MODEL),
        (498, error("Capacity"), Kind.UPSTREAM_BUSY, Scope.MODEL),
        (529, error("Overloaded"), Kind.UPSTREAM_BUSY, Scope.MODEL),
        (404, error("The model `x` does not exist"), Kind.MODEL_GONE, Scope.MODEL),
        (404, b'{"detail":"Not Found"}', Kind.MODEL_GONE, Scope.MODEL),
        (410, error("gone"), Kind.MODEL_GONE, Scope.MODEL),
        (400, error("x", code="model_decommissioned"), Kind.MODEL_GONE, Scope.MODEL),
        (404, error("No endpoints found that support tools"), Kind.CAPABILITY, Scope.REQUEST),
        (400, error("`top_k` is not supported"), Kind.CAPABILITY, Scope.REQUEST),
        (422, b'{"detail":[{"msg":"extra field"}]}', Kind.CAPABILITY, Scope.REQUEST),
        (413, error("Request too large: tokens per minute"), Kind.TOO_LARGE, Scope.REQUEST),
        (400, error("x", code="context_length_exceeded"), Kind.TOO_LARGE, Scope.REQUEST),
        (400, error("can only be used in OpenCode"), Kind.CLIENT_LOCK, Scope.PROVIDER),
        (408, b"", Kind.TRANSIENT, Scope.MODEL),
        (409, error("conflict"), Kind.TRANSIENT, Scope.MODEL),
        (500, error("oops"), Kind.TRANSIENT, Scope.MODEL),
        (502, b"<html>Bad Gateway</html>", Kind.TRANSIENT, Scope.PROVIDER),
        (403, b"<!DOCTYPE html>", Kind.TRANSIENT, Scope.PROVIDER),
        (401, b"<html>", Kind.AUTH, Scope.KEY),
        (413, b"<html>", Kind.TOO_LARGE, Scope.REQUEST),
        (429, b"<html>", Kind.QUOTA_MINUTE, Scope.PROVIDER),
        (404, b"<html>", Kind.BAD_ANSWER, Scope.PROVIDER),
        (302, b"", Kind.BAD_ANSWER, Scope.PROVIDER),
        (405, b"", Kind.BAD_ANSWER, Scope.PROVIDER),
    ],
)
def test_a_failure_is_sorted_by_status_and_words(
    status: int, body: bytes, kind: Kind, scope: Scope
) -> None:
    found = decode_error(status, {}, body, now=NOW)

    assert (found.kind, found.scope, found.status) == (kind, scope, status)
    assert str(status) in found.message


def test_a_long_wait_tells_a_day_or_a_month_from_a_minute() -> None:
    kinds = [
        decode_error(429, {"retry-after": wait}, b"", now=NOW).kind
        for wait in ("60", "3600", "864000")
    ]

    assert kinds == [Kind.QUOTA_MINUTE, Kind.QUOTA_DAY, Kind.QUOTA_MONTH]


@pytest.mark.parametrize(
    ("headers", "body", "wait_s"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, b"", 1.5),
        ({"retry-after": "9"}, b"", 9.0),
        ({"retry-after": " 0.5 "}, b"", 0.5),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, b"", 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, b"", 0.0),
        ({"retry-after": "Sun, 99 Nov 2026 11:00:00 GMT"}, b"", None),
        ({"retry-after": "soon"}, b"", None),
        ({"retry-after": "-5"}, b"", None),
        ({"retry-after": "9" * 11}, b"", 62 * 86400.0),
        ({}, error("Please try again in 1m26.4s."), 86.4),
        ({}, error("Please try again in 750ms"), 0.75),
        ({}, error("x", details=[{"retryDelay": "34s"}]), 34.0),
        ({}, error("x"), None),
    ],
)
def test_the_wait_is_read_in_every_form(
    headers: dict[str, str], body: bytes, wait_s: float | None
) -> None:
    assert decode_error(429, headers, body, now=NOW).retry_after_s == pytest.approx(wait_s)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":"bare words"}', "bare words"),
        (b'{"message":"flat"}', "flat"),
        (b'{"message":{"detail":[{"msg":"deep"}]}}', "deep"),
        (b'[{"error":{"message":"in a list"}}]', "in a list"),
        (b'{"errors":[{"message":"cloud","code":7}],"success":false}', "cloud"),
        (b'{"title":"Gone","detail":"it left"}', "Gone: it left"),
        (b"two\n\tlines \x07", "two lines"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", "no reason given"),
        (b"{}", "{}"),
        (b"<html><h1>500</h1>", "an HTML page"),
        (b"[" * 200_000, "[["),
    ],
)
def test_the_vendors_sentence_is_found_and_made_one_line(body: bytes, said: str) -> None:
    message = decode_error(500, {}, body, now=NOW).message

    assert message.startswith(f"The upstream answered 500: {said}")
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.proves("providers.no-secrets")
@pytest.mark.parametrize(
    "body",
    [
        error("Incorrect API key provided: sk-proj-abcdefgh12345678."),
        error("bad key canary-key"),
        error("key 0123456789abcdef0123456789abcdef is unknown"),
        error("Authorization: Bearer canary-key"),
        b"plain canary-key",
    ],
)
def test_no_key_is_left_in_the_message(body: bytes) -> None:
    found = decode_error(401, {}, body, now=NOW, secrets=("canary-key",))

    for secret in ("abcdefgh12345678", "canary-key", "0123456789abcdef"):
        assert secret not in found.message
    assert found.hint


def test_the_hint_follows_as_a_sentence_of_its_own() -> None:
    def message(words: str) -> str:
        body = encode_error(UnknownModel(words, hint="Name another."))
        found: str = json.loads(body)["error"]["message"]
        return found

    assert message("No such thing") == "No such thing. Name another."
    assert message("No such thing.") == "No such thing. Name another."
