"""Every fault of a vendor on the first candidate, through the whole of Ymera and back.

Two hosts on loopback, the first of them with the fault; the caller speaks HTTP to our server. What
has to come: a right answer from the second, or a right error, in time, and never a stream that
looks complete and is not. What the first host was asked is counted exactly.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import msgspec
import pytest

from tests.support.asgi import Answer, Client
from ymera.app import App
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest
from ymera.core.quota import PoolKey, QuotaMetric
from ymera.core.usage import Usage
from ymera.server.asgi import Server
from ymera.testing import Fault, Simulator
from ymera.testing.faults import page_for, refusal_for

TIMEOUT_S = 1
"""What `performance.timeout_seconds` is set to: each call has as long, and no longer."""

SPARE_S = 3
TEXT = "This is the answer."

FIRST_IS_RIGHT = {
    Fault.MISSING_USAGE,
    Fault.WRONG_USAGE,
    Fault.DUPLICATE_FINISH,
    Fault.BAD_ARGUMENTS,  # no tool is offered, so there are no arguments to spoil
    Fault.BROKEN_JSON,  # nor is JSON asked for
    Fault.WRONG_JSON,
    Fault.COSTS,
}
"""An answer that is whole all the same."""

BREAKS_A_STREAM = {
    Fault.STALL,
    Fault.CUT_MID_STREAM,
    Fault.ERROR_EVENT,
    Fault.BAD_CHUNK,
    Fault.NO_FINISH,
}
"""Faults after the first delta has left, so that nobody else may answer."""


def says(who: str) -> Callable[[ChatRequest], ChatAnswer]:
    usage = Usage(input_tokens=12, output_tokens=34)
    answer = ChatAnswer(text=f"{TEXT} ({who})", finish_reason=FinishReason.STOP, usage=usage)
    return lambda _request: answer


@dataclass
class Hosts:
    """Both hosts and an app that knows no other."""

    first: Simulator
    second: Simulator
    app: App

    async def ask(self, *, stream: bool, model: str = "auto") -> tuple[Answer, float]:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Say something"}],
            "stream": stream,
        }
        client = Client(Server(self.app))
        began_s = time.monotonic()
        answer = await client.send("POST", "/v1/chat/completions", msgspec.json.encode(body))
        return answer, time.monotonic() - began_s

    def counted(self, host: str) -> tuple[int, int]:
        """Return the requests counted of a host, and those still under way."""
        now = self.app.standings.standing.clock.now()
        rows = self.app.quotas.book.rows(now, [PoolKey(host)])
        by_metric = {row.metric: row.used for row in rows}
        return by_metric[QuotaMetric.REQUESTS], by_metric.get(QuotaMetric.CONCURRENT, 0)


@pytest.fixture
async def hosts(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hosts]:
    async with AsyncExitStack() as stack:
        first = Simulator(answer=says("first"), faults={"m": fault})
        second = Simulator(answer=says("second"))
        for name, simulator in (("FIRST", first), ("SECOND", second)):
            await stack.enter_async_context(simulator)
            prefix = f"YMERA_PROVIDERS__{name}__"
            monkeypatch.setenv(f"{prefix}BASE_URL", simulator.base_url)
            monkeypatch.setenv(f"{prefix}MODELS", '["m"]')
            monkeypatch.setenv(f"{prefix}FREE", "true")
            monkeypatch.setenv(f"{prefix}KEYLESS", "true")
        monkeypatch.setenv("YMERA_LOCAL__ENABLED", "false")
        monkeypatch.setenv("YMERA_PERFORMANCE__TIMEOUT_SECONDS", str(TIMEOUT_S))
        monkeypatch.setenv("YMERA_PERFORMANCE__ENABLE_CACHING", "false")
        app = await stack.enter_async_context(App.create())
        yield Hosts(first, second, app)


def text_of(answer: Answer, *, stream: bool) -> str:
    if not stream:
        text: str = msgspec.json.decode(answer.body)["choices"][0]["message"]["content"]
        return text
    chunks = [
        msgspec.json.decode(line.removeprefix(b"data: "))
        for line in answer.body.split(b"\n\n")
        if line and line != b"data: [DONE]"
    ]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)


def is_refusal(fault: Fault, *, stream: bool) -> bool:
    """Whether the host refuses with a status, so that it does not count the call."""
    page = page_for(fault)
    told_as_status = fault is Fault.ERROR_EVENT and not stream
    return refusal_for(fault) is not None or (page is not None and page[0] >= 400) or told_as_status


@pytest.mark.proves("engine.fault-table", "engine.quota-exact")
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("fault", Fault)
async def test_a_fault_of_the_first_host_costs_no_right_answer(
    hosts: Hosts, fault: Fault, stream: bool
) -> None:
    answer, took_s = await hosts.ask(stream=stream)
    assert took_s < TIMEOUT_S + SPARE_S
    asked = len(hosts.first.seen)
    assert asked == 1
    assert answer.status == 200
    breaks = stream and fault in BREAKS_A_STREAM
    who = "first" if fault in FIRST_IS_RIGHT else "second"
    text = text_of(answer, stream=stream)
    if breaks:
        assert f"{TEXT} (first)".startswith(text)
        assert b'"error"' in answer.body
        assert b"[DONE]" not in answer.body
        assert b'"finish_reason":"stop"' not in answer.body
        assert hosts.second.seen == []
    else:
        assert text == f"{TEXT} ({who})"
        assert answer.headers["x-ymera-provider"] == who
        assert len(hosts.second.seen) == (who == "second")
        if stream:
            assert answer.body.endswith(b"data: [DONE]\n\n")
            assert b'"error"' not in answer.body
    assert hosts.counted("first") == (0 if is_refusal(fault, stream=stream) else asked, 0)
    assert hosts.counted("second") == (len(hosts.second.seen), 0)
    assert (hosts.app.standings.closures.why("first") is not None) == (
        fault in {Fault.COSTS, Fault.NO_CREDIT}
    )


RIGHT_STATUS = {
    Fault.BAD_REQUEST: 400,
    Fault.TOO_LARGE: 413,
    Fault.UNPROCESSABLE: 400,
    Fault.FORBIDDEN: 400,
    Fault.BARE_ERROR: 400,
    Fault.MINUTE: 429,
    Fault.MINUTE_MS: 429,
    Fault.MINUTE_DATE: 429,
    Fault.DAY: 429,
    Fault.MONTH: 429,
    Fault.NO_CREDIT: 429,
    Fault.BUSY_UPSTREAM: 503,
    Fault.OVERLOADED: 503,
    Fault.VENDOR_OVERLOADED: 503,
}
"""What our caller is told; every other failure of an upstream is a bad gateway."""


@pytest.mark.proves("engine.fault-table")
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in FIRST_IS_RIGHT])
async def test_with_nobody_else_to_ask_a_fault_is_told_as_what_it_is(
    hosts: Hosts, fault: Fault, stream: bool
) -> None:
    answer, took_s = await hosts.ask(stream=stream, model="first/m")
    assert took_s < 2 * TIMEOUT_S + SPARE_S
    if stream and fault in BREAKS_A_STREAM:
        assert answer.status == 200
        assert b"[DONE]" not in answer.body
        assert b'"error"' in answer.body
        return
    assert answer.status == RIGHT_STATUS.get(fault, 502)
    assert answer.error["message"]
    assert hosts.second.seen == []
    asked = len(hosts.first.seen)
    assert asked in {1, 2}
    assert hosts.counted("first") == (0 if is_refusal(fault, stream=stream) else asked, 0)
