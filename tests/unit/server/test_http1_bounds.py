"""How long a connection may take, how many there may be, and how all of them end."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.raw_site import (
    GET,
    LINES,
    Caller,
    Door,
    RawSite,
    calling,
    stop_reading,
    until,
)
from ymera.server.exchange import Exchange


async def settled(caller: Caller) -> None:
    """Wait until what was sent has been read: the server's other connections turn meanwhile."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.proves("server.http1-time")
@pytest.mark.parametrize(
    ("sent", "passed_s", "status"),
    [
        (b"", 75, None),
        (GET, 75, None),
        (GET[:10], 30, 408),
        (b"POST /hot HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nab", 30, 408),
        (b"POST /hot HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab", 30, 408),
    ],
    ids=["new", "kept", "head", "body", "chunk"],
)
async def test_a_silent_connection_is_closed_and_told_so_in_the_middle_of_a_request(
    door: Door, sent: bytes, passed_s: int, status: int | None
) -> None:
    caller = await door.call()
    await caller.send(sent)
    await until(lambda: len(door.connections))
    if sent == GET:
        assert (await caller.answer()).status == 200
    elif sent:
        await settled(caller)
    door.connections.sweep(passed_s - 1)
    assert len(door.connections) == 1
    door.connections.sweep(1)
    if status is not None:
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert await caller.closed() == b""


@pytest.mark.proves("server.http1-time")
async def test_a_head_in_drops_is_not_waited_for_for_ever(door: Door) -> None:
    caller = await door.call()
    await caller.send(GET[:4])
    for _ in range(13):
        await caller.send(b"x")
        await settled(caller)
        door.connections.sweep(5)
    assert (await caller.answer()).status == 408


@pytest.mark.proves("server.http1-time")
async def test_a_body_in_drops_is_not_waited_for_for_ever(door: Door, site: RawSite) -> None:
    async def echo(exchange: Exchange) -> None:
        exchange.respond(200, exchange.body)

    site.behave = echo
    caller = await door.call()
    head = b"POST /hot HTTP/1.1\r\nhost: x\r\ncontent-length: 90\r\n\r\n"
    await caller.send(head)
    for _ in range(59):
        await caller.send(b"x")
        await settled(caller)
        door.connections.sweep(5)
    await caller.send(b"x" * 31 + head)  # in time, and the next one has a time of its own
    assert (await caller.answer()).status == 200
    for _ in range(59):
        await caller.send(b"x")
        await settled(caller)
        door.connections.sweep(5)
    assert len(door.connections) == 1
    await settled(caller)
    door.connections.sweep(5)
    door.connections.sweep(5)
    assert (await caller.answer()).status == 408


@pytest.mark.proves("server.http1-time")
async def test_an_answer_may_take_as_long_as_it_wants(door: Door, site: RawSite) -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await gate.wait()
        exchange.respond(200, b"at last")

    site.behave = wait
    caller = await door.call()
    await caller.send(GET)
    await until(lambda: site.seen)
    for _ in range(10):
        door.connections.sweep(600)
    gate.set()
    assert (await caller.answer()).body == b"at last"
    door.connections.sweep(74)  # the time of rest begins with the end of the answer
    await caller.send(GET)
    assert (await caller.answer()).status == 200


@pytest.mark.proves("server.http1-time")
async def test_a_caller_who_takes_nothing_for_minutes_is_dropped(door: Door, site: RawSite) -> None:
    cancelled = asyncio.Event()

    async def pour(exchange: Exchange) -> None:
        exchange.start_stream(200, LINES)
        try:
            while True:
                exchange.write(b"x" * 100_000)
                await exchange.drained()
        finally:
            cancelled.set()

    site.behave = pour
    caller = await door.call()
    stop_reading(caller)
    await caller.send(GET)
    async with asyncio.timeout(20):
        while not cancelled.is_set():
            door.connections.sweep(60)
            for _ in range(100):
                await asyncio.sleep(0)


@pytest.mark.proves("server.http1-time")
async def test_a_refused_caller_who_stays_is_hung_up_on(door: Door) -> None:
    caller = await door.call()
    await caller.send(b"nonsense\r\n\r\n")
    assert (await caller.answer()).status == 400
    assert await caller.closed() == b""  # our side of it
    door.connections.sweep(4)
    assert len(door.connections) == 1
    door.connections.sweep(1)
    await until(lambda: not len(door.connections))


@pytest.mark.proves("server.http1-time")
async def test_above_the_most_connections_the_idle_make_room(site: RawSite) -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await gate.wait()
        exchange.respond(200, b"")

    async with calling(site, most=3) as door:
        first, second, third = [await door.call() for _ in range(3)]
        for number, caller in enumerate((first, second, third)):
            door.connections.sweep(1)
            await caller.send(GET)
            assert (await caller.answer()).status == 200, number
        site.behave = wait
        await second.send(GET)
        await third.send(GET)
        await until(lambda: len(site.seen) == 5)
        newcomer = await door.call()
        assert await first.closed() == b""
        await newcomer.send(GET)
        await until(lambda: len(site.seen) == 6)
        one_too_many = await door.call()
        assert await one_too_many.closed() == b""
        gate.set()
        for caller in (second, third, newcomer):
            assert (await caller.answer()).status == 200


# --- the end -----------------------------------------------------------------------------------


@pytest.mark.proves("server.stops")
async def test_stopping_closes_the_idle_waits_for_answers_and_takes_nothing_new(
    door: Door, site: RawSite
) -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        if exchange.path == "/s":
            exchange.start_stream(200, LINES)
        await gate.wait()
        if exchange.started:
            exchange.end(b"done")
        else:
            exchange.respond(200, b"done")

    site.behave = wait
    idle, busy, streamed, half = [await door.call() for _ in range(4)]
    await busy.send(GET)
    await streamed.send(GET.replace(b"/here", b"/s"))
    await half.send(GET[:20])
    await until(lambda: len(site.seen) == 2 and len(door.connections) == 4)
    await settled(half)
    stopping = asyncio.ensure_future(door.connections.stop(30))
    assert await idle.closed() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", door.port)
    assert not stopping.done()
    await half.send(GET[20:])
    gate.set()
    for caller in (busy, streamed, half):
        assert (await caller.answer()).body == b"done"
        assert await caller.closed() == b""
    await asyncio.wait_for(stopping, 10)


@pytest.mark.proves("server.stops")
@pytest.mark.parametrize("hurried", [True, False])
async def test_who_holds_up_the_end_is_cut_off(door: Door, site: RawSite, hurried: bool) -> None:
    cancelled = asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    site.behave = hang
    caller = await door.call()
    await caller.send(GET)
    await until(lambda: site.seen)
    hurry = asyncio.Event()
    stopping = asyncio.ensure_future(door.connections.stop(60 if hurried else 0, hurry=hurry))
    if hurried:
        await settled(caller)
        assert not cancelled.is_set()
        hurry.set()
    await asyncio.wait_for(stopping, 10)
    assert cancelled.is_set()
    assert await caller.closed() == b""
