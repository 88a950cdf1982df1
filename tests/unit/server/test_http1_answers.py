"""Answers over the wire: whole, streamed, broken off, taken slowly, and left by callers."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.raw_site import GET, LINES, Door, RawSite, stop_reading, until
from ymera.core.errors import YmeraError
from ymera.server.exchange import Exchange, header_lines

OLD = b"GET /here HTTP/1.0\r\nhost: localhost\r\n\r\n"
HEAD = b"HEAD /here HTTP/1.1\r\nhost: localhost\r\n\r\n"


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
@pytest.mark.parametrize("more", [b"", b"connection: upgrade\r\nupgrade: other\r\n"])
async def test_a_stream_for_http_1_0_ends_with_its_connection(
    door: Door, site: RawSite, more: bytes
) -> None:
    site.behave = two_pieces
    caller = await door.call()
    await caller.send(OLD[:-2] + more + b"\r\n")
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
