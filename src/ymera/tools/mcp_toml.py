"""Adding and removing `[mcp.servers.NAME]` in a TOML text; the rest of it stays as it is.

Only whole tables are touched, by their header lines. What came out is read again and compared:
a text that is written in another way (inline tables, dotted keys) is left alone.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence

from ymera.core.errors import ConfigError

__all__ = ["server_table", "with_server", "without_server"]

_HEADER = re.compile(r"^[ \t]*\[")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def with_server(text: str, name: str, table: Mapping[str, str | bool | Sequence[str]]) -> str:
    """Return `text` with a table for the server added at its end.

    Raises:
        ConfigError: it has one of that name, or cannot be edited by table.
    """
    before = _parsed(text)
    if name in _servers(before):
        raise ConfigError(
            f"There is an MCP server {name!r} already.",
            hint=f"`ymera mcp remove {name}` first, or take another name.",
        )
    gap = "" if not text.strip() else "\n" if text.endswith("\n") else "\n\n"
    after = text + gap + server_table(name, table)
    if _without(_parsed(after, edited=True), name) != _without(before, name):
        raise _by_hand(name)
    return after


def without_server(text: str, name: str) -> str:
    """Return `text` without the server's table and the tables below it.

    Raises:
        ConfigError: it has no such server, or cannot be edited by table.
    """
    before = _parsed(text)
    if name not in _servers(before):
        raise ConfigError(
            f"There is no MCP server {name!r} in this file.", hint="`ymera mcp list` shows all."
        )
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    index, removed_last = 0, False
    while index < len(lines):
        if _is_header_of(lines[index], name):
            end = _end_of_table(lines, index + 1)
            index = _leading_comments(lines, index + 1, end)
            removed_last = index == len(lines)
        else:
            kept.append(lines[index])
            index += 1
    if removed_last:
        while len(kept) > 1 and not kept[-1].strip():
            kept.pop()
    after = "".join(kept)
    parsed = _parsed(after, edited=True)
    if name in _servers(parsed) or _without(parsed, name) != _without(before, name):
        raise _by_hand(name)
    return after


def server_table(name: str, table: Mapping[str, str | bool | Sequence[str]]) -> str:
    """Return the table as TOML."""
    lines = [f"{key} = {_value(value)}" for key, value in table.items()]
    key = name if _BARE_KEY.fullmatch(name) else _quoted(name)
    return "\n".join([f"[mcp.servers.{key}]", *lines]) + "\n"


def _value(value: str | bool | Sequence[str]) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    return f"[{', '.join(map(_quoted, value))}]"


def _quoted(text: str) -> str:
    # TOML's basic strings are JSON's, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_header_of(line: str, name: str) -> bool:
    key = re.escape(name)
    path = rf"mcp\s*\.\s*servers\s*\.\s*(?:{key}|\"{key}\"|'{key}')\s*(?:\.[^\]]*)?"
    return re.match(rf"[ \t]*\[\s*{path}\][ \t]*(?:#.*)?$", line.rstrip("\r\n")) is not None


def _end_of_table(lines: Sequence[str], start: int) -> int:
    return next((n for n in range(start, len(lines)) if _HEADER.match(lines[n])), len(lines))


def _leading_comments(lines: Sequence[str], start: int, end: int) -> int:
    """Return where the comments begin that stand right above the next table: they are its own."""
    if end == len(lines):
        return end
    while end > start and lines[end - 1].lstrip().startswith("#"):
        end -= 1
    return end


def _parsed(text: str, *, edited: bool = False) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if edited:
            return {"": "no TOML any more"}  # differs from whatever was there before
        raise ConfigError(
            f"The configuration file is not valid TOML: {error}.", hint="Correct it first."
        ) from error


def _servers(tree: Mapping[str, object]) -> Mapping[str, object]:
    mcp = tree.get("mcp")
    servers = mcp.get("servers") if isinstance(mcp, dict) else None
    return servers if isinstance(servers, dict) else {}


def _without(tree: Mapping[str, object], name: str) -> dict[str, object]:
    """Return the tree without one server, and without the tables that are empty then."""
    servers = {key: value for key, value in _servers(tree).items() if key != name}
    found = tree.get("mcp")
    mcp = (
        {key: value for key, value in found.items() if key != "servers"}
        if isinstance(found, dict)
        else {}
    )
    if servers:
        mcp["servers"] = servers
    rest = {key: value for key, value in tree.items() if key != "mcp"}
    return {**rest, "mcp": mcp} if mcp else rest


def _by_hand(name: str) -> ConfigError:
    return ConfigError(
        f"The MCP server {name!r} cannot be edited in this file: it is not written as a table.",
        hint=f"Edit it by hand: servers are expected as [mcp.servers.{name}].",
    )
