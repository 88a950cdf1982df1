"""Laying values over TOML, comments kept.

Only whole lines of keys are touched. What came out is read again and compared: a file that is
written in a way this does not understand is left alone.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping

from ymera.core.errors import ConfigError

__all__ = ["merged_toml"]

_HEADER = re.compile(r"^[ \t]*\[")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
Table = Mapping[str, object]


def merged_toml(text: str, values: Table) -> str:
    """Return TOML with values laid over it.

    Raises:
        ConfigError: it is not valid, or cannot be edited line by line.
    """
    try:
        before = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"Not valid TOML: {error}.", hint="Correct the file first.") from error
    wanted = _laid_over(before, values)
    if wanted == before:
        return text
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for path, entries in _tables((), values):
        _write(lines, path, entries, _at(before, path))
    after = "\n".join(lines) + "\n"
    try:
        same = tomllib.loads(after) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        tables = _tables((), values)
        names = ", ".join(".".join((*path, key)) for path, keys in tables for key in keys)
        raise ConfigError(
            "The file is written in a way that cannot be edited line by line.",
            hint=f"Set these by hand: {names}.",
        )
    return after


def _laid_over(before: Table, values: Table) -> dict[str, object]:
    merged = dict(before)
    for name, value in values.items():
        now = merged.get(name)
        if isinstance(value, Mapping):
            merged[name] = _laid_over(now if isinstance(now, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def _tables(path: tuple[str, ...], values: Table) -> Iterator[tuple[tuple[str, ...], Table]]:
    """Yield each table with the values that stand in it directly."""
    entries = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    if entries:
        yield path, entries
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _tables((*path, name), value)


def _at(tree: Table, path: tuple[str, ...]) -> Table:
    node: object = tree
    for name in path:
        node = node.get(name) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else {}


def _write(lines: list[str], path: tuple[str, ...], entries: Table, now: Table) -> None:
    """Set the entries of one table in place; what it lacks comes first in it."""
    start, end = _section(lines, path)
    if start < 0:
        gap = [""] if lines and lines[-1].strip() else []
        lines += [*gap, f"[{'.'.join(map(_key, path))}]"]
        start = end = len(lines)
    missing: list[str] = []
    for name, value in entries.items():
        if name in now and now[name] == value:
            continue
        line = f"{_key(name)} = {_value(value)}"
        place = _place_of(lines, start, end, name)
        if place is None:
            missing.append(line)
        else:
            lines[place] = line + _comment(lines[place])
    at = start if path else _last_filled(lines, end)
    if missing and not path and at < len(lines) and lines[at].strip():
        missing.append("")  # between the first keys of a file and its first table
    lines[at:at] = missing


def _section(lines: list[str], path: tuple[str, ...]) -> tuple[int, int]:
    """Return the lines of a table, without its header; (-1, -1) when it has none."""
    start = 0
    if path:
        names = r"\s*\.\s*".join(
            rf"(?:{re.escape(name)}|\"{re.escape(name)}\"|'{re.escape(name)}')" for name in path
        )
        header = re.compile(rf"^[ \t]*\[\s*{names}\s*\][ \t]*(?:#.*)?$")
        found = next((n for n, line in enumerate(lines) if header.match(line)), None)
        if found is None:
            return -1, -1
        start = found + 1
    end = next((n for n in range(start, len(lines)) if _HEADER.match(lines[n])), len(lines))
    return start, end


def _place_of(lines: list[str], start: int, end: int, name: str) -> int | None:
    key = re.compile(rf"^[ \t]*(?:{re.escape(name)}|\"{re.escape(name)}\"|'{re.escape(name)}')\s*=")
    return next((n for n in range(start, end) if key.match(lines[n])), None)


def _last_filled(lines: list[str], end: int) -> int:
    """Return the place after the last key before a line, above the comments of what follows."""
    at = end
    while at > 0 and (not lines[at - 1].strip() or lines[at - 1].lstrip().startswith("#")):
        at -= 1
    return at or end


def _comment(line: str) -> str:
    """Return the comment at the end of a line whose value is a plain one."""
    found = re.search(r"=\s*(?:\"[^\"\\]*\"|'[^']*'|[^\s\"'#\[{]+)(\s*#.*)$", line)
    return found[1] if found else ""


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    # TOML's basic strings are JSON's, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
