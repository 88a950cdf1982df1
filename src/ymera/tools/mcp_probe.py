"""A small MCP server of ours, for `ymera validate`: proof that the client side works here.

Run as `python -m ymera.tools.mcp_probe WORD`; it speaks over stdio and ends with its input. Its
tool and its resource tell WORD, which nothing else knows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["RESOURCE_URI", "TOOL", "main"]

TOOL = "greet"
RESOURCE_URI = "probe://password"

_USAGE = "usage: python -m ymera.tools.mcp_probe WORD"
_USAGE_EXIT = 2


def main(arguments: Sequence[str]) -> int:
    """Serve until the input ends; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write(f"{_USAGE}\n")
        return _USAGE_EXIT
    from mcp.server import MCPServer
    from mcp_types import ToolAnnotations

    word = arguments[0]
    server = MCPServer("ymera-probe", instructions="Tells a word.")

    @server.tool(
        name=TOOL,
        description="Greet somebody with the word of the day.",
        annotations=ToolAnnotations(read_only_hint=True),
    )
    def greet(name: str) -> str:
        return f"{word} {name}"

    @server.resource(
        RESOURCE_URI, name="Password of the day", description="The password of the day."
    )
    def password() -> str:
        return f"The password of the day is {word}."

    server.run("stdio")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
