"""Laying values over the text of a file: what stands there and is not ours stays as it is.

Each function returns the text unchanged when the values are in it already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

import msgspec

from ymera.cli.clients.merge_toml import merged_toml
from ymera.cli.clients.merge_yaml import merged_yaml
from ymera.cli.clients.table import FileKind
from ymera.core.errors import ConfigError

__all__ = ["merged", "merged_env", "merged_json"]

_INDENT = re.compile(r"^([ \t]+)\S", re.MULTILINE)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def merged(kind: FileKind, text: str, values: Mapping[str, object]) -> str:
    """Return the text of a file with values laid over it; it uses the line ends it had.

    Args:
        kind: how the file is written.
        text: what it holds; empty where there is none.
        values: nested for JSON and TOML, flat otherwise.

    Raises:
        ConfigError: it cannot be read, or not be edited without changing more.
    """
    windows = "\r\n" in text
    found = _MERGERS[kind](text.replace("\r\n", "\n"), values)
    return found.replace("\n", "\r\n") if windows else found


def merged_json(text: str, values: Mapping[str, object]) -> str:
    """Return JSON with values laid over it; other values stay byte for byte.

    Raises:
        ConfigError: it is no JSON object, or a name that has to hold one does not.
    """
    if not text.strip():
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    _check(text)
    found = _INDENT.search(text)
    body = _laid_over(text.strip().encode(), values, found[1] if found else "  ", 0, "")
    if body is None:
        return text
    ending = text[len(text.rstrip()) :]
    return body + ending


def _check(text: str) -> None:
    def table(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(
                f"{twice[:60]!r} stands twice in one object.", hint="Keep one of the two."
            )
        return dict(pairs)

    try:
        parsed: object = json.loads(text, object_pairs_hook=table)
        msgspec.json.decode(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"Not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}.",
            hint="Correct the file first; comments have to be taken out.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("Not valid JSON.", hint="Correct the file first.") from error
    if not isinstance(parsed, dict):
        raise ConfigError("The file holds no JSON object.", hint="Is it the right file?")


def _laid_over(
    held: bytes, values: Mapping[str, object], indent: str, depth: int, path: str
) -> str | None:
    """Return the object with values laid over it, None when nothing changes."""
    if not held.startswith(b"{"):
        raise ConfigError(
            f"{path} holds no object, so nothing can be added to it.",
            hint="Change it by hand, or move the file out of the way.",
        )
    fields = {name: bytes(raw).decode() for name, raw in _fields.decode(held).items()}
    changed = False
    for name, value in values.items():
        now = fields.get(name)
        if isinstance(value, Mapping) and now is not None:
            below = f"{path}.{name}" if path else name
            new = _laid_over(now.encode(), value, indent, depth + 1, below)
        elif now is not None and json.loads(now) == value:
            new = None
        else:
            lines = json.dumps(value, indent=indent, ensure_ascii=False).split("\n")
            new = f"\n{indent * (depth + 1)}".join(lines)
        if new is not None:
            fields[name], changed = new, True
    if not changed:
        return None
    inner = indent * (depth + 1)
    names = (json.dumps(name, ensure_ascii=False) for name in fields)
    pairs = (f"{inner}{name}: {one}" for name, one in zip(names, fields.values(), strict=True))
    return "{\n" + ",\n".join(pairs) + f"\n{indent * depth}}}"


def merged_env(text: str, values: Mapping[str, object]) -> str:
    """Return lines of NAME=VALUE with values laid over them."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for name, value in values.items():
        places = [n for n, line in enumerate(lines) if line.partition("=")[0].strip() == name]
        for place in places:
            lines[place] = f"{name}={value}"
        if not places:
            lines.append(f"{name}={value}")
    new = "\n".join(lines)
    return text if new == text else new + "\n"


_MERGERS: Mapping[FileKind, Callable[[str, Mapping[str, object]], str]] = {
    FileKind.JSON: merged_json,
    FileKind.TOML: merged_toml,
    FileKind.YAML: merged_yaml,
    FileKind.ENV: merged_env,
}
