"""Which servers of the user's own are found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ymera.app.probing import find_local_servers
from ymera.core.model import Dialect, Provider, ProviderKind

pytestmark = pytest.mark.proves("app.probing")


@asynccontextmanager
async def answering(answer: bytes, heads: list[str]) -> AsyncIterator[str]:
    """Answer each request with these bytes and close; give the URL, and note what was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def provider(url: str, kind: ProviderKind = ProviderKind.LOCAL) -> Provider:
    return Provider(
        id="own", name="Own", kind=kind, dialects=(Dialect.OPENAI_CHAT,), base_url=f"{url}/v1"
    )


async def test_a_server_is_found_with_its_chat_models_and_sent_no_key() -> None:
    heads: list[str] = []
    listed = ok(b'{"data":[{"id":"a"},{"id":"bge-m3"},{"id":"gpt-oss:120b-cloud"}]}')
    async with answering(listed, heads) as url:
        (found,) = await find_local_servers([provider(url)])
    assert (found.provider, found.name, found.models) == ("own", "Own", ("a",))
    assert heads[0].startswith("GET /v1/models HTTP/1.1\r\n")
    assert "authorization" not in heads[0].lower()


async def test_ollama_at_an_address_of_its_own_dialect_is_asked_for_its_tags() -> None:
    heads: list[str] = []
    listed = ok(b'{"models":[{"name":"llama3.2:latest"},{"name":"nomic-embed-text"}]}')
    async with answering(listed, heads) as url:
        own = Provider(
            id="ollama",
            name="Ollama",
            kind=ProviderKind.LOCAL,
            dialects=(Dialect.OLLAMA,),
            base_url=url,
        )
        (found,) = await find_local_servers([own])
    assert found.models == ("llama3.2:latest",)
    assert heads[0].startswith("GET /api/tags HTTP/1.1\r\n")


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [ok(b"{}"), b'HTTP/1.1 200 OK\r\n\r\n{"data":null}', CHUNKED],
    ids=["empty", "until the end", "chunked"],
)
async def test_a_server_without_models_is_found_too(answer: bytes) -> None:
    async with answering(answer, []) as url:
        (found,) = await find_local_servers([provider(url)])
    assert found.models == ()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 X\r\ncontent-length: 2\r\n\r\n{}",
        ok(b"<html"),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{",
        ok(b'{"data":[{"id":"auto","owned_by":"ymera"}]}'),
    ],
    ids=["no list", "html", "no http", "nothing", "cut", "ourselves"],
)
async def test_whatever_else_listens_there_is_not_found(answer: bytes) -> None:
    heads: list[str] = []
    async with answering(answer, heads) as url:
        assert await find_local_servers([provider(url)]) == ()
    assert len(heads) == 1


async def test_a_server_that_hangs_costs_no_more_than_the_time_there_is() -> None:
    accepted = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server, asyncio.timeout(5):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await find_local_servers([provider(url)] * 3, within_s=0.05) == ()
    assert accepted.is_set()


async def test_only_loopback_and_only_local_servers_are_asked() -> None:
    heads: list[str] = []
    far = provider("http://192.0.2.1:11434")
    async with answering(ok(b"{}"), heads) as url:
        hosted = provider(url, ProviderKind.HOSTED)
        assert await find_local_servers([far, hosted, provider("http://127.0.0.1:9")]) == ()
    assert heads == []
