"""What headers and error bodies say of limits, vendor by vendor."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.errors import ProviderErrorKind
from ymera.core.quota import LimitSeen, LimitSource, QuotaMetric, QuotaWindow
from ymera.wire.rate_limits import (
    limits_in_error,
    limits_in_headers,
    limits_of_failure,
    seconds_until,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
REQUESTS, TOKENS = QuotaMetric.REQUESTS, QuotaMetric.TOKENS
MINUTE, DAY, MONTH = QuotaWindow.MINUTE, QuotaWindow.DAY, QuotaWindow.MONTH

Row = tuple[QuotaMetric, QuotaWindow, int | None, int | None, float | None]


def rows(limits: tuple[LimitSeen, ...]) -> list[Row]:
    return [(e.metric, e.window, e.limit, e.remaining, e.reset_s) for e in limits]


def in_headers(provider: str, **headers: str) -> list[Row]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return rows(limits_in_headers(named, provider, NOW))


@pytest.mark.proves("quota.headers")
def test_groq_counts_requests_by_the_day_and_tokens_by_the_minute() -> None:
    assert in_headers(
        "groq",
        x_ratelimit_limit_requests="1000",
        x_ratelimit_remaining_requests="999",
        x_ratelimit_reset_requests="1m26.4s",
        x_ratelimit_limit_tokens="8000",
        x_ratelimit_remaining_tokens="7100",
        x_ratelimit_reset_tokens="750ms",
        x_request_id="req_1",
    ) == [(REQUESTS, DAY, 1000, 999, 86.4), (TOKENS, MINUTE, 8000, 7100, 0.75)]


@pytest.mark.parametrize(("reset", "window"), [("20s", MINUTE), ("6h0m0s", DAY)])
def test_where_no_name_says_the_window_its_reset_does(reset: str, window: QuotaWindow) -> None:
    found = in_headers(
        "openai", x_ratelimit_remaining_requests="5", x_ratelimit_reset_requests=reset
    )
    assert [row[1] for row in found] == [window]


@pytest.mark.proves("quota.headers")
def test_suffixes_name_the_window_and_mistral_shortens_requests() -> None:
    assert in_headers(
        "cerebras",
        x_ratelimit_limit_requests_day="100",
        x_ratelimit_remaining_requests_day="1",
        x_ratelimit_reset_requests_day="3600.5",
        x_ratelimit_remaining_tokens_minute="3",
    ) == [(REQUESTS, DAY, 100, 1, 3600.5), (TOKENS, MINUTE, None, 3, None)]
    assert in_headers(
        "mistral",
        x_ratelimit_limit_req_minute="60",
        x_ratelimit_remaining_req_minute="59",
        x_ratelimit_limit_tokens_month="4000000",
        x_ratelimit_tokens_query_cost="52",
    ) == [(REQUESTS, MINUTE, 60, 59, None), (TOKENS, MONTH, 4_000_000, None, None)]


@pytest.mark.proves("quota.headers")
def test_openrouter_gives_its_reset_in_milliseconds_since_1970() -> None:
    midnight_ms = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp() * 1000)
    assert in_headers(
        "openrouter",
        x_ratelimit_limit="50",
        x_ratelimit_remaining="0",
        x_ratelimit_reset=str(midnight_ms),
    ) == [(REQUESTS, DAY, 50, 0, 43_200)]


@pytest.mark.proves("quota.headers")
def test_anthropic_gives_its_reset_as_a_moment() -> None:
    assert in_headers(
        "anthropic",
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2026-11-23T12:00:30Z",
        anthropic_ratelimit_input_tokens_limit="7",
    ) == [(REQUESTS, MINUTE, 50, 49, 30)]


@pytest.mark.proves("quota.headers")
def test_modelscope_tells_the_account_from_the_model() -> None:
    found = limits_in_headers(
        {
            "modelscope-ratelimit-requests-limit": "2000",
            "modelscope-ratelimit-requests-remaining": "1999",
            "modelscope-ratelimit-model-requests-limit": "200",
            "modelscope-ratelimit-model-requests-remaining": "150",
        },
        "modelscope",
        NOW,
    )
    assert [(e.limit, e.remaining, e.of_model) for e in found] == [
        (2000, 1999, False),
        (200, 150, True),
    ]


def test_cohere_counts_the_minute_down_and_names_the_month() -> None:
    assert in_headers(
        "cohere",
        x_trial_endpoint_call_limit="20",
        x_trial_endpoint_call_remaining="19",
        x_endpoint_monthly_call_limit="1000",
    ) == [(REQUESTS, MINUTE, 20, 19, None), (REQUESTS, MONTH, 1000, None, None)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12),
        ("0.25", 0.25),
        ("1h2m3.5s", 3723.5),
        ("2d", 172_800),
        ("1795435230", 30),
        ("1795435230000", 30),
        ("2026-11-23T13:00:30+01:00", 30),
        ("2026-11-23T11:00:00Z", 0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("Tnonsense", None),
    ],
)
def test_a_reset_is_read_in_every_form_in_use(text: str, seconds: float | None) -> None:
    assert seconds_until(text, NOW) == seconds


# --- bodies ------------------------------------------------------------------------------------


def google(quota: str, value: str | None = "20", delay: str = "36s") -> bytes:
    violation = {"quotaMetric": "x/generate_content_free_tier", "quotaId": quota}
    if value is not None:
        violation["quotaValue"] = value
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    return msgspec.json.encode({"error": {"code": 429, "message": "quota", "details": details}})


@pytest.mark.proves("quota.error-bodies")
@pytest.mark.parametrize(
    ("quota", "row", "of_model"),
    [
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", (REQUESTS, DAY, 20, 0, 36), True),
        ("GenerateRequestsPerMinutePerProject-FreeTier", (REQUESTS, MINUTE, 20, 0, 36), False),
        (
            "GenerateContentInputTokensPerModelPerMinute-FreeTier",
            (TOKENS, MINUTE, 20, 0, 36),
            True,
        ),
    ],
)
def test_googles_quota_failure_names_limit_and_value(quota: str, row: Row, of_model: bool) -> None:
    for body in (google(quota), b"[" + google(quota) + b"]"):
        found = limits_in_error(429, body)
        assert rows(found) == [row]
        assert found[0].of_model is of_model
        assert found[0].source is LimitSource.ERROR


@pytest.mark.proves("quota.error-bodies")
def test_groqs_sentence_tells_what_is_used_and_when_to_come_back() -> None:
    sentence = (
        "Rate limit reached for model `m` in organization `o` service tier `on_demand` on tokens "
        "per minute (TPM): Limit 6000, Used 5500, Requested ~900. Please try again in 4.05s."
    )
    body = msgspec.json.encode({"error": {"message": sentence, "type": "tokens"}})
    assert rows(limits_in_error(429, body)) == [
        (TOKENS, MINUTE, 6000, 500, None),
        (TOKENS, MINUTE, 6000, 0, 4.05),
    ]


def test_a_request_too_large_for_groq_teaches_the_limit_and_uses_nothing_up() -> None:
    sentence = (
        "Request too large for model `m` in organization `o` service tier `on_demand` on tokens "
        "per minute (TPM): Limit 8000, Requested 9000, please reduce your message size."
    )
    body = msgspec.json.encode({"error": {"message": sentence}})
    assert rows(limits_in_error(413, body)) == [(TOKENS, MINUTE, 8000, None, None)]


@pytest.mark.proves("quota.error-bodies")
def test_openrouters_own_limit_is_read_and_a_hosts_behind_it_is_not() -> None:
    own = {
        "message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000",
        "metadata": {
            "headers": {
                "X-RateLimit-Limit": "50",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1795478400000",
            }
        },
    }
    found = limits_in_error(429, msgspec.json.encode({"error": own}), now=NOW)
    assert rows(found) == [(REQUESTS, DAY, 50, 0, 43_200)]
    assert found[0].of_model is False
    behind = {"error": {"message": "m is temporarily rate-limited upstream", "metadata": {}}}
    assert limits_in_error(429, msgspec.json.encode(behind)) == ()


@pytest.mark.proves("quota.error-bodies")
@pytest.mark.parametrize(
    ("message", "row"),
    [
        ("a Trial key, which is limited to 20 API calls / minute.", (REQUESTS, MINUTE, 20, 0)),
        ("a Trial key, limited to 1000 API calls / month.", (REQUESTS, MONTH, 1000, 0)),
        (
            "you have used up your daily free allocation of 10,000 neurons",
            (QuotaMetric.UNITS, DAY, 10_000, 0),
        ),
        (
            "you (me) have reached your session usage limit, upgrade",
            (REQUESTS, QuotaWindow.SESSION, None, 0),
        ),
        (
            "you (me) have reached your weekly usage limit, upgrade",
            (REQUESTS, QuotaWindow.WEEK, None, 0),
        ),
    ],
)
def test_sentences_of_other_vendors_are_read(message: str, row: tuple[object, ...]) -> None:
    found = limits_in_error(429, msgspec.json.encode({"message": message}))
    assert [each[:4] for each in rows(found)] == [row]


@pytest.mark.parametrize("status", [200, 400, 401, 500, 503])
def test_only_refusals_are_read_for_limits(status: int) -> None:
    assert limits_in_error(status, b'{"message":"limited to 20 API calls / minute"}') == ()


def test_a_busy_upstream_says_nothing_of_our_quota() -> None:
    body = b'{"message":"limited to 20 API calls / minute"}'
    headers = {"x-ratelimit-remaining-requests": "0"}

    def told(kind: ProviderErrorKind) -> int:
        return len(limits_of_failure(kind, 429, headers, body, "groq", NOW))

    assert told(ProviderErrorKind.QUOTA_MINUTE) == 2
    assert told(ProviderErrorKind.UPSTREAM_BUSY) == 1


@pytest.mark.proves("quota.never-raises")
@given(st.binary(max_size=300), st.sampled_from([403, 413, 429]))
def test_no_body_raises(body: bytes, status: int) -> None:
    assert isinstance(limits_in_error(status, body, now=NOW), tuple)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "details", "violations", "quotaId", "metadata", "headers"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.proves("quota.never-raises")
@given(JSON)
def test_no_json_raises(value: object) -> None:
    assert isinstance(limits_in_error(429, msgspec.json.encode(value), now=NOW), tuple)


NAMES = st.sampled_from(
    [
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
        "x-ratelimit-reset",
        "x-ratelimit-limit",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-tokens-limit",
        "modelscope-ratelimit-requests-remaining",
        "ratelimit-limit",
    ]
)


@pytest.mark.proves("quota.never-raises")
@given(st.dictionaries(NAMES | st.text(max_size=20), st.text(max_size=30)), st.text(max_size=8))
def test_no_headers_raise(headers: dict[str, str], provider: str) -> None:
    for each in limits_in_headers(headers, provider, NOW):
        assert each.limit is None or each.limit >= 0
        assert each.reset_s is None or each.reset_s >= 0


def test_a_limit_of_nothing_is_no_limit_but_nothing_left_is() -> None:
    limit, left = "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"
    assert limits_in_headers({limit: "0"}, "groq", NOW) == ()
    [seen] = limits_in_headers({limit: "0", left: "0"}, "groq", NOW)
    assert (seen.limit, seen.remaining) == (None, 0)
