"""What goes over the wire: requests, answers, kept connections, loops."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator

import pytest

from tests.support.raw_server import Call, raw_server
from ymera.core.errors import ConfigError, ProviderError, ProviderErrorKind, ProviderErrorScope
from ymera.core.ports import Deadlines
from ymera.providers.transport import HttpTransport

SOON = Deadlines(connect_s=5, first_byte_s=5, idle_s=5, total_s=10)
LIMIT = 1_000_000


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport()
    yield made
    await made.close()


async def ask(transport: HttpTransport, url: str, body: bytes = b"{}") -> bytes:
    response = await transport.post(url, {}, body, SOON)
    try:
        return await response.read(LIMIT)
    finally:
        await response.close()


async def test_a_request_is_sent_as_given_and_the_answer_handed_back(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> None:
        await call.answer(b"hello", "X-One: a", "x-one: b", "Content-Type: text/plain", status=418)

    async with raw_server(behave) as server:
        response = await transport.post(
            server.url + "?q=1", {"authorization": "Bearer k"}, b"body", SOON
        )
        content = await response.read(LIMIT)

    host = server.url.split("/")[2]
    assert (response.status, content) == (418, b"hello")
    assert response.headers == {
        "content-length": "5",
        "x-one": "a, b",
        "content-type": "text/plain",
    }
    assert server.calls[0].body == b"body"
    assert server.calls[0].head == (
        f"POST /v1/x?q=1 HTTP/1.1\r\nhost: {host}\r\nuser-agent: ymera\r\n"
        "accept-encoding: identity\r\nauthorization: Bearer k\r\ncontent-length: 4\r\n\r\n"
    )


@pytest.mark.parametrize(
    "framing",
    [
        b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"content-length: 5\r\n\r\nabcde",
        b"connection: close\r\n\r\nabcde",
        b"\r\nabcde",
    ],
)
async def test_a_body_is_read_however_it_is_framed(
    transport: HttpTransport, framing: bytes
) -> None:
    async def behave(call: Call) -> bool:
        await call.send(b"HTTP/1.1 100 Continue\r\nx: y\r\n\r\n")
        await call.send(b"HTTP/1.1 200 OK\r\n" + framing)
        return b"length" in framing or b"chunked" in framing

    async with raw_server(behave) as server:
        response = await transport.post(server.url, {}, b"", SOON)
        assert await response.read(LIMIT) == b"abcde"
        assert "x" not in response.headers


async def test_a_chunk_is_handed_on_before_the_next_one_is_sent(transport: HttpTransport) -> None:
    read = asyncio.Event()

    async def behave(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await read.wait()
        await call.send(b"1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")

    async with asyncio.timeout(5), raw_server(behave) as server:
        response = await transport.post(server.url, {}, b"", SOON)
        chunks = []
        async for chunk in response.chunks():
            chunks.append(chunk)
            read.set()

    assert chunks[0] == b"a"
    assert b"".join(chunks) == b"abc"


@pytest.mark.proves("providers.kept-connections")
async def test_connections_are_kept_and_used_again(transport: HttpTransport) -> None:
    async with raw_server(Call.answer) as server:
        for _ in range(5):
            assert await ask(transport, server.url) == b"ok"

    assert server.connections == 1


@pytest.mark.parametrize("header", ["connection: close", "content-length: 2\r\nx: y"])
async def test_a_connection_that_the_upstream_closes_is_not_used_again(
    transport: HttpTransport, header: str
) -> None:
    async def behave(call: Call) -> bool:
        await call.send(f"HTTP/1.1 200 OK\r\n{header}\r\n\r\nok".encode())
        return False

    async with raw_server(behave) as server:
        assert [await ask(transport, server.url) for _ in range(3)] == [b"ok"] * 3


@pytest.mark.proves("providers.kept-connections")
async def test_a_stale_kept_connection_is_replaced_and_the_request_sent_once_more(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> bool:
        if call.connection == 1 and len(server.calls) > 1:
            return False  # the idle time-out of the other side, just as the request is on its way
        await call.answer()
        return True

    async with raw_server(behave) as server:
        assert [await ask(transport, server.url, b"%d" % n) for n in (1, 2)] == [b"ok"] * 2

    assert [(call.connection, call.body) for call in server.calls] == [
        (1, b"1"),
        (1, b"2"),
        (2, b"2"),
    ]


async def test_a_new_connection_that_breaks_is_an_error_and_not_tried_again(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> bool:
        return False

    async with raw_server(behave) as server:
        with pytest.raises(ProviderError, match="without an answer") as caught:
            await ask(transport, server.url)

    assert caught.value.kind is ProviderErrorKind.TRANSIENT
    assert len(server.calls) == 1


async def test_a_kept_connection_that_breaks_within_its_answer_is_not_tried_again(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> bool:
        if len(server.calls) == 1:
            await call.answer()
            return True
        await call.send(b"HTTP/1.1 200")
        return False

    async with raw_server(behave) as server:
        await ask(transport, server.url)
        with pytest.raises(ProviderError, match="in the middle"):
            await ask(transport, server.url)

    assert len(server.calls) == 2


async def test_a_second_answer_nobody_asked_for_ends_the_connection(
    transport: HttpTransport,
) -> None:
    one = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-n: 1\r\n\r\nok"

    async def behave(call: Call) -> None:
        await call.send(one + one.replace(b"ok", b"no"))

    async with raw_server(behave) as server:
        assert [await ask(transport, server.url) for _ in range(2)] == [b"ok", b"ok"]

    assert server.connections == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000,
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nzzz",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_a_bad_answer(transport: HttpTransport, sent: bytes) -> None:
    async def behave(call: Call) -> None:
        await call.send(sent)
        await call.caller_left()

    async with asyncio.timeout(5), raw_server(behave) as server:
        with pytest.raises(ProviderError) as caught:
            await ask(transport, server.url)

    assert caught.value.kind is ProviderErrorKind.BAD_ANSWER


async def test_a_compressed_answer_is_refused(transport: HttpTransport) -> None:
    async def behave(call: Call) -> None:
        await call.answer(b"zz", "content-encoding: gzip")

    async with raw_server(behave) as server:
        with pytest.raises(ProviderError, match="gzip"):
            await ask(transport, server.url)


async def test_a_redirect_is_not_followed(transport: HttpTransport) -> None:
    async def behave(call: Call) -> None:
        await call.answer(b"", f"location: {server.url}", status=302)

    async with raw_server(behave) as server:
        response = await transport.post(server.url, {"authorization": "k"}, b"", SOON)

    assert response.status == 302
    assert len(server.calls) == 1


@pytest.mark.parametrize("stop", [True, False])
async def test_a_body_larger_than_the_limit_is_refused(
    transport: HttpTransport, stop: bool
) -> None:
    async def behave(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(50 if stop else 10_000):
            await call.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    async with asyncio.timeout(20), raw_server(behave) as server:
        response = await transport.post(server.url, {}, b"", SOON)
        with pytest.raises(ProviderError, match="larger than 1000000 bytes"):
            await response.read(LIMIT)


async def test_a_slow_reader_holds_the_upstream_back(transport: HttpTransport) -> None:
    all_sent = asyncio.Event()

    async def behave(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 60000000\r\n\r\n")
        for _ in range(60):
            await call.send(b"x" * 1_000_000)
        all_sent.set()

    async with asyncio.timeout(20), raw_server(behave) as server:
        response = await transport.post(server.url, {}, b"", SOON)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await all_sent.wait()
        sizes = [len(chunk) async for chunk in response.chunks()]

    assert sum(sizes) == 60_000_000
    assert max(sizes) < 2_000_000


async def test_bytes_on_an_idle_connection_end_the_trust_in_it(transport: HttpTransport) -> None:
    left = asyncio.Event()
    answered = asyncio.Event()

    async def behave(call: Call) -> bool:
        await call.answer()
        if call.connection == 1:
            await answered.wait()
            await call.send(b"HTTP/1.1 408 Bye\r\n\r\n")
            await call.caller_left()
            left.set()
        return call.connection > 1

    async with asyncio.timeout(5), raw_server(behave) as server:
        await ask(transport, server.url)
        answered.set()
        await left.wait()
        assert await ask(transport, server.url) == b"ok"

    assert server.connections == 2


async def test_two_hundred_requests_at_once_all_get_their_own_answer(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> None:
        await call.answer(call.body)

    async with asyncio.timeout(30), raw_server(behave) as server:
        bodies = [b"%d" % number for number in range(200)]
        answers = await asyncio.gather(*(ask(transport, server.url, body) for body in bodies))
        again = await asyncio.gather(*(ask(transport, server.url, body) for body in bodies))

    assert answers == again == bodies


async def test_one_answer_may_be_read_late_while_its_connection_serves_the_next(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> None:
        await call.answer(call.body)

    async with raw_server(behave) as server:
        first = await transport.post(server.url, {}, b"first", SOON)
        second = await transport.post(server.url, {}, b"second", SOON)
        assert [await second.read(LIMIT), await first.read(LIMIT)] == [b"second", b"first"]


@pytest.mark.filterwarnings("error")
def test_one_transport_works_in_one_event_loop_after_another() -> None:
    transport = HttpTransport()

    async def once() -> bytes:
        async with raw_server(Call.answer) as server:
            return await ask(transport, server.url)

    async def last() -> bytes:
        answer = await once()
        await transport.close()
        return answer

    assert [asyncio.run(once()), asyncio.run(once()), asyncio.run(last())] == [b"ok"] * 3
    gc.collect()


def test_closing_reaches_the_connections_of_other_loops() -> None:
    transport = HttpTransport()
    ready, left = threading.Event(), threading.Event()

    async def elsewhere() -> None:
        async def behave(call: Call) -> None:
            await call.answer()
            await call.caller_left()
            left.set()

        async with raw_server(behave) as server:
            await ask(transport, server.url)
            ready.set()
            await asyncio.to_thread(left.wait, 5)

    thread = threading.Thread(target=asyncio.run, args=(elsewhere(),))
    thread.start()
    assert ready.wait(5)
    asyncio.run(transport.close())
    thread.join(10)

    assert left.is_set()


async def test_closing_the_transport_breaks_off_what_is_being_read(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
        await call.caller_left()

    async with asyncio.timeout(5), raw_server(behave) as server:
        response = await transport.post(server.url, {}, b"", SOON)
        reading = asyncio.ensure_future(response.read(LIMIT))
        await asyncio.sleep(0)
        await transport.close()
        with pytest.raises(ProviderError):
            await reading


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/x",
        "127.0.0.1/x",
        "http://user:secret@127.0.0.1/x",
        "http:///x",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1/a b",
        "http://a..b/x",
        "http://127.0.0.1/\u00e4",
    ],
)
async def test_an_address_that_cannot_be_called_is_a_configuration_error(
    transport: HttpTransport, url: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        await transport.post(url, {}, b"", SOON)

    assert "secret" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\rb", "\u20ac"])
async def test_a_header_cannot_smuggle_another_one_in(transport: HttpTransport, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await transport.post("http://127.0.0.1/", {"authorization": value}, b"", SOON)

    assert value not in caught.value.message


async def test_no_connection_is_an_error_of_the_provider(transport: HttpTransport) -> None:
    with pytest.raises(ProviderError, match=r"No connection to 127\.0\.0\.1:1") as caught:
        await transport.post("http://127.0.0.1:1/x", {}, b"", SOON)

    assert caught.value.scope is ProviderErrorScope.PROVIDER
    assert caught.value.hint
