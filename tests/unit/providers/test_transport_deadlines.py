"""Every stage of a call is bounded, and a call that is left is dropped."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.raw_server import Call, raw_server
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.ports import Deadlines
from ymera.providers.transport import HttpTransport

NEVER = 60.0
SOON = 0.05
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport()
    yield made
    await made.close()


def bounded(**seconds: float | None) -> Deadlines:
    never = {"connect_s": NEVER, "first_byte_s": NEVER, "idle_s": NEVER, "total_s": NEVER}
    return Deadlines(**{**never, **seconds})


async def silent(call: Call) -> None:
    await call.caller_left()


async def stalls(call: Call) -> None:
    await call.send(HEAD)
    await call.caller_left()


async def drips(call: Call) -> None:
    await call.send(HEAD)
    while not call.writer.is_closing():
        await call.send(b"1\r\na\r\n")
        await asyncio.sleep(SOON / 10)


async def ask(transport: HttpTransport, url: str, deadlines: Deadlines) -> bytes:
    response = await transport.post(url, {}, b"{}", deadlines)
    try:
        return await response.read(10**9)
    finally:
        await response.close()


@pytest.mark.proves("providers.deadlines")
@pytest.mark.parametrize(
    ("behave", "deadlines", "said"),
    [
        (silent, bounded(first_byte_s=SOON), "did not begin to answer within 0.05 s"),
        (silent, bounded(total_s=SOON), "did not finish within 0.05 s"),
        (stalls, bounded(idle_s=SOON), "fell silent for 0.05 s"),
        (stalls, bounded(first_byte_s=SOON, total_s=2 * SOON), "did not finish within 0.1 s"),
        (drips, bounded(total_s=2 * SOON), "did not finish within 0.1 s"),
    ],
)
async def test_each_stage_has_its_own_limit_and_its_own_error(
    transport: HttpTransport, behave: object, deadlines: Deadlines, said: str
) -> None:
    async with asyncio.timeout(10), raw_server(behave) as server:  # type: ignore[arg-type]
        with pytest.raises(ProviderError, match=said) as caught:
            await ask(transport, server.url, deadlines)

    assert caught.value.kind is ProviderErrorKind.TRANSIENT


@pytest.mark.proves("providers.deadlines")
async def test_connecting_is_bounded(transport: HttpTransport) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        # Two fill the queue of a listener that never accepts; the next one waits.
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        with pytest.raises(ProviderError, match=r"did not accept a connection within 0.05 s"):
            await transport.post(
                f"http://127.0.0.1:{address[1]}/", {}, b"", bounded(connect_s=SOON)
            )
        for one in waiting:
            one.close()


async def test_a_late_answer_on_a_kept_connection_is_not_asked_for_again(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> None:
        if len(server.calls) == 1:
            await call.answer()
        else:
            await call.caller_left()

    async with asyncio.timeout(10), raw_server(behave) as server:
        await (await transport.post(server.url, {}, b"", bounded())).read(100)
        with pytest.raises(ProviderError, match="did not begin"):
            await transport.post(server.url, {}, b"", bounded(first_byte_s=SOON))

    assert len(server.calls) == 2


async def test_without_limits_an_answer_may_take_its_time(transport: HttpTransport) -> None:
    none = Deadlines(connect_s=None, first_byte_s=None, idle_s=None, total_s=None)

    async with asyncio.timeout(10), raw_server(Call.answer) as server:
        response = await transport.post(server.url, {}, b"", none)
        assert await response.read(100) == b"ok"


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
    ],
)
async def test_a_cut_body_is_handed_on_up_to_the_cut_and_then_an_error(
    transport: HttpTransport, sent: bytes
) -> None:
    async def behave(call: Call) -> bool:
        await call.send(sent)
        return False

    async with asyncio.timeout(10), raw_server(behave) as server:
        response = await transport.post(server.url, {}, b"", bounded())
        chunks = response.chunks()
        assert await anext(chunks) == b"abc"
        with pytest.raises(ProviderError, match="in the middle of its answer") as caught:
            await anext(chunks)

    assert caught.value.kind is ProviderErrorKind.TRANSIENT


@pytest.mark.proves("providers.cancel")
@pytest.mark.parametrize("stage", ["head", "body", "closed"])
async def test_a_call_that_is_left_closes_the_upstreams_connection(
    transport: HttpTransport, stage: str
) -> None:
    reached, left = asyncio.Event(), asyncio.Event()

    async def behave(call: Call) -> None:
        if stage != "head":
            await call.send(HEAD)
        reached.set()
        await call.caller_left()
        left.set()

    async def ask() -> None:
        response = await transport.post(server.url, {}, b"", bounded())
        if stage == "closed":
            await response.close()
        else:
            await response.read(100)

    async with asyncio.timeout(10), raw_server(behave) as server:
        asking = asyncio.ensure_future(ask())
        await reached.wait()
        if stage != "closed":
            asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        if stage == "body":  # a cancelled reader closes what it was reading, as providers do
            await transport.close()
        await left.wait()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that nobody has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout {key} -out {cert}"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *command.split(), *names], check=True, capture_output=True, timeout=60)
    return key, cert


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_certificate_has_to_be_trusted(
    transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    key, cert = certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async with asyncio.timeout(10), raw_server(Call.answer, tls=context) as server:
        if trusted:
            response = await transport.post(server.url, {}, b"", bounded())
            assert await response.read(100) == b"ok"
            await transport.close()
        else:
            with pytest.raises(ProviderError, match="TLS certificate is not valid"):
                await transport.post(server.url, {}, b"", bounded())
