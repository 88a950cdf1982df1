"""The client of OpenAI-like hosts, against the simulator and a server of raw bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from tests.support.chat import make_model, make_request
from tests.support.raw_server import Behaviour, Call, raw_server
from ymera.core.answer import (
    AnswerBuilder,
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    TextDelta,
)
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.ports import Deadlines
from ymera.providers.hosted import HostedProvider
from ymera.providers.transport import HttpTransport
from ymera.testing import Fault, Simulator
from ymera.testing.scripted import useful_echo
from ymera.wire import openai_chat

KEY = "canary-key-0815"
QUICK = Deadlines(connect_s=5, first_byte_s=0.1, idle_s=0.1, total_s=5)
CHUNK = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport()
    yield made
    await made.close()


def provider_at(base_url: str, transport: HttpTransport) -> HostedProvider:
    return HostedProvider(
        "sim", openai_chat.UPSTREAM, base_url, {"authorization": f"Bearer {KEY}"}, transport
    )


async def ask(
    provider: HostedProvider, model: str = "sim-small", *, stream: bool = True
) -> list[ChatEvent]:
    request = make_request(stream=stream)
    return [
        event
        async for batch in provider.stream(request, make_model(model), QUICK)
        for event in batch
    ]


def added_up(events: list[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


async def from_bytes(
    transport: HttpTransport, behave: Behaviour, *, stream: bool = True
) -> list[ChatEvent]:
    async with asyncio.timeout(10), raw_server(behave) as server:
        return await ask(provider_at(server.url, transport), stream=stream)


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return SSE_HEAD + b"\r\n" + body + end


@pytest.mark.proves("providers.contract", "wire.usage-once")
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_is_the_same_streamed_or_not(
    transport: HttpTransport, stream: bool
) -> None:
    async with Simulator() as sim:
        provider = provider_at(sim.base_url, transport)
        events = await ask(provider, stream=stream)
        await provider.close()

    assert added_up(events) == useful_echo(make_request())
    seen = sim.seen[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["content-type"] == "application/json"
    assert json.loads(seen.body)["model"] == "sim-small"
    assert json.loads(seen.body).get("stream", False) is stream


async def test_streams_one_after_another_use_one_connection(transport: HttpTransport) -> None:
    async with Simulator() as sim:
        for _ in range(3):
            await ask(provider_at(sim.base_url + "/", transport))

    assert sim.connections == 1


@pytest.mark.proves("providers.errors", "providers.no-secrets")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.UNAUTHORIZED, Kind.AUTH),
        (Fault.NO_CREDIT, Kind.QUOTA_MONTH),
        (Fault.GONE, Kind.MODEL_GONE),
        (Fault.RETIRED, Kind.MODEL_GONE),
        (Fault.TOO_LARGE, Kind.TOO_LARGE),
        (Fault.MINUTE, Kind.QUOTA_MINUTE),
        (Fault.DAY, Kind.QUOTA_DAY),
        (Fault.MONTH, Kind.QUOTA_MONTH),
        (Fault.BUSY_UPSTREAM, Kind.UPSTREAM_BUSY),
        (Fault.BROKEN, Kind.TRANSIENT),
        (Fault.OVERLOADED, Kind.UPSTREAM_BUSY),
        (Fault.BARE_ERROR, Kind.CAPABILITY),
        (Fault.HTML_OK, Kind.BAD_ANSWER),
        (Fault.HTML_BAD_GATEWAY, Kind.TRANSIENT),
        (Fault.NOT_JSON, Kind.BAD_ANSWER),
        (Fault.SLOW_FIRST_BYTE, Kind.TRANSIENT),
        (Fault.STALL, Kind.TRANSIENT),
        (Fault.CUT_BEFORE_HEAD, Kind.TRANSIENT),
        (Fault.CUT_MID_STREAM, Kind.TRANSIENT),
        (Fault.ERROR_EVENT, Kind.TRANSIENT),
    ],
)
async def test_every_fault_is_a_provider_error_of_its_kind(
    transport: HttpTransport, fault: Fault, kind: Kind, stream: bool
) -> None:
    async with asyncio.timeout(10), Simulator(faults={"bad": fault}) as sim:
        with pytest.raises(ProviderError) as caught:
            await ask(provider_at(sim.base_url, transport), "bad", stream=stream)

    assert caught.value.kind is kind
    assert KEY not in f"{caught.value!r} {caught.value.hint}"


async def test_a_date_to_wait_for_is_compared_with_the_clock(transport: HttpTransport) -> None:
    async with Simulator(faults={"bad": Fault.MINUTE_DATE}) as sim:
        provider = HostedProvider(
            "sim",
            openai_chat.UPSTREAM,
            sim.base_url,
            {},
            transport,
            now=lambda: datetime(1999, 12, 31, 23, 59, 29, tzinfo=UTC),
        )
        with pytest.raises(ProviderError) as caught:
            await ask(provider, "bad")

    assert caught.value.retry_after_s == 30


async def test_usage_that_is_not_reported_is_unknown(transport: HttpTransport) -> None:
    async with Simulator(faults={"bad": Fault.MISSING_USAGE}) as sim:
        answer = added_up(await ask(provider_at(sim.base_url, transport), "bad"))

    assert answer.usage is None


@pytest.mark.proves("providers.no-secrets")
async def test_a_key_that_the_upstream_repeats_is_masked(transport: HttpTransport) -> None:
    async def behave(call: Call) -> None:
        body = json.dumps({"error": {"message": f"no such key: {KEY}"}}).encode()
        await call.answer(body, "content-type: application/json", status=401)

    with pytest.raises(ProviderError, match=r"no such key: \*\*\*"):
        await from_bytes(transport, behave)


async def test_a_plain_answer_to_a_streaming_request_is_accepted(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> None:
        body = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}'
        await call.answer(body, "content-type: application/json")

    assert await from_bytes(transport, behave) == [TextDelta("a"), Finish(FinishReason.STOP)]


async def test_nothing_is_awaited_after_done(transport: HttpTransport) -> None:
    async def behave(call: Call) -> None:
        await call.send(chunked(CHUNK, FINISH, b"data: [DONE]\n\n", end=b""))
        await call.caller_left()

    assert await from_bytes(transport, behave) == [TextDelta("a"), Finish(FinishReason.STOP)]


async def test_a_stream_that_finished_needs_no_done(transport: HttpTransport) -> None:
    async def behave(call: Call) -> None:
        await call.send(chunked(CHUNK, FINISH))

    assert await from_bytes(transport, behave) == [TextDelta("a"), Finish(FinishReason.STOP)]


async def test_a_stream_that_ends_without_finishing_is_an_error(transport: HttpTransport) -> None:
    async def behave(call: Call) -> None:
        await call.send(chunked(CHUNK))

    with pytest.raises(ProviderError, match="before it was complete") as caught:
        await from_bytes(transport, behave)

    assert caught.value.kind is Kind.TRANSIENT


async def test_an_empty_answer_is_handed_on_for_the_engine_to_judge(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> None:
        await call.send(chunked(b"data: [DONE]\n\n"))

    assert await from_bytes(transport, behave) == [Finish(FinishReason.STOP)]


@pytest.mark.proves("providers.contract", "providers.cancel")
async def test_leaving_a_stream_early_hangs_up_on_the_upstream(transport: HttpTransport) -> None:
    gate = asyncio.Event()

    async def pause(number: int) -> None:
        if number:
            await gate.wait()

    async with asyncio.timeout(10), Simulator(pause=pause) as sim:
        events = provider_at(sim.base_url, transport).stream(
            make_request(), make_model(), Deadlines()
        )
        async with aclosing(events):
            assert await anext(events) == [TextDelta("You")]
        await sim.hang_ups.wait()


@pytest.mark.proves("providers.contract", "providers.cancel")
async def test_cancelling_the_reader_hangs_up_on_the_upstream(transport: HttpTransport) -> None:
    reached = asyncio.Event()

    async def pause(number: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(10), Simulator(pause=pause) as sim:
        provider = HostedProvider("sim", openai_chat.UPSTREAM, sim.base_url, {}, transport)
        reading = asyncio.ensure_future(
            anext(provider.stream(make_request(), make_model(), Deadlines()))
        )
        await reached.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await sim.hang_ups.wait()


@pytest.mark.proves("engine.fault-table")
@pytest.mark.parametrize("said", [b"", CHUNK], ids=["at-first", "in-the-middle"])
async def test_signs_of_life_alone_do_not_hold_a_call(
    transport: HttpTransport, said: bytes
) -> None:
    async def pings(call: Call) -> None:
        await call.send(SSE_HEAD + b"\r\n")
        if said:
            await call.send(b"%x\r\n%b\r\n" % (len(said), said))
        while not call.writer.is_closing():
            await call.send(b"8\r\n: ping\n\n\r\n")
            await asyncio.sleep(0.01)

    with pytest.raises(ProviderError, match="signs of life") as raised:
        await from_bytes(transport, pings)
    assert raised.value.kind is Kind.TRANSIENT
