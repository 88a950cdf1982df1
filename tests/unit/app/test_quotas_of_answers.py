"""From a vendor's answer over HTTP to the book: what headers and refusals say arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from tests.support.chat import make_request
from tests.support.simulated import client_of, model_of
from ymera.app.quotas import zone
from ymera.catalog.load import load
from ymera.catalog.pools import Pools
from ymera.core.answer import ChatEvent, LimitsSeen
from ymera.core.errors import ProviderError
from ymera.core.model import Dialect, Model
from ymera.core.ports import Deadlines
from ymera.core.quota import LimitSource, Need, QuotaMetric, QuotaRow, QuotaWindow
from ymera.providers.transport import HttpTransport
from ymera.routing.quota import QuotaBook
from ymera.testing import ProviderSimulator, simulated_providers

GROQ = model_of("groq/openai/gpt-oss-20b")
GEMINI = model_of("google/gemini-3.8-flash")
"""Twenty requests a day."""

POOLS = Pools(load())
ONE = Need(input_tokens=10, output_tokens=10)


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport()
    yield made
    await made.close()


async def call(
    simulator: ProviderSimulator, model: Model, dialect: Dialect, transport: HttpTransport
) -> list[ChatEvent]:
    client = client_of(simulator, model.provider, dialect, transport)
    return [
        event
        async for batch in client.stream(make_request(), model, Deadlines())
        for event in batch
    ]


def day(book: QuotaBook, model: Model, now: datetime) -> QuotaRow:
    rows = book.rows(now, POOLS.of(model))
    wanted = (QuotaMetric.REQUESTS, QuotaWindow.DAY)
    return next(row for row in rows if (row.metric, row.window) == wanted)


@pytest.mark.proves("quota.headers", "quota.learned")
async def test_what_an_answers_head_says_is_in_the_book_before_the_answer_is_read(
    transport: HttpTransport,
) -> None:
    book, now = QuotaBook(POOLS.limits, zones=zone), datetime.now(UTC)
    async with simulated_providers("groq") as simulator:
        for _ in range(2):
            await call(simulator, GROQ, Dialect.OPENAI_CHAT, transport)
        events = await call(simulator, GROQ, Dialect.OPENAI_CHAT, transport)
    (first, *rest) = events
    assert isinstance(first, LimitsSeen)
    assert not any(isinstance(event, LimitsSeen) for event in rest)
    book.learn(POOLS.of(GROQ), first.limits, now)
    known = day(book, GROQ, now)
    assert (known.used, known.left, known.source) == (3, 997, LimitSource.HEADER)


@pytest.mark.proves("quota.error-bodies", "quota.refused")
async def test_a_refusal_closes_the_day_until_it_ends_in_the_vendors_zone(
    transport: HttpTransport,
) -> None:
    book, now = QuotaBook(POOLS.limits, zones=zone), datetime.now(UTC)
    pools = POOLS.of(GEMINI)
    async with simulated_providers("google") as simulator:
        simulator.exhaust("google", GEMINI.upstream_id, window=QuotaWindow.DAY)
        with pytest.raises(ProviderError) as caught:
            await call(simulator, GEMINI, Dialect.GEMINI, transport)
    assert caught.value.limits
    assert book.check(pools, ONE, now) is None
    book.learn(pools, caught.value.limits, now)
    found = book.check(pools, ONE, now)
    assert found is not None
    assert found.until is not None
    assert found.closed
    midnight = found.until.astimezone(zone("America/Los_Angeles"))
    assert (midnight.hour, midnight.minute) == (0, 0)
    assert book.check(pools, ONE, found.until) is None
