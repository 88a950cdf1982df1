"""A well-behaved server of either transport; also what the odd ones are built on.

Run as `good.py` over stdio, or `good.py PORT` over streamable HTTP on loopback.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("good", instructions="Ask for\nanything.")


@server.tool(description="Add two numbers.", annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    return a + b


@server.tool(description="Forget everything.", annotations=ToolAnnotations(destructive_hint=True))
def wipe() -> str:
    return "wiped"


@server.tool(description="Fail on purpose.")
def fail(reason: str) -> str:
    raise ValueError(reason)


@server.tool(description="Say `size` letters.")
def shout(size: int) -> str:
    return "a" * size


@server.tool(name="odd name/with.dots", description="Has a name that models may not say.")
def odd() -> str:
    return "odd"


@server.tool(description="Names and values of the environment.")
def environment() -> dict[str, str]:
    return dict(os.environ)


@server.tool(description="Process id and process group.")
def identity() -> list[int]:
    return [os.getpid(), os.getpgid(0)]


@server.tool(description="Never answers; writes to `path` when it is cancelled.")
async def hang(path: str) -> str:
    tell(path, "hanging")
    try:
        await asyncio.Event().wait()
    finally:
        tell(path, "cancelled")
    return "never"


def tell(path: str, word: str) -> None:
    Path(path).write_text(word, encoding="utf-8")


@server.tool(description="End this very process.")
def die(code: int) -> str:
    sys.stderr.write("last words: api_key=sk-abcdefghijklmnop\n")
    sys.stderr.flush()
    os._exit(code)


@server.tool(description="Add one more tool.")
async def grow() -> str:
    server.add_tool(lambda: "grown", name="grown", description="New.")
    return "ok"


@server.resource("notes://invoices/march", name="Invoices of March", description="Money in.")
def march() -> str:
    return "Invoice 7781 of the bakery is over 120 euro.\n" + "Filler line.\n" * 400


@server.resource("notes://holidays", name="Holidays", description="Who is away.")
def holidays() -> str:
    return "Filler line.\n" * 400 + "Ada is away in the second week of June.\n"


@server.resource("notes://logo", name="Logo", mime_type="image/png")
def logo() -> bytes:
    return b"\x89PNG" + bytes(96)


@server.prompt(description="Ask for a summary.")
def summarise(topic: str) -> str:
    return f"Summarise {topic} in a sentence."


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
