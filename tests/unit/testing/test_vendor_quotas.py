"""The vendors' books: what they count, when it comes back, and what they say of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.catalog.load import load
from ymera.core.errors import ProviderErrorKind
from ymera.core.model import Dialect, Model
from ymera.core.quota import QuotaMetric, QuotaWindow
from ymera.testing.faults import Refusal
from ymera.testing.limit_headers import limit_headers
from ymera.testing.quotas import MovableClock, Standing, VendorQuotas
from ymera.testing.refusals import body_of, headers_of
from ymera.testing.vendors import habits_of
from ymera.wire.openai_chat import decode_error
from ymera.wire.rate_limits import limits_in_error, limits_in_headers

CATALOG = load()
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)  # 04:00 in California


class Books:
    """The quotas of one vendor, at a time that only the test moves."""

    def __init__(self, provider: str, model: str, at: datetime = NOON) -> None:
        self.provider = provider
        self.model: Model = CATALOG.get(f"{provider}/{model}")
        self.clock = MovableClock(lambda: at)
        rows = CATALOG.provider_entries
        self.quotas = VendorQuotas(
            CATALOG.providers.values(),
            {key: row.free_limits for key, row in rows.items()},
            clock=self.clock,
        )

    def call(
        self, tokens: int = 10, account: str = "a", model: str | None = None
    ) -> Refusal | None:
        chosen = self.model if model is None else CATALOG.get(f"{self.provider}/{model}")
        return self.quotas.charge(self.provider, chosen, account, tokens)

    def calls_until_refused(self, limit: int) -> Refusal:
        for number in range(limit + 1):
            if (refusal := self.call()) is not None:
                assert number == limit
                return refusal
        raise AssertionError("never refused")

    def standing(self, window: QuotaWindow, metric: QuotaMetric) -> Standing:
        found = self.quotas.standings(self.provider, self.model, "a")
        return next(s for s in found if (s.limit.window, s.limit.metric) == (window, metric))


@pytest.mark.proves("simulator.quotas")
def test_a_minute_moves_along_and_gives_back_what_is_older() -> None:
    books = Books("groq", "openai/gpt-oss-20b")

    refusal = books.calls_until_refused(30)

    assert (refusal.status, refusal.window, refusal.limit) == (429, QuotaWindow.MINUTE, 30)
    books.clock.advance(59.9)
    assert books.call() is not None
    books.clock.advance(0.2)
    assert books.call() is None


@pytest.mark.proves("simulator.quotas")
def test_a_day_of_google_ends_at_midnight_in_california() -> None:
    books = Books("google", "gemini-3.8-flash")

    refusal = books.calls_until_refused(20)

    assert refusal.window is QuotaWindow.DAY
    assert refusal.wait_s == 20 * 3600
    books.clock.advance(20 * 3600 - 1)
    assert books.call() is not None
    books.clock.advance(1)
    assert books.call() is None


@pytest.mark.proves("simulator.quotas")
@pytest.mark.parametrize(("day", "hours"), [((2026, 11, 1), 25), ((2026, 3, 8), 23)])
def test_days_on_which_clocks_change_are_longer_or_shorter(
    day: tuple[int, int, int], hours: int
) -> None:
    midnight = datetime(*day, 8 if hours == 23 else 7, tzinfo=UTC)
    books = Books("google", "gemini-3.8-flash", at=midnight)
    books.calls_until_refused(20)

    books.clock.advance(hours * 3600 - 1)
    assert books.call() is not None
    books.clock.advance(1)
    assert books.call() is None


@pytest.mark.proves("simulator.quotas")
def test_openrouter_counts_all_its_free_models_together() -> None:
    books = Books("openrouter", "openrouter/free")
    books.quotas.exhaust("openrouter", books.model, "a", window=QuotaWindow.DAY)

    refusal = books.call(model="qwen/qwen3.8-27b:free")

    assert refusal is not None
    assert (refusal.window, refusal.limit) == (QuotaWindow.DAY, 50)
    assert books.call(account="b") is None  # another account has a quota of its own


@pytest.mark.proves("simulator.quotas")
def test_groq_counts_each_model_and_cohere_each_month() -> None:
    groq = Books("groq", "openai/gpt-oss-20b")
    groq.quotas.exhaust("groq", groq.model, "a")
    assert groq.call() is not None
    assert groq.call(model="openai/gpt-oss-120b") is None

    cohere = Books("cohere", "command-a-03-2025")
    cohere.quotas.exhaust("cohere", cohere.model, "a", window=QuotaWindow.MONTH)
    refusal = cohere.call(model="command-r7b-12-2024")
    assert refusal is not None
    assert refusal.window is QuotaWindow.MONTH
    cohere.clock.advance(timedelta(days=8, hours=12).total_seconds())  # December
    assert cohere.call() is None


@pytest.mark.proves("simulator.quotas")
def test_tokens_of_a_day_are_counted_and_one_request_can_be_too_large() -> None:
    books = Books("groq", "openai/gpt-oss-20b")
    for _ in range(25):
        assert books.call(tokens=8000) is None
        books.clock.advance(61)

    refusal = books.call(tokens=8000)
    assert refusal is not None
    assert (refusal.metric, refusal.window) == ("tokens", QuotaWindow.DAY)
    too_large = Books("groq", "openai/gpt-oss-20b").call(tokens=9000)
    assert too_large is not None
    assert (too_large.status, too_large.requested) == (413, 9000)


@pytest.mark.proves("simulator.quotas")
def test_only_so_many_calls_at_once_where_the_vendor_says_so() -> None:
    books = Books("zai", "glm-4.7-flash")

    assert books.quotas.enter("zai", books.model, "a") is None
    refusal = books.quotas.enter("zai", books.model, "a")
    assert refusal is not None
    assert refusal.metric == "concurrent"
    books.quotas.leave("zai", books.model, "a")
    assert books.quotas.enter("zai", books.model, "a") is None


@pytest.mark.proves("simulator.quotas")
def test_failed_calls_count_where_the_vendor_counts_them() -> None:
    for provider, model, counted in (
        ("google", "gemini-3.8-flash", True),
        ("groq", "openai/gpt-oss-20b", False),
    ):
        books = Books(provider, model)
        books.quotas.count_failed(provider, books.model, "a")
        used = books.standing(QuotaWindow.DAY, QuotaMetric.REQUESTS).used
        assert used == (1 if counted else 0), provider


@pytest.mark.proves("simulator.quotas")
@given(st.lists(st.floats(min_value=0, max_value=40), max_size=200))
def test_no_window_of_a_minute_ever_holds_more_than_the_limit(pauses: list[float]) -> None:
    books = Books("ovhcloud", "Qwen3.5-9B")  # 2 a minute
    let_through: list[datetime] = []
    for pause in pauses:
        books.clock.advance(pause)
        if books.call() is None:
            let_through.append(books.clock())

    for earlier, later in zip(let_through, let_through[2:], strict=False):
        assert later - earlier >= timedelta(seconds=60)


@pytest.mark.proves("simulator.headers")
@pytest.mark.parametrize(
    ("provider", "model", "metric", "window"),
    [
        ("groq", "openai/gpt-oss-20b", QuotaMetric.REQUESTS, QuotaWindow.DAY),
        ("groq", "openai/gpt-oss-20b", QuotaMetric.TOKENS, QuotaWindow.MINUTE),
        ("cerebras", "gpt-oss-120b", QuotaMetric.TOKENS, QuotaWindow.MINUTE),
        ("mistral", "mistral-small-latest", QuotaMetric.TOKENS, QuotaWindow.MINUTE),
        ("mistral", "mistral-small-latest", QuotaMetric.TOKENS, QuotaWindow.MONTH),
        ("anthropic", "claude-haiku-5-5", QuotaMetric.TOKENS, QuotaWindow.MINUTE),
        ("modelscope", "Qwen/Qwen3.5-27B", QuotaMetric.REQUESTS, QuotaWindow.DAY),
        ("cohere", "command-a-03-2025", QuotaMetric.REQUESTS, QuotaWindow.MINUTE),
    ],
)
def test_what_the_headers_say_is_what_our_reader_reads(
    provider: str, model: str, metric: QuotaMetric, window: QuotaWindow
) -> None:
    books = Books(provider, model)
    assert books.call(tokens=100) is None
    standings = books.quotas.standings(provider, books.model, "a")
    headers = limit_headers(habits_of(provider).headers, standings, now=NOON, refused=False)

    lower = {name.lower(): value for name, value in headers.items()}
    seen = limits_in_headers(lower, provider, NOON)

    expected = books.standing(window, metric)
    read = [(s.limit, s.remaining) for s in seen if (s.metric, s.window) == (metric, window)]
    assert (expected.limit.amount, expected.remaining) in read


@pytest.mark.proves("simulator.headers")
def test_openrouter_sends_limits_with_its_own_429_alone() -> None:
    books = Books("openrouter", "openrouter/free")
    books.quotas.exhaust("openrouter", books.model, "a", window=QuotaWindow.DAY)
    standings = books.quotas.standings("openrouter", books.model, "a")
    style = habits_of("openrouter").headers

    assert limit_headers(style, standings, now=NOON, refused=False) == {}
    headers = limit_headers(style, standings, now=NOON, refused=True)
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    assert headers == {
        "X-RateLimit-Limit": "50",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(midnight.timestamp() * 1000)),
    }


@pytest.mark.proves("simulator.errors")
@pytest.mark.parametrize(
    ("provider", "model", "window", "kind"),
    [
        ("groq", "openai/gpt-oss-20b", QuotaWindow.MINUTE, ProviderErrorKind.QUOTA_MINUTE),
        ("groq", "openai/gpt-oss-20b", QuotaWindow.DAY, ProviderErrorKind.QUOTA_DAY),
        ("google", "gemini-3.8-flash", QuotaWindow.DAY, ProviderErrorKind.QUOTA_DAY),
        ("openrouter", "openrouter/free", QuotaWindow.DAY, ProviderErrorKind.QUOTA_DAY),
        ("cohere", "command-a-03-2025", QuotaWindow.MINUTE, ProviderErrorKind.QUOTA_MINUTE),
        ("cohere", "command-a-03-2025", QuotaWindow.MONTH, ProviderErrorKind.QUOTA_MONTH),
        ("cloudflare", "@cf/openai/gpt-oss-20b", QuotaWindow.DAY, ProviderErrorKind.QUOTA_DAY),
        ("modelscope", "Qwen/Qwen3.5-27B", QuotaWindow.DAY, ProviderErrorKind.QUOTA_DAY),
        ("mistral", "mistral-small-latest", QuotaWindow.MONTH, ProviderErrorKind.QUOTA_MONTH),
        ("llm7", "default", QuotaWindow.DAY, ProviderErrorKind.QUOTA_DAY),
        ("nvidia", "openai/gpt-oss-20b", QuotaWindow.MINUTE, ProviderErrorKind.QUOTA_MINUTE),
    ],
)
def test_a_used_up_quota_is_understood_in_each_vendors_words(
    provider: str, model: str, window: QuotaWindow, kind: ProviderErrorKind
) -> None:
    books = Books(provider, model)
    books.quotas.exhaust(provider, books.model, "a", window=window)
    refusal = books.call()
    assert refusal is not None
    habits = habits_of(provider)
    body = body_of(refusal, Dialect.OPENAI_CHAT, habits.words)
    headers = headers_of(refusal, Dialect.OPENAI_CHAT, retry_after=habits.retry_after)

    error = decode_error(refusal.status, headers, body, now=NOON)

    assert error.kind is kind


@pytest.mark.proves("simulator.errors")
@pytest.mark.parametrize(
    ("provider", "model", "dialect", "window", "limit"),
    [
        ("groq", "openai/gpt-oss-20b", Dialect.OPENAI_CHAT, QuotaWindow.DAY, 1000),
        ("google", "gemini-3.8-flash", Dialect.GEMINI, QuotaWindow.DAY, 20),
        ("cohere", "command-a-03-2025", Dialect.OPENAI_CHAT, QuotaWindow.MONTH, 1000),
    ],
)
def test_the_limit_in_an_error_is_what_our_reader_reads(
    provider: str, model: str, dialect: Dialect, window: QuotaWindow, limit: int
) -> None:
    books = Books(provider, model)
    books.quotas.exhaust(provider, books.model, "a", window=window)
    refusal = books.call()
    assert refusal is not None

    seen = limits_in_error(429, body_of(refusal, dialect, habits_of(provider).words), now=NOON)

    assert (QuotaMetric.REQUESTS, window, limit) in [(s.metric, s.window, s.limit) for s in seen]
