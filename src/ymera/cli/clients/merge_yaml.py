"""Laying plain values over the top level of a YAML file, comments kept.

For files that are one block mapping, as aider's is. Anything else is left alone: there is no
reader of YAML here, so nothing is guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ymera.core.errors import ConfigError

__all__ = ["merged_yaml"]

_KEY = r"""(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|"[^"\\]*"|'[^']*')"""
_ENTRY = re.compile(rf"^(?P<key>{_KEY})[ \t]*:(?P<rest>$|[ \t].*$)")
_ITEM = re.compile(r"^-(?:$|[ \t])")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_COMMENT = re.compile(r"""^\s*(?:"[^"\\]*"|'[^']*'|[^\s"'#\[{|>&*!][^#]*?)?(\s+#.*)$""")


def merged_yaml(text: str, values: Mapping[str, object]) -> str:
    """Return YAML with values laid over its top level.

    Raises:
        ConfigError: it is no block mapping, or one of the keys holds more than one line.
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    places = _places(lines)
    for key, value in values.items():
        shown = f"{key}: {_shown(value)}"
        place = places.get(key)
        if place is None:
            lines.append(shown)
            continue
        entry = _ENTRY.match(lines[place])
        rest = entry["rest"].strip() if entry else ""
        if _goes_on(lines, place):
            raise ConfigError(
                f"{key} holds more than one line (line {place + 1}).",
                hint="Edit it by hand, or take it out of the file.",
            )
        comment = _COMMENT.match(f" {rest}")
        ending = comment[1] if comment else ""
        if _value_of(rest) != _shown(value):
            lines[place] = f"{shown}{ending}"
    new = "\n".join(lines)
    return text if new == text.removesuffix("\n") else new + "\n"


def _places(lines: list[str]) -> dict[str, int]:
    """Return the line of each key of the top level."""
    places: dict[str, int] = {}
    for number, line in enumerate(lines):
        bare = line.strip()
        if not bare or line[0] in " \t#" or _ITEM.match(line):
            continue
        if bare == "---" and not places:
            continue
        entry = _ENTRY.match(line)
        if entry is None:
            raise ConfigError(
                f"Line {number + 1} is not of the form `key: value`.",
                hint="Edit the file by hand; only plain mappings can be edited here.",
            )
        key = entry["key"].strip("\"'")
        if key in places:
            raise ConfigError(
                f"{key} stands twice (line {number + 1}).", hint="Keep one of the two."
            )
        places[key] = number
    return places


def _goes_on(lines: list[str], place: int) -> bool:
    """Whether the value of a key has further lines."""
    for line in lines[place + 1 :]:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        return line[0] in " \t" or _ITEM.match(line) is not None
    return False


def _value_of(rest: str) -> str:
    return re.sub(r"(^|\s+)#.*$", "", rest).strip()


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
