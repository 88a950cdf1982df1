"""Answers over the wire: whole, streamed, broken off, too slow to be taken, and left by callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from tests.support.raw_site import Caller, Door, RawSite, calling
from ymera.core.errors import YmeraError
from ymera.server.exchange import Exchange, header_lines

GET = b"GET /here HTTP/1.1\r\nhost: localhost\r\n\r\n"
OLD = b"GET /here HTTP/1.0\r\nhost: localhost\r\n\r\n"
HEAD = b"HEAD /here HTTP/1.1\r\nhost: localhost\r\n\r\n"
LINES = b"content-type: text/plain\r\n"


async def until(true: Callable[[], object]) -> None:
    """Let the loop turn until `true()`, or for 10 seconds."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - no event tells of every turn of the server
            await asyncio.sleep(0)


def stop_reading(caller: Caller) -> asyncio.ReadTransport:
    """Take nothing more of what the server sends; return what could read on."""
    transport = cast("asyncio.ReadTransport", caller.writer.transport)
    transport.pause_reading()
    return transport


async def two_pieces(exchange: Exchange) -> None:
    exchange.start_stream(200, LINES)
    exchange.write(b"one ")
    exchange.write(b"")
    await asyncio.sleep(0)
    exchange.end(b"two")


@pytest.mark.proves("server.http1")
async def test_a_stream_comes_in_chunks_and_the_connection_is_kept(
    door: Door, site: RawSite
) -> None:
    site.behave = two_pieces
    caller = await door.call()
    for _ in range(2):
        await caller.send(GET)
        answer = await caller.answer()
        assert (answer.body, answer.complete) == (b"one two", True)
        assert answer.headers == {"content-type": "text/plain", "transfer-encoding": "chunked"}


@pytest.mark.proves("server.http1")
async def test_a_stream_for_http_1_0_ends_with_its_connection(door: Door, site: RawSite) -> None:
    site.behave = two_pieces
    caller = await door.call()
    await caller.send(OLD)
    answer = await caller.answer()
    assert answer.body == b"one two"
    assert answer.headers == {"content-type": "text/plain", "connection": "close"}


@pytest.mark.proves("server.http1")
async def test_a_stream_that_is_asked_for_its_head_has_no_body(door: Door, site: RawSite) -> None:
    site.behave = two_pieces
    caller = await door.call()
    for _ in range(2):
        await caller.send(HEAD)
        assert (await caller.answer(bodiless=True)).status == 200


@pytest.mark.proves("server.http1")
async def test_an_answer_without_any_piece_is_whole(door: Door, site: RawSite) -> None:
    async def nothing(exchange: Exchange) -> None:
        exchange.start_stream(200, LINES)
        exchange.end()

    site.behave = nothing
    caller = await door.call()
    await caller.send(GET)
    answer = await caller.answer()
    assert (answer.body, answer.complete) == (b"", True)


@pytest.mark.proves("server.http1-broken-stream")
@pytest.mark.parametrize("error", [ZeroDivisionError(), YmeraError("Lost."), None])
@pytest.mark.parametrize("request_bytes", [GET, OLD], ids=["1.1", "1.0"])
async def test_a_stream_that_breaks_never_looks_complete(
    door: Door,
    site: RawSite,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
    request_bytes: bytes,
) -> None:
    async def broken(exchange: Exchange) -> None:
        exchange.start_stream(200, LINES)
        exchange.write(b"one ")
        await asyncio.sleep(0)
        if error is not None:
            raise error

    site.behave = broken
    caller = await door.call()
    await caller.send(request_bytes)
    if request_bytes is GET:
        answer = await caller.answer()
        assert (answer.body, answer.complete) == (b"one ", False)
    else:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(caller.reader.read(), 10)
    assert "broke off" in caplog.text


@pytest.mark.proves("server.http1")
@pytest.mark.parametrize("error", [ZeroDivisionError(), None])
async def test_a_handler_that_fails_before_its_answer_is_answered_for(
    door: Door, site: RawSite, error: Exception | None
) -> None:
    async def broken(exchange: Exchange) -> None:
        if error is not None:
            raise error

    site.behave = broken
    caller = await door.call()
    await caller.send(GET)
    assert (await caller.answer()).status == 500
    site.behave = None
    await caller.send(GET)
    assert (await caller.answer()).status == 200


@pytest.mark.proves("server.http1")
@pytest.mark.parametrize("sent", [GET, b"nonsense\r\n\r\n"], ids=["bug", "refusal"])
async def test_an_error_that_cannot_be_told_is_still_a_status(
    door: Door,
    site: RawSite,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
) -> None:
    async def broken(_exchange: Exchange) -> None:
        raise ZeroDivisionError

    def dumb(_exchange: Exchange, _error: Exception) -> None:
        raise UnicodeError

    site.behave = broken
    monkeypatch.setattr(site, "fail", dumb)
    caller = await door.call()
    await caller.send(sent)
    assert (await caller.answer()).status == 500
    assert "could not be told" in caplog.text


@pytest.mark.proves("server.disconnect")
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("politely", [True, False])
async def test_what_is_done_for_a_caller_who_leaves_is_cancelled(
    door: Door, site: RawSite, streaming: bool, politely: bool
) -> None:
    reached, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        if streaming:
            exchange.start_stream(200, LINES)
            exchange.write(b"one ")
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    site.behave = hang
    caller = await door.call()
    await caller.send(GET)
    await asyncio.wait_for(reached.wait(), 10)
    if politely:
        caller.writer.close()
    else:
        caller.leave()
    await asyncio.wait_for(cancelled.wait(), 10)
    await until(lambda: not len(door.connections))


@pytest.mark.proves("server.disconnect")
async def test_a_caller_who_leaves_before_the_handler_runs_leaves_nothing_behind(
    door: Door, site: RawSite
) -> None:
    for _ in range(20):
        caller = await door.call()
        caller.writer.write(GET)
        caller.leave()
    await until(lambda: not len(door.connections))
    other = await door.call()
    await other.send(GET)
    assert (await other.answer()).status == 200


@pytest.mark.proves("server.backpressure")
async def test_no_more_is_made_than_a_slow_caller_takes(door: Door, site: RawSite) -> None:
    made, piece, pieces = 0, b"x" * 50_000, 400

    async def pour(exchange: Exchange) -> None:
        nonlocal made
        exchange.start_stream(200, LINES)
        for _ in range(pieces):
            exchange.write(piece)
            made += 1
            if exchange.congested:
                await exchange.drained()
            await asyncio.sleep(0)
        exchange.end()

    site.behave = pour
    caller = await door.call()
    transport = stop_reading(caller)
    await caller.send(GET)
    before = -1
    while made > before or not made:
        before = made
        for _ in range(500):
            await asyncio.sleep(0)
    assert made < pieces / 2
    transport.resume_reading()
    answer = await caller.answer()
    assert len(answer.body) == pieces * len(piece)


@pytest.mark.proves("server.disconnect", "server.backpressure")
async def test_a_slow_caller_who_leaves_ends_the_wait_for_it(door: Door, site: RawSite) -> None:
    cancelled = asyncio.Event()

    async def pour(exchange: Exchange) -> None:
        exchange.start_stream(200, LINES)
        try:
            while True:
                exchange.write(b"x" * 50_000)
                await exchange.drained()
                await asyncio.sleep(0)
        finally:
            cancelled.set()

    site.behave = pour
    caller = await door.call()
    stop_reading(caller)
    await caller.send(GET)
    for _ in range(500):
        await asyncio.sleep(0)
    assert not cancelled.is_set()
    caller.leave()
    await asyncio.wait_for(cancelled.wait(), 10)


@pytest.mark.proves("server.http1")
def test_a_header_cannot_smuggle_in_another() -> None:
    for value in (b"a\r\nx: y", b"a\nx: y", b"a\rx: y", b"a\r\n\r\nbody"):
        with pytest.raises(ValueError, match="line"):
            header_lines([(b"location", value)])
    assert header_lines([(b"a", b"b"), (b"c", b"d")]) == b"a: b\r\nc: d\r\n"


# --- time and number ---------------------------------------------------------------------------


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


async def settled(caller: Caller) -> None:
    """Wait until what was sent has been read: the server's other connections turn meanwhile."""
    for _ in range(50):
        await asyncio.sleep(0)


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
    with pytest.raises(OSError, match=r".*"):
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
