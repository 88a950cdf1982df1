"""`fetch_page`: the text of a public web page; no private address can be reached with it.

The name is resolved here, every address it has must be public, and the connection goes to the
very address that was checked: a name that resolves differently a moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from ymera.core.tool import Tool, ToolEffect
from ymera.tools.builtin import BuiltinTool, ToolFailed, text_argument
from ymera.tools.builtin.page_http import Connect, Page, get_page, open_connection
from ymera.tools.builtin.page_text import page_text
from ymera.tools.builtin.public_address import why_not_public

__all__ = ["Resolve", "fetch", "make", "resolve_by_system"]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host name and port to its numeric addresses."""

_MAX_URL_CHARS = 2000
_MAX_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/xhtml+xml")


def make(
    *,
    resolve: Resolve | None = None,
    connect: Connect = open_connection,
    why_not: Callable[[str], str | None] = why_not_public,
    timeout_s: float = 20.0,
    max_bytes: int = 2_000_000,
    max_output_chars: int = 20_000,
) -> BuiltinTool:
    """Return the tool.

    Args:
        resolve: looks names up; None asks the system.
        connect: opens the connection to a checked address.
        why_not: why an address must not be asked; None when it may.
        timeout_s: seconds for the whole page, redirects included.
        max_bytes: larger pages are read up to here.
        max_output_chars: longest text handed on.
    """
    tool = _described(timeout_s, max_output_chars)

    async def describe() -> Tool:
        return tool

    async def run(arguments: Mapping[str, object]) -> str:
        url = text_argument(arguments, "url")
        try:
            async with asyncio.timeout(timeout_s):
                return await fetch(
                    url,
                    resolve=resolve or resolve_by_system,
                    connect=connect,
                    why_not=why_not,
                    max_bytes=max_bytes,
                )
        except TimeoutError:
            raise ToolFailed(f"The page did not come within {timeout_s:g} s.") from None

    return BuiltinTool(describe=describe, run=run)


async def fetch(
    url: str,
    *,
    resolve: Resolve,
    connect: Connect,
    why_not: Callable[[str], str | None] = why_not_public,
    max_bytes: int = 2_000_000,
) -> str:
    """Return the text of a page, following redirects.

    Raises:
        ToolFailed: not a public http or https address, or no readable page there.
    """
    for _ in range(_MAX_REDIRECTS + 1):
        parts = _checked(url)
        address = await _address(parts, resolve, why_not)
        try:
            page = await get_page(parts, address, connect, max_bytes)
        except (OSError, EOFError) as error:
            raise ToolFailed(f"{parts.hostname} cannot be reached: {error}") from error
        if page.status not in _REDIRECTS or not page.location:
            return _readable(page)
        url = urljoin(url, page.location)
    raise ToolFailed(f"More than {_MAX_REDIRECTS} redirects.")


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Return the addresses the system knows a name by.

    Raises:
        OSError: there is no such name.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _checked(url: str) -> SplitResult:
    if len(url) > _MAX_URL_CHARS or any(ord(sign) <= 32 or ord(sign) == 127 for sign in url):
        raise ToolFailed("The address is too long, or has blanks in it.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ToolFailed(f"Not an address: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ToolFailed("Only addresses with http:// or https:// are fetched.")
    if parts.username is not None or parts.password is not None:
        raise ToolFailed("Addresses with a user name or password are not fetched.")
    if port not in {None, 80, 443, 8080, 8443}:
        raise ToolFailed(f"Port {port} is no port of web pages.")
    return parts


async def _address(
    parts: SplitResult, resolve: Resolve, why_not: Callable[[str], str | None]
) -> str:
    host = str(parts.hostname)
    try:
        addresses = await resolve(host, parts.port or _PORTS[parts.scheme])
    except (OSError, UnicodeError) as error:
        raise ToolFailed(f"The name {host[:100]!r} cannot be found.") from error
    if not addresses:
        raise ToolFailed(f"The name {host[:100]!r} cannot be found.")
    for address in addresses:
        reason = why_not(address)
        if reason is not None:
            raise ToolFailed(f"{host[:100]} is not public: {reason}.")
    return addresses[0]


def _readable(page: Page) -> str:
    kind = page.content_type.partition(";")[0].strip().lower()
    if page.status >= 400:
        raise ToolFailed(f"The page answered with status {page.status}.")
    if kind and not kind.startswith(_TEXT_TYPES):
        raise ToolFailed(f"The page is {kind[:60]}, not text.")
    text = page.text()
    rest = "\n[the page is longer]" if page.is_cut else ""
    is_html = "html" in kind or text[:200].lstrip().lower().startswith(("<!doctype html", "<html"))
    return (page_text(text) if is_html else text) + rest


def _described(timeout_s: float, max_output_chars: int) -> Tool:
    return Tool(
        name="fetch_page",
        description="Reads the text of a public web page on the internet by its address (URL).",
        parameters=msgspec.Raw(
            msgspec.json.encode(
                {
                    "type": "object",
                    "properties": {
                        "url": {"type": "string", "description": "https://..., public."}
                    },
                    "required": ["url"],
                    "additionalProperties": False,
                }
            )
        ),
        effect=ToolEffect.READ_ONLY,
        timeout_s=timeout_s + 1.0,
        max_output_chars=max_output_chars,
    )
