"""In which line of a TOML file a key stands; `tomllib` does not tell."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["KeyPath", "TomlLines"]

KeyPath = tuple[str | int, ...]
"""Names of tables and keys, and positions in arrays of tables, from the top."""

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_PATH = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"^\s*(?P<open>\[\[?)\s*(?P<path>{_PATH})\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(rf"^\s*(?P<path>{_PATH})\s*=\s*(?P<value>.*)$")
_PARTS = re.compile(_PART)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_LONG = ('"""', "'''")


@dataclass(frozen=True)
class _Place:
    line: int
    text_line: int


class TomlLines:
    """Finds lines in a text that `tomllib` could read.

    Args:
        text: the file.
    """

    def __init__(self, text: str) -> None:
        self._places: dict[KeyPath, _Place] = {}
        self._counts: dict[KeyPath, int] = {}
        self._read(text.splitlines())

    def line_of(self, path: KeyPath) -> int:
        """Return the line of a key or table, counted from 1; of the nearest around it else."""
        for length in range(len(path), 0, -1):
            place = self._places.get(path[:length])
            if place is not None:
                return place.line
        return 1

    def text_line_of(self, path: KeyPath) -> int:
        """Return the line in which the text of a string begins."""
        place = self._places.get(path)
        return place.text_line if place is not None else self.line_of(path)

    def _read(self, lines: list[str]) -> None:
        table: KeyPath = ()
        closes, depth = "", 0  # of a long string, of an array over several lines
        for number, line in enumerate(lines, 1):
            if closes:
                closes = "" if closes in line else closes
                continue
            if depth > 0:
                depth += _depth(line)
                continue
            header = _HEADER.match(line)
            if header is not None:
                table = self._enter(_parts(header["path"]), header["open"] == "[[")
                self._places.setdefault(table, _Place(number, number))
                continue
            entry = _ENTRY.match(line)
            if entry is None:
                continue
            value = entry["value"].strip()
            closes = next((mark for mark in _LONG if _opens(value, mark)), "")
            text_line = number + 1 if closes and value == closes else number
            self._places[(*table, *_parts(entry["path"]))] = _Place(number, text_line)
            depth = 0 if closes else max(0, _depth(value))

    def _enter(self, parts: tuple[str, ...], repeats: bool) -> KeyPath:
        """Return the full path of a table, with the positions of the arrays it is in."""
        path: KeyPath = ()
        for name in parts[:-1]:
            path = (*path, name)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        path = (*path, parts[-1])
        if repeats:
            position = self._counts.get(path, 0)
            self._counts[path] = position + 1
            path = (*path, position)
        return path


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in _PARTS.findall(path))


def _opens(value: str, mark: str) -> bool:
    return value.startswith(mark) and mark not in value[len(mark) :]


def _depth(text: str) -> int:
    bare = _STRING.sub("", text).partition("#")[0]
    return bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
