"""Lists a server gives page by page: tools, resources, prompts; bounded, whatever it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ymera.tools.mcp_tools import clean_text

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import Prompt, Resource
    from mcp_types import Tool as OfferedTool

__all__ = ["McpPrompt", "McpResource", "list_prompts", "list_resources", "list_tools"]

_MAX_ITEMS = 1000
_MAX_PAGES = 100
_MAX_WORDS_CHARS = 500


class McpResource(msgspec.Struct, frozen=True):
    """Something a server offers to read.

    Attributes:
        uri: its address, as the server wants it back.
        name, description: a stranger's words, bounded.
        mime_type: what it says it is; None when it does not.
    """

    uri: str
    name: str
    description: str
    mime_type: str | None = None


class McpPrompt(msgspec.Struct, frozen=True):
    """A prompt a server offers.

    Attributes:
        name: as the server wants it back.
        description: a stranger's words, bounded.
        arguments: names of what it takes; the required ones end in `*`.
    """

    name: str
    description: str
    arguments: tuple[str, ...] = ()


async def list_tools(client: Client) -> list[OfferedTool]:
    """Return all tools, past a server that turns pages for ever."""
    found: list[OfferedTool] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="refresh")
        found += page.tools
        cursor = page.next_cursor
        if not cursor or len(found) >= _MAX_ITEMS:
            break
    return found[:_MAX_ITEMS]


async def list_resources(client: Client) -> list[McpResource]:
    """Return all resources; none where the server does not offer any."""
    if client.server_capabilities.resources is None:
        return []
    found: list[Resource] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.list_resources(cursor=cursor)
        found += page.resources
        cursor = page.next_cursor
        if not cursor or len(found) >= _MAX_ITEMS:
            break
    return [
        McpResource(
            uri=one.uri,
            name=clean_text(one.title or one.name, _MAX_WORDS_CHARS),
            description=clean_text(one.description, _MAX_WORDS_CHARS),
            mime_type=one.mime_type,
        )
        for one in found[:_MAX_ITEMS]
    ]


async def list_prompts(client: Client) -> list[McpPrompt]:
    """Return all prompts; none where the server does not offer any."""
    if client.server_capabilities.prompts is None:
        return []
    found: list[Prompt] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.list_prompts(cursor=cursor)
        found += page.prompts
        cursor = page.next_cursor
        if not cursor or len(found) >= _MAX_ITEMS:
            break
    return [
        McpPrompt(
            name=one.name,
            description=clean_text(one.description, _MAX_WORDS_CHARS),
            arguments=tuple(f"{a.name}{'*' if a.required else ''}" for a in one.arguments or ()),
        )
        for one in found[:_MAX_ITEMS]
    ]
