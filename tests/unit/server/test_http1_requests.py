"""Requests as they come over the wire: what is read, what is refused, and what a refusal leaves."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.raw_site import GET, Door, RawSite
from ymera.server.exchange import Exchange

POST = b"POST /hot HTTP/1.1\r\nhost: localhost\r\n"


def post(body: bytes, more: bytes = b"") -> bytes:
    return b"%bcontent-length: %d\r\n%b\r\n%b" % (POST, len(body), more, body)


def chunked(*pieces: bytes, more: bytes = b"") -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"%btransfer-encoding: chunked\r\n%b\r\n%b0\r\n\r\n" % (POST, more, chunks)


@pytest.mark.proves("server.http1")
async def test_one_connection_serves_one_request_after_another(door: Door, site: RawSite) -> None:
    caller = await door.call()
    for number in range(3):
        await caller.send(post(b"%d" % number))
        answer = await caller.answer()
        assert (answer.status, answer.body) == (200, b"POST /hot %d" % number)
        assert "connection" not in answer.headers
    assert len(site.seen) == 3


@pytest.mark.proves("server.http1")
@pytest.mark.parametrize("in_one_write", [True, False])
async def test_pipelined_requests_are_answered_in_order(
    door: Door, site: RawSite, in_one_write: bool
) -> None:
    running = 0

    async def slow_first(exchange: Exchange) -> None:
        nonlocal running
        running += 1
        assert running == 1, "two at a time"
        for _ in range(5 if exchange.body == b"0" else 1):
            await asyncio.sleep(0)
        running -= 1
        exchange.respond(200, exchange.body)

    site.behave = slow_first
    caller = await door.call()
    requests = [post(b"%d" % number) for number in range(20)]
    if in_one_write:
        await caller.send(b"".join(requests))
    else:
        for request in requests:
            await caller.send(request)
    assert [(await caller.answer()).body for _ in requests] == [b"%d" % n for n in range(20)]


@pytest.mark.proves("server.http1")
async def test_what_is_pipelined_behind_a_long_answer_is_not_all_taken_in(
    door: Door, site: RawSite
) -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await gate.wait()
        exchange.respond(200, b"%d" % len(exchange.body))

    site.behave = wait
    caller = await door.call()
    flood = post(b"x" * 90_000) * 200
    sending = asyncio.ensure_future(caller.send(post(b"first") + flood))
    done, _ = await asyncio.wait({sending}, timeout=0.2)
    assert not done, "18 MB were taken in though nobody could answer"
    gate.set()
    sizes = [(await caller.answer()).body for _ in range(201)]
    assert sizes == [b"5", *[b"90000"] * 200]
    await sending


@pytest.mark.proves("server.http1")
async def test_chunked_bodies_come_whole_and_their_trailers_are_dropped(
    door: Door, site: RawSite
) -> None:
    caller = await door.call()
    body = chunked(b"ab", b"c" * 300)
    await caller.send(body[:-2] + b"x-refuse: later\r\n\r\n")
    assert (await caller.answer()).body == b"POST /hot ab" + b"c" * 300
    assert [name for name, _ in site.seen[0].headers] == [b"host", b"transfer-encoding"]
    await caller.send(GET)
    assert (await caller.answer()).status == 200


@pytest.mark.proves("server.http1")
async def test_a_caller_who_asks_first_is_told_to_send_its_body(door: Door) -> None:
    caller = await door.call()
    request = post(b"four", b"expect: 100-Continue\r\n")
    await caller.send(request[:-4])
    assert await caller.line() == b"HTTP/1.1 100 Continue\r\n"
    assert await caller.line() == b"\r\n"
    await caller.send(b"four")
    assert (await caller.answer()).body == b"POST /hot four"


@pytest.mark.proves("server.http1")
async def test_who_asks_first_behind_another_request_waits_for_its_answer(
    door: Door, site: RawSite
) -> None:
    caller = await door.call()
    await caller.send(GET + post(b"four", b"expect: 100-continue\r\n")[:-4])
    assert (await caller.answer()).status == 200
    assert await caller.line() == b"HTTP/1.1 100 Continue\r\n"
    assert await caller.line() == b"\r\n"
    await caller.send(b"four")
    assert (await caller.answer()).body == b"POST /hot four"


@pytest.mark.proves("server.http1")
async def test_who_asks_first_is_refused_without_sending(door: Door, site: RawSite) -> None:
    site.limit = 3
    caller = await door.call()
    await caller.send(post(b"four", b"expect: 100-continue\r\n")[:-4])
    answer = await caller.answer()
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert await caller.closed() == b""


@pytest.mark.proves("server.http1")
async def test_the_head_alone_answers_head(door: Door) -> None:
    caller = await door.call()
    await caller.send(GET.replace(b"GET", b"HEAD"))
    answer = await caller.answer(bodiless=True)
    assert answer.headers["content-length"] == str(len("HEAD /here "))
    await caller.send(GET)
    assert (await caller.answer()).body == b"GET /here "


@pytest.mark.proves("server.http1")
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /here HTTP/1.0\r\nhost: localhost\r\n\r\n",
        b"GET /here HTTP/1.0\r\nhost: localhost\r\nconnection: keep-alive\r\n\r\n",
        GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
    ],
    ids=["1.0", "1.0 kept", "close"],
)
async def test_a_connection_that_is_not_to_be_kept_is_closed(
    door: Door, site: RawSite, request_bytes: bytes
) -> None:
    caller = await door.call()
    await caller.send(request_bytes + GET)  # what follows is not looked at
    answer = await caller.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await caller.closed() == b""
    assert len(site.seen) == 1


@pytest.mark.proves("server.http1")
@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/hot", "/hot"),
        (b"/hot?a=b#c", "/hot"),
        (b"/h%6ft", "/hot"),
        (b"/caf%C3%A9%20x", "/café x"),
        (b"/%zz%ff", "/%zz\ufffd"),
        (b"http://elsewhere.example/hot?q", "/hot"),
        (b"http://elsewhere.example", "/"),
        (b"//two", "//two"),
        (b"*", "*"),
    ],
)
async def test_targets_in_every_form_lead_to_their_path(
    door: Door, site: RawSite, target: bytes, path: str
) -> None:
    caller = await door.call()
    await caller.send(b"OPTIONS %b HTTP/1.1\r\nhost: localhost\r\n\r\n" % target)
    assert (await caller.answer()).status == 200
    assert site.seen[0].path == path


@pytest.mark.proves("server.http1")
@pytest.mark.parametrize("body", [b"", b"some body"])
async def test_a_wish_for_another_protocol_is_passed_over(
    door: Door, site: RawSite, body: bytes
) -> None:
    wish = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
    caller = await door.call()
    await caller.send(post(body, wish + b"x-other: kept\r\n"))
    answer = await caller.answer()
    assert (answer.status, answer.body) == (200, b"POST /hot " + body)
    assert await caller.closed() == b""
    assert (b"x-other", b"kept") in site.seen[0].headers


@pytest.mark.proves("server.http1-abuse")
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET /here HTTP/1.1\r\nhost : localhost\r\n\r\n",
        b"GET /here HTTP/1.1\r\nhost: localhost\r\n folded\r\n\r\n",
        b"GET /here HTTP/1.1\r\nho\0st: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /here HTTP/1.1\nhost: localhost\n\n",
        b"GET /here\r\n\r\n",
        b"GET /here HTTP/0.9\r\n\r\n",
        b"GET /here HTTP/2.0\r\nhost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        post(b"abc", b"transfer-encoding: chunked\r\n"),
        chunked(b"abc", more=b"content-length: 3\r\n"),
        post(b"abc", b"content-length: 3\r\n"),
        post(b"abc", b"content-length: 4\r\n"),
        POST + b"content-length: 3, 3\r\n\r\nabc",
        POST + b"content-length: +3\r\n\r\nabc",
        POST + b"content-length: -3\r\n\r\nabc",
        POST + b"content-length: 99999999999999999999999\r\n\r\n",
        POST + b"transfer-encoding: gzip\r\n\r\nabc",
        POST + b"transfer-encoding: chunked, gzip\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_plain_http_is_refused_and_nothing_behind_it_is_read(
    door: Door, site: RawSite, request_bytes: bytes
) -> None:
    caller = await door.call()
    await caller.send(request_bytes + GET)
    answer = await caller.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert await caller.closed() == b""
    assert site.seen == []


@pytest.mark.proves("server.http1-abuse")
async def test_a_bad_request_behind_good_ones_is_refused_in_its_turn(
    door: Door, site: RawSite
) -> None:
    caller = await door.call()
    await caller.send(GET + post(b"2") + b"nonsense\r\n\r\n" + GET)
    assert [(await caller.answer()).status for _ in range(3)] == [200, 200, 400]
    assert await caller.closed() == b""
    assert len(site.seen) == 2


@pytest.mark.proves("server.http1-abuse")
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "head",
    [
        b"GET /here HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 140_000,
        b"GET /" + b"y" * 140_000,
        b"GET /here HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(9_000)),
        b"GET /here HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(101)) + b"\r\n",
    ],
    ids=["value", "target", "bytes", "number"],
)
async def test_a_head_without_bounds_is_refused(
    door: Door, site: RawSite, head: bytes, at_once: bool
) -> None:
    caller = await door.call()
    if at_once:
        await caller.send(head + b"\r\n\r\n")
    else:
        for start in range(0, len(head), 9_999):
            await caller.send(head[start : start + 9_999])
            await asyncio.sleep(0)
    assert (await caller.answer()).status == 431
    assert await caller.closed() == b""
    assert site.seen == []


@pytest.mark.proves("server.http1")
async def test_a_head_of_just_under_the_bounds_passes(door: Door, site: RawSite) -> None:
    lines = b"".join(b"x%d: %b\r\n" % (n, b"y" * 600) for n in range(99))
    caller = await door.call()
    for _ in range(2):
        await caller.send(b"GET /here HTTP/1.1\r\nhost: localhost\r\n" + lines + b"\r\n")
        assert (await caller.answer()).status == 200
    assert len(site.seen[1].headers) == 100


@pytest.mark.proves("server.http1")
async def test_a_body_of_the_largest_size_may_be_followed_by_the_start_of_another_request(
    door: Door, site: RawSite
) -> None:
    caller = await door.call()
    await caller.send(post(b"x" * site.limit) + GET[:9])
    assert (await caller.answer()).status == 200
    await caller.send(GET[9:])
    assert (await caller.answer()).body == b"GET /here "


@pytest.mark.proves("server.http1-abuse")
async def test_a_body_over_the_limit_is_refused_when_it_is_announced_and_when_it_comes(
    door: Door, site: RawSite
) -> None:
    announced = await door.call()
    await announced.send(POST + b"content-length: 100001\r\n\r\n")
    assert (await announced.answer()).status == 413
    counted = await door.call()
    await counted.send(chunked(b"x" * 60_000, b"x" * 40_001))
    assert (await counted.answer()).status == 413
    assert await counted.closed() == b""
    assert site.seen == []


@pytest.mark.proves("server.http1-abuse")
async def test_a_refusal_reaches_a_caller_who_is_still_sending(door: Door, site: RawSite) -> None:
    caller = await door.call()
    await caller.send(POST + b"content-length: 50000000\r\n\r\n" + b"x" * 20_000_000)
    assert (await caller.answer()).status == 413


@pytest.mark.proves("server.http1-abuse")
async def test_a_body_that_is_nearly_all_framing_is_refused(door: Door, site: RawSite) -> None:
    caller = await door.call()
    chunk = b"1;" + b"e" * 5_000 + b"\r\nx\r\n"
    await caller.send(POST + b"transfer-encoding: chunked\r\n\r\n" + chunk * 200)
    assert (await caller.answer()).status == 400
    trailing = await door.call()
    await trailing.send(POST + b"transfer-encoding: chunked\r\n\r\n0\r\n")
    for _ in range(100):
        await trailing.send(b"t: " + b"e" * 9_000 + b"\r\n")
        await asyncio.sleep(0)
    assert (await trailing.answer()).status == 400


@pytest.mark.proves("server.http1")
async def test_a_large_body_in_small_chunks_passes(door: Door, site: RawSite) -> None:
    caller = await door.call()
    await caller.send(chunked(*[b"ab"] * 40_000))
    assert (await caller.answer()).body == b"POST /hot " + b"ab" * 40_000


@pytest.mark.proves("server.http1-abuse")
async def test_a_head_that_is_refused_is_refused_before_its_body_comes(
    door: Door, site: RawSite
) -> None:
    caller = await door.call()
    await caller.send(POST + b"x-refuse: 1\r\ncontent-length: 10\r\n\r\n")
    assert (await caller.answer()).status == 403
    assert await caller.closed() == b""
    assert site.seen == []


@pytest.mark.proves("server.http1")
async def test_repeated_headers_are_one_field(door: Door, site: RawSite) -> None:
    found: list[bytes] = []

    async def look(exchange: Exchange) -> None:
        found.append(exchange.fields[b"accept"])
        exchange.respond(200, b"")

    site.behave = look
    caller = await door.call()
    await caller.send(GET[:-2] + b"Accept: a \t\r\nACCEPT:b\r\n\r\n")
    assert (await caller.answer()).status == 200
    assert found == [b"a, b"]
