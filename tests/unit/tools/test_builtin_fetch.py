"""Fetching public pages: the checked address is the one that is asked, and private ones never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.tools.builtin import ToolFailed
from ymera.tools.builtin.fetch_page import fetch, make
from ymera.tools.builtin.page_http import open_connection
from ymera.tools.builtin.page_text import page_text
from ymera.tools.builtin.public_address import why_not_public

pytestmark = pytest.mark.proves("tools.fetch")

PUBLIC = "93.184.215.14"
PAGE = (
    b"<!doctype html><html><head><title>Herons</title><style>p {}</style></head><body>"
    b"<nav>Menu</nav><h1>Grey heron</h1><p>It eats&nbsp;fish &amp; frogs.</p>"
    b"<script>alert(1)</script><p hidden>never shown</p></body></html>"
)


def answer(status: str, body: bytes, *headers: str) -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers))
    return head.encode() + b"\r\n\r\n" + body


HTML = answer("200 OK", PAGE, "content-type: text/html; charset=utf-8")


@dataclass
class Site:
    """A web server on loopback that stands for the whole internet.

    Attributes:
        pages: what is answered, by host and target.
        names: what names resolve to; anything else is `PUBLIC`.
        connected: the addresses that were really asked for.
    """

    pages: dict[str, bytes]
    names: dict[str, Sequence[str]] = field(default_factory=dict)
    connected: list[tuple[str, int]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    port: int = 0

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        return self.names.get(host, [PUBLIC])

    async def connect(
        self, address: str, port: int, server_name: str | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.connected.append((address, port))
        return await open_connection("127.0.0.1", self.port, None)

    async def get(self, url: str, max_bytes: int = 10_000) -> str:
        return await fetch(url, resolve=self.resolve, connect=self.connect, max_bytes=max_bytes)


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[Site]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        site.requests.append(head)
        target = head.split(" ", 2)[1]
        host = head.lower().split("host: ", 1)[1].split("\r\n", 1)[0]
        writer.write(site.pages[f"{host}{target}"])
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        await server.wait_closed()


async def test_a_page_comes_as_the_text_a_reader_sees() -> None:
    async with serving(Site({"birds.example/heron?x=1": HTML})) as site:
        text = await site.get("http://birds.example/heron?x=1")

    assert text == "Herons\n\nGrey heron\n\nIt eats fish & frogs."
    assert site.connected == [(PUBLIC, 80)]


async def test_redirects_are_followed_and_checked_each_time() -> None:
    away = answer("302 Found", b"", "location: http://inside.example/secret")
    pages = {"birds.example/": away, "inside.example/secret": HTML}
    async with serving(Site(pages, names={"inside.example": ["10.0.0.5"]})) as site:
        with pytest.raises(ToolFailed, match=r"inside\.example is not public"):
            await site.get("http://birds.example/")
    assert site.connected == [(PUBLIC, 80)]

    near = answer("301 Moved", b"", "location: /new")
    async with serving(Site({"birds.example/": near, "birds.example/new": HTML})) as site:
        assert "Grey heron" in await site.get("http://birds.example/")


async def test_redirects_end() -> None:
    loop = answer("302 Found", b"", "location: /")
    async with serving(Site({"birds.example/": loop})) as site:
        with pytest.raises(ToolFailed, match="redirects"):
            await site.get("http://birds.example/")


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["172.16.0.1"],
        ["192.168.1.1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["100.100.100.200"],
        ["0.0.0.0"],
        ["224.0.0.1"],
        ["255.255.255.255"],
        ["::1"],
        ["fe80::1%eth0"],
        ["fd00::1"],
        ["::ffff:127.0.0.1"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["::127.0.0.1"],
        [PUBLIC, "127.0.0.1"],
        [],
    ],
)
async def test_a_name_with_any_private_address_is_not_asked(addresses: list[str]) -> None:
    site = Site({}, names={"trap.example": addresses})
    with pytest.raises(ToolFailed):
        await site.get("http://trap.example/")
    assert site.connected == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://birds.example/",
        "gopher://birds.example/",
        "http://user:word@birds.example/",
        "http://birds.example:22/",
        "http://birds.example:99999/",
        "http://birds.example/a\r\nhost: inside",
        "http://",
        "birds.example",
        "http://" + "a" * 3000,
        "http://[::1",
    ],
)
async def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    site = Site({})
    with pytest.raises(ToolFailed):
        await site.get(url)
    assert site.connected == []


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (answer("404 Not Found", b"no"), "404"),
        (answer("200 OK", b"\x89PNG", "content-type: image/png"), "not text"),
        (answer("200 OK", b"x", "content-type: text/html", "content-encoding: gzip"), "compressed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", "cut off"),
        (b"nonsense\r\n\r\n", "no HTTP"),
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 2 + b"x: " + b"y" * 70_000 + b"\r\n\r\n", "HTTP"),
    ],
)
async def test_what_is_no_readable_page_says_why(page: bytes, reason: str) -> None:
    async with serving(Site({"birds.example/": page})) as site:
        with pytest.raises(ToolFailed, match=reason):
            await site.get("http://birds.example/")


async def test_a_long_page_is_cut_and_says_so() -> None:
    page = answer("200 OK", b"a" * 5000, "content-type: text/plain")
    async with serving(Site({"birds.example/": page})) as site:
        text = await site.get("http://birds.example/", max_bytes=100)

    assert text == "a" * 100 + "\n[the page is longer]"


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def connect(
        address: str, port: int, server_name: str | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await asyncio.Event().wait()
        raise AssertionError

    async def resolve(host: str, port: int) -> Sequence[str]:
        return [PUBLIC]

    tool = make(resolve=resolve, connect=connect, timeout_s=0.01)
    with pytest.raises(ToolFailed, match="within"):
        await tool.run({"url": "http://birds.example/"})


@given(st.ip_addresses())
def test_only_addresses_of_the_public_internet_pass(address: IPv4Address | IPv6Address) -> None:
    if why_not_public(str(address)) is None:
        assert address.is_global
        assert not any((address.is_private, address.is_loopback, address.is_multicast))


@given(st.text(max_size=200), st.sampled_from([str, page_text]))
def test_no_page_makes_the_reader_fail(html: str, read: Callable[[str], str]) -> None:
    assert isinstance(read(html), str)
