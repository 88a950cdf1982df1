"""The MCP servers of one configuration; nothing is started before it is used."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ymera.config.paths import DataPaths
from ymera.config.schema import McpServerSettings, Settings
from ymera.core.errors import ConfigError
from ymera.tools.mcp_client import McpServer
from ymera.tools.mcp_spec import McpServerSpec

__all__ = ["mcp_servers", "server_spec"]

_STATE = "mcp"
"""Below the data directory: process ids, and a scratch home for each server."""


def mcp_servers(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    paths: DataPaths,
    monotonic: Callable[[], float] = time.monotonic,
    running: Mapping[str, McpServer] = MappingProxyType({}),
) -> dict[str, McpServer]:
    """Return the servers that are enabled, by name; nothing is started or ended.

    Args:
        settings: sections `mcp` and `tools`.
        environ: where the variables that servers name are looked up.
        paths: of the data directory.
        monotonic: seconds that only grow.
        running: those of earlier settings; what did not change is taken from here, still warm.
            The caller closes the others.

    Raises:
        ConfigError: a server has neither a command nor an address, or both.
    """
    servers: dict[str, McpServer] = {}
    for name, server in settings.mcp.servers.items():
        if not server.enabled:
            continue
        spec = server_spec(name, server, settings)
        known = running.get(name)
        if known is not None and known.spec == spec:
            servers[name] = known
        else:
            state_dir = paths.root / _STATE
            servers[name] = McpServer(
                spec, environ=environ, state_dir=state_dir, monotonic=monotonic
            )
    return servers


def server_spec(name: str, server: McpServerSettings, settings: Settings) -> McpServerSpec:
    """Return one server with its bounds filled in.

    Raises:
        ConfigError: it has neither a command nor an address, or both.
    """
    if (server.command is None) == (server.url is None):
        which = "neither" if server.command is None else "both"
        raise ConfigError(
            f"The MCP server {name!r} has {which} of command and url.",
            hint=f"Set one of mcp.servers.{name}.command and mcp.servers.{name}.url.",
            param=f"mcp.servers.{name}",
        )
    if "__" in name:
        raise ConfigError(
            f"The MCP server {name!r} has __ in its name, which separates server and tool.",
            hint="Use a single _ or a -.",
            param=f"mcp.servers.{name}",
        )
    return McpServerSpec(
        name=name,
        command=server.command,
        args=server.args,
        env=server.env,
        cwd=server.cwd,
        url=server.url,
        bearer_env=server.bearer_env,
        read_only=server.read_only,
        call_timeout_s=float(server.timeout_seconds or settings.tools.timeout_seconds),
        start_timeout_s=float(settings.mcp.start_timeout_seconds),
        unload_after_s=settings.mcp.unload_after_seconds,
        max_output_chars=settings.tools.max_output_chars,
    )
