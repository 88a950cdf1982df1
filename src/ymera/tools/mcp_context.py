"""Which of a server's resources bear on a question: by shared words, rare ones counting more."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence

from ymera.core.errors import MachineError
from ymera.core.tool import ContextItem
from ymera.tools.mcp_listing import McpResource
from ymera.tools.relevance import relevance, terms

__all__ = ["ResourceReader", "bearing_on", "best_window"]

ResourceReader = Callable[[str], Awaitable[str]]
"""Reads the resource of a URI."""

_MAX_READ = 12
"""Resources that are read for one question, the most promising first."""
_MAX_GIVEN = 4
_WINDOW_CHARS = 2000
_NEAR_THE_BEST = 0.35
_WORD = re.compile(r"[^\W_]+")


async def bearing_on(
    query: str, offered: Sequence[McpResource], read: ResourceReader, *, source: str
) -> tuple[ContextItem, ...]:
    """Return the texts that share the question's words, the best first.

    Args:
        query: the question.
        offered: the resources to choose from.
        read: reads one; one that cannot be read is passed over.
        source: what stands before the URI in each item's source.
    """
    wanted = frozenset(terms(query))
    if not wanted or not offered:
        return ()
    labels = [f"{one.name} {one.uri} {one.description}" for one in offered]
    by_label = relevance(query, labels)
    promising = sorted(range(len(offered)), key=lambda i: (-by_label[i], i))[:_MAX_READ]
    read_now = await asyncio.gather(*(_read(read, offered[i].uri) for i in promising))
    texts = [(i, text) for i, text in zip(promising, read_now, strict=True) if text]
    by_text = relevance(query, [text for _, text in texts])
    ranked = sorted(
        ((by_text[n] + by_label[i], text, offered[i].uri) for n, (i, text) in enumerate(texts)),
        key=lambda item: -item[0],
    )
    least = max((score for score, _, _ in ranked), default=0.0) * _NEAR_THE_BEST
    good = [item for item in ranked if item[0] > 0 and item[0] >= least][:_MAX_GIVEN]
    return tuple(_item(f"{source}:{uri}", text, wanted) for _, text, uri in good)


def best_window(text: str, wanted: frozenset[str], chars: int = _WINDOW_CHARS) -> str:
    """Return the stretch of at most `chars` characters that holds most of the wanted terms."""
    if len(text) <= chars:
        return text
    # Some of what stands before belongs to it: a heading, the beginning of its sentence.
    lead = chars // 4
    inside: deque[tuple[int, str]] = deque()
    held: Counter[str] = Counter()
    best, best_start = (0, 0), 0
    for start, end, term in _places(text):
        if term not in wanted:
            continue
        inside.append((start, term))
        held[term] += 1
        while inside and end - inside[0][0] > chars - lead:
            held -= Counter([inside.popleft()[1]])  # drops what is no longer there
        worth = (len(held), len(inside))
        if worth > best:
            best, best_start = worth, inside[0][0] if inside else start
    first = max(0, min(best_start - lead, len(text) - chars))
    return text[first : first + chars]


def _places(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each term begins and ends."""
    for word in _WORD.finditer(text):
        for term in terms(word.group()):
            yield word.start(), word.end(), term


def _item(source: str, text: str, wanted: frozenset[str]) -> ContextItem:
    kept = best_window(text, wanted)
    return ContextItem(text=kept, source=source, cut_chars=len(text) - len(kept))


async def _read(read: ResourceReader, uri: str) -> str:
    try:
        return await read(uri)
    except MachineError:  # offered, and then not there: the others may do
        return ""
