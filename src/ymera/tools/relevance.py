"""Which texts bear on a question, by their words alone: BM25 over crude stems."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["relevance", "shared_terms", "terms"]

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SUFFIXES = ("ings", "ing", "ies", "ied", "ed", "es", "ly", "s", "e")
_MIN_STEM_CHARS = 3
_TERM_SATURATION, _LENGTH_WEIGHT = 1.2, 0.5
_MAX_TEXT_CHARS = 20_000
_STOP = frozenset(
    "a about according all also am an and any are as at be been but by can could current "
    "currently did do does for from get give had has have he her here him his how i if in into is "
    "it its just let like look may me my need no not of on or our out over please say she should "
    "show so some tell than that the their them then there these they this those to up us was we "
    "were what when where which who whom whose why will with would you your".split()
)


def terms(text: str) -> list[str]:
    """Return the stems of the words of `text` that carry meaning, in order.

    Names such as `read_file`, `readFile` and `notes/read-file.md` fall into their words.
    """
    words = _WORD.findall(_CAMEL.sub(" ", text[:_MAX_TEXT_CHARS]).lower())
    return [_stem(word) for word in words if word not in _STOP]


def relevance(query: str, texts: Sequence[str]) -> list[float]:
    """Return how much each text bears on `query`: 0 when they share no word, no upper bound.

    A word counts the more the fewer of the texts have it (BM25). Scores are comparable within
    one call only.
    """
    wanted = set(terms(query))
    bags = [Counter(terms(text)) for text in texts]
    seen_in = Counter(term for bag in bags for term in bag.keys() & wanted)
    mean_length = sum(bag.total() for bag in bags) / len(bags) if bags else 0.0
    return [_score(bag, seen_in, len(bags), mean_length) for bag in bags]


def shared_terms(query: str, text: str) -> set[str]:
    """Return the stems that both have."""
    return set(terms(query)).intersection(terms(text))


def _score(bag: Counter[str], seen_in: Counter[str], texts: int, mean_length: float) -> float:
    length = 1.0 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * bag.total() / (mean_length or 1.0)
    return sum(_parts(bag, seen_in, texts, length))


def _parts(bag: Counter[str], seen_in: Counter[str], texts: int, length: float) -> Iterable[float]:
    for term, count in sorted(seen_in.items()):
        often = bag[term]
        if often:
            rarity = math.log(1.0 + (texts - count + 0.5) / (count + 0.5))
            saturation = often * (_TERM_SATURATION + 1.0) / (often + _TERM_SATURATION * length)
            yield rarity * saturation


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM_CHARS:
            return word[: -len(suffix)]
    return word
