"""Models caught in a loop: noticing it, and what is left of an answer before it began.

Small models end that way often, large ones hardly ever.
"""

from __future__ import annotations

import re

from ymera.phases.parsers import Parser, longest_beginning
from ymera.phases.types import ArtefactKind

__all__ = ["code_before_loop", "loop_problem", "prose_without_loop"]

_CODE = frozenset({ArtefactKind.CODE, ArtefactKind.SQL})
_LOOP = re.compile(r"(?=[^\n]{0,40}?\w)(.{2,40}?)\1{5,}")
"""The same few characters at least six times in a row, a letter or digit near."""
_LONGEST_LOOP = 60
_LONGEST_LOOP_IN_CODE = 300
"""Tables of numbers repeat themselves too."""
_LEAST_LINES = 6
_MOST_SAME_LINES = 0.5
_LONG_LINE = 20


def loop_problem(kind: ArtefactKind, text: str) -> str | None:
    """Return how `text` goes round in circles, None when it does not."""
    loop = _find(text, _LONGEST_LOOP_IN_CODE if kind in _CODE else _LONGEST_LOOP)
    if loop is not None:
        return f"It repeats {loop.group(1).strip()!r} over and over."
    lines = [line.strip() for line in text.splitlines() if len(line.strip()) >= _LONG_LINE]
    same = len(lines) - len(set(lines))
    if len(lines) >= _LEAST_LINES and same > _MOST_SAME_LINES * len(lines):
        return f"{same} of its {len(lines)} longer lines are repetitions."
    return None


def prose_without_loop(text: str) -> str:
    """Return `text` without the lines that stand in it before, cut where a loop begins."""
    loop = _find(text, _LONGEST_LOOP)
    if loop is not None:
        text = text[: loop.end(1)]
    seen: set[str] = set()
    return "\n".join(line for line in text.splitlines() if _is_new(line, seen)).strip()


def code_before_loop(text: str, parse: Parser) -> str | None:
    """Return the longest beginning of `text` that has no repetition in it and parses.

    Args:
        text: code of a model that was caught in a loop.
        parse: returns what is wrong with code, None when it parses.
    """
    loop = _find(text, _LONGEST_LOOP)
    if loop is not None:
        text = text[: loop.start()]
    seen: set[str] = set()
    lines: list[str] = []
    for line in text.splitlines():
        if not _is_new(line, seen):
            break
        lines.append(line)
    return longest_beginning("\n".join(lines), parse)


def _find(text: str, longest: int) -> re.Match[str] | None:
    return next((each for each in _LOOP.finditer(text) if len(each.group()) >= longest), None)


def _is_new(line: str, seen: set[str]) -> bool:
    line = line.strip()
    if len(line) < _LONG_LINE:
        return True
    known = line in seen
    seen.add(line)
    return not known
