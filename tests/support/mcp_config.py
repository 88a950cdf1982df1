"""The user's configuration file, with an MCP server in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

__all__ = ["user_file", "user_mcp_server"]


def user_file() -> Path:
    """Return the path of this test's user configuration."""
    return Path(os.environ["XDG_CONFIG_HOME"]) / "ymera" / "config.toml"


def user_mcp_server(name: str, command: str, *args: str, read_only: str = "*") -> None:
    """Add a server that is started with a command."""
    path = user_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(
            f"[mcp.servers.{name}]\ncommand = {json.dumps(command)}\n"
            f"args = {json.dumps(args)}\nread_only = [{json.dumps(read_only)}]\n"
        )
