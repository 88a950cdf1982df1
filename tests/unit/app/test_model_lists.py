"""Fetching model lists: where they lie, pages, bounds, and what a provider may do wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from ymera.app.model_lists import ModelList, _address, fetch_lists
from ymera.catalog.load import load
from ymera.core.errors import ConfigError, ProviderError
from ymera.core.model import Dialect, Endpoint, Provider, ProviderKind
from ymera.core.ports import Deadlines
from ymera.providers.transport import HttpTransport

SECRET = "sk-" + "Ab3dEf6hIj9kLm2n"


def ok(tree: object, status: str = "200 OK") -> bytes:
    body = msgspec.json.encode(tree)
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


@asynccontextmanager
async def vendor(
    answer: Callable[[str], bytes],
) -> AsyncIterator[tuple[str, list[str]]]:
    """Answer each request head; give the origin and the heads that came."""
    heads: list[str] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                writer.write(answer(heads[-1]))
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.get_running_loop().create_task(serve(reader, writer)))

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    async with asyncio.timeout(10):  # the other side has gone, so each of them ends
        await asyncio.gather(*serving)


def host(origin: str, dialect: Dialect = Dialect.OPENAI_CHAT) -> Provider:
    return Provider(
        id="host",
        name="Host",
        kind=ProviderKind.HOSTED,
        dialects=(dialect,),
        base_url=origin,
        key_env=("HOST_KEY",),
        endpoints=(Endpoint(dialect=dialect, base_url=origin),),
    )


async def fetched(origin: str, dialect: Dialect = Dialect.OPENAI_CHAT) -> ModelList:
    (listing,) = await fetch_lists([host(origin, dialect)], {"HOST_KEY": SECRET}, {})
    return listing


@pytest.mark.proves("transport.get", "catalog.update")
async def test_a_list_is_asked_for_with_the_key_and_without_a_body() -> None:
    async with vendor(lambda _: ok({"data": [{"id": "m"}]})) as (origin, heads):
        listing = await fetched(f"{origin}/v1")
    assert [row.id for row in listing.rows] == ["m"]
    assert listing.source == f"{origin}/v1/models"
    lines = heads[0].split("\r\n")
    assert lines[0] == "GET /v1/models HTTP/1.1"
    assert f"authorization: Bearer {SECRET}" in lines
    assert not any(line.startswith("content-length") for line in lines)
    assert lines[-2:] == ["", ""]


@pytest.mark.proves("catalog.update")
async def test_pages_are_followed_over_one_connection() -> None:
    pages = {
        "": {"models": [{"name": "models/a"}], "nextPageToken": "t&2"},
        "t%262": {"models": [{"name": "models/b"}]},
    }

    def answer(head: str) -> bytes:
        return ok(pages[head.split(" ")[1].partition("pageToken=")[2]])

    async with vendor(answer) as (origin, heads):
        listing = await fetched(origin, Dialect.GEMINI)
    assert [row.id for row in listing.rows] == ["a", "b"]
    assert heads[0].startswith("GET /v1beta/models?pageSize=1000 HTTP/1.1")
    assert listing.source == f"{origin}/v1beta/models"


async def test_a_list_that_never_ends_is_left() -> None:
    endless = {"data": [{"id": "m"}], "has_more": True, "last_id": "m"}
    async with vendor(lambda _: ok(endless)) as (origin, heads):
        listing = await fetched(origin, Dialect.ANTHROPIC)
    assert [row.id for row in listing.rows] == ["m"]
    assert len(heads) == 2  # the second page names the same next one


@pytest.mark.proves("catalog.update")
@pytest.mark.parametrize(
    ("answer", "error", "refused"),
    [
        (ok({}, "401 No"), "status 401: the key was refused", True),
        (ok({}, "500 Oops"), "status 500", False),
        (ok({"data": []}), "Its list is empty", False),
        (ok({"hello": 1}), "no model list", False),
        (b"SSH-2.0-OpenSSH\r\n", "", False),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b" " * 17_000_000,
            "larger",
            False,
        ),
    ],
    ids=["refused", "broken", "empty", "no list", "no http", "too large"],
)
async def test_what_goes_wrong_is_told_without_the_key(
    answer: bytes, error: str, refused: bool
) -> None:
    async with vendor(lambda _: answer) as (origin, _heads):
        listing = await fetched(origin)
    assert listing.error is not None
    assert error in listing.error
    assert (listing.rows, listing.refused) == ((), refused)
    assert SECRET not in repr(listing)


async def test_a_provider_that_cannot_be_called_is_told_apart() -> None:
    (listing,) = await fetch_lists([host("http://127.0.0.1:9")], {}, {})
    assert listing.error is not None
    assert "HOST_KEY" in listing.error


@pytest.mark.proves("catalog.update")
@pytest.mark.parametrize(
    ("provider", "filled", "url"),
    [
        (
            "cloudflare",
            "https://api.cloudflare.com/client/v4/accounts/acc1/ai/v1",
            "https://api.cloudflare.com/client/v4/accounts/acc1/ai/models/search?per_page=1000",
        ),
        ("cohere", None, "https://api.cohere.com/v1/models"),
        ("groq", None, "https://api.groq.com/openai/v1/models"),
        (
            "google",
            None,
            "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000",
        ),
        ("anthropic", None, "https://api.anthropic.com/v1/models?limit=1000"),
        ("ollama-cloud", None, "https://ollama.com/api/tags"),
    ],
)
def test_each_vendors_list_is_where_its_row_says(
    provider: str, filled: str | None, url: str
) -> None:
    row, entry = load().providers[provider], load().provider_entries[provider]
    endpoint = row.endpoints[0]
    if filled is not None:
        endpoint = msgspec.structs.replace(endpoint, base_url=filled)
    assert _address(endpoint, row, entry)[0] == url


def test_a_changed_address_is_never_left_for_the_vendors_own() -> None:
    row = load().providers["cohere"]
    moved = Endpoint(dialect=Dialect.OPENAI_CHAT, base_url="http://127.0.0.1:1/x")
    assert _address(moved, row, None)[0] == "http://127.0.0.1:1/x/models"


@pytest.mark.proves("transport.get")
async def test_a_get_keeps_the_deadlines_and_refuses_what_cannot_be_sent() -> None:
    transport = HttpTransport()
    async with vendor(lambda _: b"") as (origin, _heads):
        with pytest.raises(ProviderError, match="did not begin to answer"):
            await transport.get(origin, {}, Deadlines(first_byte_s=0.05))
        with pytest.raises(ConfigError, match="line break"):
            await transport.get(origin, {"a": "b\r\nc: d"}, Deadlines())
        await transport.close()
