"""One MCP server: how it is reached, and its bounds."""

from __future__ import annotations

from pathlib import Path

import msgspec

__all__ = ["MAX_MESSAGE_BYTES", "McpServerSpec"]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The longest message of a server that is read; one that sends more is ended."""


class McpServerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A server to start (`command`, over stdio) or to reach (`url`, streamable HTTP).

    Attributes:
        name: prefix of its tools; letters, digits, `-`, `_`.
        command: program to start.
        args: its arguments.
        env: names of environment variables handed on to it.
        cwd: its working directory; None is ours.
        url: address of a streamable HTTP server; used when there is no `command`.
        bearer_env: name of the variable that holds its bearer token.
        read_only: its tools that change nothing, by their own names; `*` is all.
        call_timeout_s: seconds one call may take.
        start_timeout_s: seconds from its start until it must have answered.
        unload_after_s: idle seconds until it is ended; None: never.
        max_output_chars: longest result of one call.
    """

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    cwd: Path | None = None
    url: str | None = None
    bearer_env: str | None = None
    read_only: tuple[str, ...] = ()
    call_timeout_s: float = 30.0
    start_timeout_s: float = 20.0
    unload_after_s: float | None = 600.0
    max_output_chars: int = 20_000
