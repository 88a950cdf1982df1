"""`mcpServers` files of other programs, as settings of ours.

Claude Desktop, Claude Code, Cursor and VS Code keep servers in JSON of one shape. Values of
variables and headers in it may be secrets: they are never taken over, only their names are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from ymera.core.errors import ConfigError

__all__ = ["ImportedServer", "LeftOut", "imported_servers"]

TomlValue = str | bool | list[str]

_TABLES = ("mcpServers", "servers")
_REFERENCE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")
_SECRET_FLAG = re.compile(
    r"(?i)^--?[\w-]*(key|token|secret|password|passwd|bearer|header)[\w-]*(=.*)?$"
)
_SECRET_VALUE = re.compile(r"^(sk-|ghp_|gho_|github_pat_|glpat-|xox[abp]-|AIza|hf_|gsk_|Bearer )")
_NAME_CHARS = re.compile(r"[^a-z0-9_-]+")
_KNOWN = frozenset(
    "type transport command args env cwd url serverUrl httpUrl headers disabled enabled".split()
)
_STREAMABLE = frozenset(
    {"", "http", "stdio", "streamable-http", "streamable_http", "streamablehttp"}
)


class ImportedServer(msgspec.Struct, frozen=True):
    """A server as its table of `[mcp.servers]`.

    Attributes:
        name: ours; lower case.
        table: keys and values of its table.
        notes: what to do or to know before it works; no secrets.
    """

    name: str
    table: dict[str, TomlValue]
    notes: tuple[str, ...] = ()


class LeftOut(msgspec.Struct, frozen=True):
    """A server that was not taken over, and why."""

    name: str
    reason: str


class _Refused(Exception):
    """A server that cannot be taken over; the text says why, without what it holds."""


def imported_servers(text: str) -> tuple[list[ImportedServer], list[LeftOut]]:
    """Return the servers of a file, and those that cannot be taken over.

    Raises:
        ConfigError: it is no JSON, or holds no servers.
    """
    taken: dict[str, ImportedServer] = {}
    left: list[LeftOut] = []
    for own_name, entry in _entries(text).items():
        shown = own_name[:64]
        try:
            if not isinstance(entry, dict):
                raise _Refused("its entry is no object")
            server = _server(own_name, entry)
            if server.name in taken:
                raise _Refused(f"another one is called {server.name!r} already")
            taken[server.name] = server
        except _Refused as error:
            left.append(LeftOut(shown, str(error)))
    return list(taken.values()), left


def _entries(text: str) -> dict[str, object]:
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigError(
            f"The file is no JSON{place}.", hint='It should hold {"mcpServers": {...}}.'
        ) from None  # the error would quote the file
    if isinstance(parsed, dict):
        for key in _TABLES:
            table: object = parsed.get(key)
            if isinstance(table, dict):
                return table
    raise ConfigError(
        "The file holds no mcpServers.", hint='It should hold {"mcpServers": {"name": {...}}}.'
    )


def _server(own_name: str, entry: Mapping[str, object]) -> ImportedServer:
    name = _NAME_CHARS.sub("-", own_name.lower()).strip("-_")[:64].replace("__", "_")
    if not name:
        raise _Refused("its name has neither letters nor digits")
    notes = [f"called {own_name!r} there"] if name != own_name else []
    kind = _text(entry.get("type", entry.get("transport", "")), "type").lower()
    if kind not in _STREAMABLE:
        raise _Refused(f"its transport {kind[:20]!r} is not supported; streamable HTTP is")
    table = _stdio(entry, notes) if "command" in entry else _http(name, entry, notes)
    if entry.get("disabled") is True or entry.get("enabled") is False:
        table["enabled"] = False
    if ignored := sorted(str(key)[:40] for key in entry.keys() - _KNOWN):
        notes.append(f"not taken over: {', '.join(ignored)}")
    return ImportedServer(name, table, tuple(notes))


def _stdio(entry: Mapping[str, object], notes: list[str]) -> dict[str, TomlValue]:
    table: dict[str, TomlValue] = {"command": _literal(entry["command"], "command")}
    given = entry.get("args", [])
    if not isinstance(given, list):
        raise _Refused("its args are no list")
    args = [_literal(arg, "args") for arg in given]
    if any(_holds_secret(arg, after) for arg, after in zip(args, [*args, ""][1:], strict=True)):
        raise _Refused("its args seem to hold a secret; hand it on as a variable (env)")
    if args:
        table["args"] = list(args)
    if "cwd" in entry:
        table["cwd"] = _literal(entry["cwd"], "cwd")
    if names := _variables(entry.get("env"), notes):
        table["env"] = names
    return table


def _holds_secret(arg: str, after: str) -> bool:
    if _SECRET_VALUE.match(arg):
        return True
    flag = _SECRET_FLAG.match(arg)
    if flag is None:
        return False
    return bool(flag[2][1:]) if flag[2] else bool(after) and not after.startswith("-")


def _variables(env: object, notes: list[str]) -> list[str]:
    if env is None:
        return []
    if not isinstance(env, dict):
        raise _Refused("its env is no object")
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name):
            raise _Refused("a name in its env is none of a variable")
        if (other := _referred(value)) == name:
            continue
        if other is not None:
            notes.append(f"export {name} with the value of {other}")
        elif value != "":
            notes.append(f"export {name}; the value in the file was not taken over")
    return sorted(env)


def _referred(value: object) -> str | None:
    """Return the variable that a value such as `${NAME}` stands for; None for any other."""
    found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else found[1] or found[2]


def _http(name: str, entry: Mapping[str, object], notes: list[str]) -> dict[str, TomlValue]:
    given = entry.get("url") or entry.get("serverUrl") or entry.get("httpUrl")
    if given is None:
        raise _Refused("it has neither command nor url")
    url = _literal(given, "url")
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed on access
    except ValueError:
        raise _Refused("its url is no http:// or https:// address") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _Refused("its url is no http:// or https:// address")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise _Refused("its url holds a user name, a query or a fragment, which may be secret")
    table: dict[str, TomlValue] = {"url": url}
    headers = entry.get("headers") or {}
    if not isinstance(headers, dict):
        raise _Refused("its headers are no object")
    for header, value in headers.items():
        if header.lower() != "authorization":
            raise _Refused(f"its header {header[:40]!r} is not supported; a bearer token is")
        table["bearer_env"] = _bearer(name, value, notes)
    return table


def _bearer(name: str, value: object, notes: list[str]) -> str:
    scheme, _, token = str(value).partition(" ")
    if scheme.lower() != "bearer":
        raise _Refused("its Authorization header is no bearer token")
    if (variable := _referred(token.strip())) is not None:
        return variable
    variable = re.sub(r"\W|^(?=\d)", "_", name, flags=re.ASCII).upper() + "_TOKEN"
    notes.append(f"export {variable}; the token in the file was not taken over")
    return variable


def _literal(value: object, key: str) -> str:
    text = _text(value, key)
    if _PLACEHOLDER.search(text):
        raise _Refused(f"its {key} holds a placeholder; write the value out")
    return text


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise _Refused(f"its {key} is no text")
    return value
