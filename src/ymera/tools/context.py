"""Texts from outside, put into a prompt: the fitting ones, within a budget, marked as data."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ymera.core.tool import ContextItem, ContextUse
from ymera.tools.relevance import relevance

__all__ = ["CHARS_PER_TOKEN", "about_tool", "as_data", "focus", "pick", "use_of"]

CHARS_PER_TOKEN = 3
"""On the safe side: English has about four, code and names fewer."""

_ABOUT_A_TOOL = "tool:"
_LEAST_USEFUL_CHARS = 120
_GAP = "[...]"
_CLOSING = re.compile(r"<(/?)(data)\b", re.IGNORECASE)


def pick(items: Sequence[ContextItem], query: str, budget_tokens: int) -> list[ContextItem]:
    """Return the items that fit, those that bear most on `query` first.

    A text that does not fit whole keeps the lines that bear on the query; `cut_chars` says how
    much went. What finds no room at all is left out.

    Args:
        items: what sources offered.
        query: the question.
        budget_tokens: for all items together, at about three characters a token.
    """
    texts = [f"{item.source} {item.text}" for item in items]
    scores = relevance(query, texts)
    ranked = sorted(range(len(items)), key=lambda place: -scores[place])
    left = budget_tokens * CHARS_PER_TOKEN
    picked: list[ContextItem] = []
    for place in ranked:
        item = items[place]
        if left < min(len(item.text), _LEAST_USEFUL_CHARS):
            continue
        text, cut = focus(item.text, query, left)
        picked.append(msgspec.structs.replace(item, text=text, cut_chars=item.cut_chars + cut))
        left -= len(text)
    return picked


def focus(text: str, query: str, max_chars: int) -> tuple[str, int]:
    """Return the lines of `text` that bear on `query`, and how many characters were left out.

    Lines keep their order and their neighbours, gaps are marked; with nothing to go by, the
    beginning is kept.

    Args:
        text: what to shorten, if need be.
        query: the question.
        max_chars: for what is returned.
    """
    if len(text) <= max_chars:
        return text, 0
    lines = text.splitlines()
    scores = relevance(query, lines)
    kept: set[int] = set()
    chars = 0
    for place in sorted(range(len(lines)), key=lambda place: -scores[place]):
        if scores[place] == 0:
            break
        for near in (place, place - 1, place + 1, place - 2):
            size = len(lines[near]) + len(_GAP) + 2 if 0 <= near < len(lines) else 0
            if size and near not in kept and chars + size <= max_chars:
                kept.add(near)
                chars += size
    if not kept:
        return text[:max_chars], len(text) - max_chars
    shown = _joined(lines, sorted(kept))
    return shown, max(0, len(text) - len(shown))


def as_data(item: ContextItem) -> str:
    """Return the item as it stands in a prompt: delimited, with its source, never as an order.

    Whatever in it looks like the delimiter is broken up, so that a text cannot end its own frame.
    """
    text = _CLOSING.sub(r"<\1 \2", item.text)
    source = re.sub(r"[\"<>\s]+", "_", item.source)
    return f'<data source="{source}" trust="{item.trust}">\n{text}\n</data>'


def about_tool(item: ContextItem) -> str | None:
    """Return the tool an item helps to use (a schema, a list of files); None for plain content."""
    if not item.source.startswith(_ABOUT_A_TOOL):
        return None
    return item.source.removeprefix(_ABOUT_A_TOOL).partition(":")[0]


def use_of(item: ContextItem) -> ContextUse:
    """Return the line the record keeps of an item."""
    return ContextUse(
        source=item.source[:300],
        trust=item.trust,
        chars=len(item.text),
        cut_chars=item.cut_chars,
    )


def _joined(lines: Sequence[str], kept: Sequence[int]) -> str:
    shown: list[str] = []
    last = -1
    for place in kept:
        if place != last + 1:
            shown.append(_GAP)
        shown.append(lines[place])
        last = place
    return "\n".join(shown)
