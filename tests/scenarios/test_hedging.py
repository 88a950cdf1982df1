"""A host that falls silent, and a second one that is asked meanwhile: through the whole of Ymera.

Two hosts on loopback, the first of which takes the request and says nothing; the caller speaks
HTTP to our server, whose time limit is far away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import msgspec
import pytest

from tests.support.asgi import Answer, Client
from ymera.app import App
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.quota import PoolKey, QuotaMetric
from ymera.core.usage import Usage
from ymera.server.asgi import Server
from ymera.testing import Fault, Simulator

TIMEOUT_S = 60
WITHIN_S = 20
USAGE = Usage(input_tokens=12, output_tokens=34)
ANSWER = ChatAnswer(text="This is the answer.", finish_reason=FinishReason.STOP, usage=USAGE)


@dataclass
class Hosts:
    """Both hosts, and an app that knows no other."""

    silent: Simulator
    quick: Simulator
    app: App

    async def ask(self, *, stream: bool, model: str = "auto") -> Answer:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Say something"}],
            "stream": stream,
        }
        sent = Client(Server(self.app)).send(
            "POST", "/v1/chat/completions", msgspec.json.encode(body)
        )
        return await asyncio.wait_for(sent, WITHIN_S)

    def counted(self, host: str) -> tuple[int, int]:
        """Return the requests counted of a host, and those still under way."""
        now = self.app.standings.standing.clock.now()
        rows = self.app.quotas.book.rows(now, [PoolKey(host)])
        by_metric = {row.metric: row.used for row in rows}
        return by_metric[QuotaMetric.REQUESTS], by_metric.get(QuotaMetric.CONCURRENT, 0)


@pytest.fixture
async def hosts(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hosts]:
    async with AsyncExitStack() as stack:
        silent = Simulator(faults={"m": Fault.SLOW_FIRST_BYTE})
        quick = Simulator(answer=lambda _request: ANSWER)
        for name, simulator in (("FIRST", silent), ("SECOND", quick)):
            await stack.enter_async_context(simulator)
            prefix = f"YMERA_PROVIDERS__{name}__"
            monkeypatch.setenv(f"{prefix}BASE_URL", simulator.base_url)
            monkeypatch.setenv(f"{prefix}MODELS", '["m"]')
            monkeypatch.setenv(f"{prefix}FREE", "true")
            monkeypatch.setenv(f"{prefix}KEYLESS", "true")
        monkeypatch.setenv("YMERA_LOCAL__ENABLED", "false")
        monkeypatch.setenv("YMERA_PERFORMANCE__TIMEOUT_SECONDS", str(TIMEOUT_S))
        monkeypatch.setenv("YMERA_PERFORMANCE__HEDGE_AFTER_SECONDS", "1")
        yield Hosts(silent, quick, await stack.enter_async_context(App.create()))


@pytest.mark.proves("engine.hedging")
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
async def test_a_silent_host_is_overtaken_long_before_its_deadline(
    hosts: Hosts, stream: bool
) -> None:
    answer = await hosts.ask(stream=stream)
    assert answer.status == 200
    if stream:
        assert b"answer" in answer.body
        assert answer.body.rstrip().endswith(b"data: [DONE]")
    else:
        choices = msgspec.json.decode(answer.body)["choices"]
        assert choices[0]["message"]["content"] == ANSWER.text
    assert answer.headers["x-ymera-model"] == "second/m"
    assert answer.headers["x-ymera-attempts"] == "2"
    await asyncio.wait_for(hosts.silent.hang_ups.wait(), WITHIN_S)
    assert (len(hosts.silent.seen), len(hosts.quick.seen)) == (1, 1)
    assert (hosts.counted("first"), hosts.counted("second")) == ((1, 0), (1, 0))
    now = hosts.app.standings.standing.clock.now()
    assert hosts.app.standings.health.rows(now) == (), "it was given up, it did not fail"
