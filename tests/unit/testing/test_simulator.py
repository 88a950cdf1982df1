"""The parts of the simulator that no provider test reaches."""

from __future__ import annotations

import asyncio
import json

from ymera.core.ports import Deadlines
from ymera.providers.transport import HttpTransport
from ymera.testing import Simulator


async def post(base_url: str, path: str, body: bytes, key: str = "k") -> tuple[int, bytes]:
    transport = HttpTransport()
    try:
        headers = {"authorization": f"Bearer {key}"}
        answer = await transport.post(base_url + path, headers, body, Deadlines())
        return answer.status, await answer.read(100_000)
    finally:
        await transport.close()


async def talk(base_url: str, *requests: bytes) -> bytes:
    host, port = base_url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"".join(requests))
    writer.write_eof()
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_malformed_request_gets_the_dialects_error() -> None:
    async with Simulator() as sim:
        status, body = await post(sim.base_url, "/chat/completions", b"{}")

    assert status == 400
    assert json.loads(body)["error"]["param"] == "model"


async def test_an_unknown_path_is_not_found() -> None:
    async with Simulator() as sim:
        status, _ = await post(sim.base_url, "/nowhere", b"{}")

    assert status == 404


async def test_only_the_given_keys_are_let_in() -> None:
    async with Simulator(keys=frozenset({"right"})) as sim:
        wrong, _ = await post(sim.base_url, "/chat/completions", b"{}", "wrong")
        right, _ = await post(sim.base_url, "/chat/completions", b"{}", "right")

    assert (wrong, right) == (401, 400)


async def test_a_request_that_follows_before_its_answer_was_read_is_answered_too() -> None:
    body = b'{"model":"sim-small","messages":[{"role":"user","content":"hi"}]}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )

    async with Simulator() as sim:
        host, port = sim.base_url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request + request)
        async with asyncio.timeout(5):
            for _ in range(2):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                answer = json.loads(await reader.readexactly(length))
                assert answer["choices"][0]["message"]["content"] == "You asked: hi"
        writer.close()
        await writer.wait_closed()

    assert len(sim.seen) == 2


async def test_a_body_larger_than_any_prompt_is_hung_up_on() -> None:
    async with Simulator() as sim:
        said = await talk(sim.base_url, b"POST / HTTP/1.1\r\ncontent-length: 999999999\r\n\r\n")

    assert said == b""


async def test_leaving_the_block_ends_calls_that_hang() -> None:
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    reached = asyncio.Event()

    async def pause(number: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        async with Simulator(pause=pause) as sim:
            asking = asyncio.ensure_future(post(sim.base_url, "/chat/completions", body))
            await reached.wait()
        (outcome,) = await asyncio.gather(asking, return_exceptions=True)

    assert isinstance(outcome, Exception)
