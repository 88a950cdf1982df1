"""What an argument of a tool is, and whether it may pass: path, address, statement, command."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ymera.core.tool import Tool, ToolEffect
from ymera.security.guards.injection import risk, scan
from ymera.security.normalise import views

__all__ = ["ArgumentProblem", "argument_problem"]

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_PATHS = frozenset(
    "path paths file files filename filepath dir directory folder source destination".split()
)
_ADDRESSES = frozenset("url urls uri href link endpoint webhook".split())
_STATEMENTS = frozenset({"sql", "statement"})
_COMMANDS = frozenset("command cmd shell".split())
_VALUES = frozenset("id name user username email table column key login account".split())
_DATABASE = re.compile(r"sql|database|(?:^|_)db(?:_|$)|query")

_SECRET_FILES = re.compile(
    r"(?i)(?:^|/)(?:etc/(?:passwd|shadow|sudoers|gshadow)|proc/(?:self|\d+)/(?:environ|mem|maps)"
    r"|\.ssh(?:/|$)|\.aws/credentials|\.gnupg(?:/|$)|id_(?:rsa|ed25519|ecdsa)|\.netrc|\.pgpass"
    r"|security/encryption(?:/|$))"
)
_REACHING = frozenset(
    "file data javascript vbscript gopher dict ftp ftps tftp sftp scp ssh telnet ldap ldaps smb jar"
    " netdoc php expect phar unix view-source".split()
)
_LOCAL_NAME = re.compile(r"(?i)(?:^|\.)(?:localhost|local|internal|intranet|lan|home|corp)\.?$")
_READING = frozenset("select with values explain show describe desc pragma".split())
_CHANGING = re.compile(
    r"\binto\b|\bdelete\s+from\b|\bupdate\s+[\w.]+\s+set\b|\bfor\s+(?:no\s+key\s+)?update\b"
    r"|^pragma\s+(?!(?:table_x?info|table_list|index_list|index_info|foreign_key_list"
    r"|database_list)\b)"
)
_LITERAL_OR_COMMENT = re.compile(
    r"'(?:[^']|'')*+'|\"[^\"]*+\"|`[^`]*+`|--[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/"
)
_BLOCK_AT = 0.7


@dataclass(frozen=True, kw_only=True)
class ArgumentProblem:
    """Why an argument must not pass; `detail` goes on from "The argument 'x' of the tool 'y'"."""

    kind: str
    detail: str
    hint: str


def argument_problem(tool: Tool, name: str, value: str, *, vouched: bool) -> ArgumentProblem | None:
    """Return what speaks against one text argument, None when nothing does.

    Args:
        tool: that is to be called.
        name: of the field the text stands in.
        value: the text.
        vouched: the allowlist names the tool: it may then reach private addresses and change data.
    """
    words = {word.lower() for word in _WORD.findall(name)}
    if "\0" in value and (words & (_PATHS | _ADDRESSES | _COMMANDS)):
        return ArgumentProblem(
            kind="argument", detail="holds a NUL character", hint="Leave it out."
        )
    if words & _PATHS:
        return _path_problem(value)
    if words & _ADDRESSES:
        return None if vouched else _address_problem(value)
    if words & _STATEMENTS or ("query" in words and _DATABASE.search(tool.name.lower())):
        return None if tool.effect is not ToolEffect.READ_ONLY else _statement_problem(value)
    if words & _COMMANDS:
        return _injection_problem(value, "shell_injection")
    if words & _VALUES:
        return _injection_problem(value, "sql_injection")
    return None


def _path_problem(value: str) -> ArgumentProblem | None:
    for view in views(value):
        path = view.replace("\\", "/")
        if _climbs_out(path):
            return ArgumentProblem(
                kind="path",
                detail="leaves the directory it starts from with '..'",
                hint="Name a file below the tool's directory.",
            )
        if _SECRET_FILES.search(path):
            return ArgumentProblem(
                kind="path",
                detail="names a file that holds secrets of this machine",
                hint="Tools are not given such files.",
            )
    return None


def _climbs_out(path: str) -> bool:
    depth = 0
    for part in path.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False


def _address_problem(value: str) -> ArgumentProblem | None:
    try:
        parts = urlsplit(value.strip())
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return ArgumentProblem(kind="address", detail="is no address", hint="Correct it.")
    scheme = parts.scheme.lower()
    if scheme in _REACHING:
        return ArgumentProblem(
            kind="address",
            detail=f"is an address of the kind {scheme!a}, which reaches past the web",
            hint="Use http or https.",
        )
    if scheme not in ("http", "https") and (scheme or not parts.netloc):
        return None  # a name within the tool's own world, such as `note://1`
    if _is_private(host):
        return ArgumentProblem(
            kind="address",
            detail="is an address inside this machine or network",
            hint="If the tool is to reach it, add the tool to tools.allow.",
        )
    return None


def _is_private(host: str) -> bool:
    if not host or _LOCAL_NAME.search(host):
        return True
    address = _literal(host)
    if address is None:
        return "." not in host  # a name of the local network
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global or address.is_multicast


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address a host is, also in the odd spellings that resolvers accept."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    pieces = host.split(".")
    try:
        numbers = [int(piece, _base(piece)) for piece in pieces]
    except ValueError:
        return None
    *front, last = numbers
    if len(pieces) > 4 or any(not 0 <= n < 256 for n in front):
        return None
    if not 0 <= last < 256 ** (5 - len(pieces)):
        return None
    packed = sum(n << (8 * (3 - i)) for i, n in enumerate(front)) + last
    return ipaddress.IPv4Address(packed)


def _base(piece: str) -> int:
    if piece.lower().startswith("0x"):
        return 16
    return 8 if len(piece) > 1 and piece.startswith("0") else 10


def _statement_problem(value: str) -> ArgumentProblem | None:
    bare = _LITERAL_OR_COMMENT.sub(" ", value).strip().rstrip(";").strip().lower()
    first = re.match(r"[(\s]*([a-z]+)", bare)
    if ";" in bare:
        detail = "holds more than one statement"
    elif first is None or first[1] not in _READING:
        detail = "is no statement that only reads"
    elif _CHANGING.search(bare):
        detail = "would change something"
    else:
        return None
    return ArgumentProblem(
        kind="statement", detail=detail, hint="This tool only reads: send one SELECT."
    )


def _injection_problem(value: str, category: str) -> ArgumentProblem | None:
    if risk(scan(value, (category,))) < _BLOCK_AT:
        return None
    what = category.replace("_injection", "")
    return ArgumentProblem(
        kind=category,
        detail=f"looks like injected {what.upper() if what == 'sql' else what} code",
        hint="Send the bare value.",
    )
