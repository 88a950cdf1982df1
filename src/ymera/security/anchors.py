"""Where credentials may begin in a text: what is asked of every answer, so it has to be cheap."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

__all__ = ["Anchors"]

_FEW = 4
"""So few words are looked for one by one as fast as by what stands in front of their mark."""

_CAPITALS = "QXZJKVUYGEFRNDLOHPMWBCSTIA"
"""The rarest at the beginning of a sentence first, roughly."""

_Groups = tuple[tuple[str, tuple[str, ...]], ...]
"""Words by something that all of them contain."""


class Anchors:
    """Finds the fixed beginnings of credentials, without an expression.

    Most texts hold none, and then nothing else has to look at them. Anchors with a mark in them
    (`ghp_`) are told by the two characters in front of it: one look at each mark of the text
    instead of a search for each anchor.

    Args:
        anchors: stand as they are written.
        names: in lower case; stand in any case.
        needs: what a whole text holds if a finding begins with some of them: any of these
            characters, and from there on what fits the expression.
    """

    def __init__(
        self,
        anchors: Sequence[str],
        names: Sequence[str],
        needs: Mapping[str, tuple[str, str]],
    ) -> None:
        self._needs = {word: _test_of(need) for word, need in needs.items()}
        by_mark = _grouped(anchors, _mark_of)
        self._plain: _Groups = tuple(
            (mark, words) for mark, words in by_mark if not mark or len(words) < _FEW
        )
        self._marked = tuple(
            (mark, dict(_grouped(words, partial(_in_front_of, mark))))
            for mark, words in by_mark
            if mark and len(words) >= _FEW
        )
        self._names = _grouped(names, lambda name: _shared_ending(name, names))
        every = dict.fromkeys(needs.get(name) for name in names)
        self._names_need = tuple(_test_of(need) for need in every)

    def in_part(self, text: str) -> bool:
        """Return whether some anchor stands in a text of which more may come."""
        return bool(self._anchors_in(text) or _those_in(text.lower(), self._names))

    def places(self, text: str) -> Sequence[int] | None:
        """Return where in a whole text an anchor may begin, rising; None: perhaps anywhere.

        Those that cannot become a finding in this text are missing.
        """
        anchors = [word for word in self._anchors_in(text) if self._counts(word, text)]
        lower, names = "", list[str]()
        if self._may_hold_names(text):
            lower = text.lower()
            names = [name for name in _those_in(lower, self._names) if self._counts(name, text)]
        if not anchors and not names:
            return ()
        if names and len(lower) != len(text):  # a place in the one tells nothing of the other
            return None
        found = {at for word in anchors for at in _all_places(word, text)}
        found.update(at for name in names for at in _all_places(name, lower))
        return sorted(found)

    def _may_hold_names(self, text: str) -> bool:
        for needs in self._names_need:  # noqa: SIM110 - any() costs as much again
            if needs(text):
                return True
        return False

    def _anchors_in(self, text: str) -> list[str]:
        found = _those_in(text, self._plain)
        for mark, by_ending in self._marked:
            if mark in text:
                here = {piece[-2:] for piece in text.split(mark)}
                for ending in by_ending.keys() & here:
                    found += [word for word in by_ending[ending] if word in text]
        return found

    def _counts(self, word: str, text: str) -> bool:
        needs = self._needs.get(word)
        return needs is None or needs(text)


def _test_of(need: tuple[str, str] | None) -> Callable[[str], bool]:
    """Return a test of whole texts. Leaping to rare characters beats searching for all of it."""
    if need is None:
        return lambda _: True
    marks, match = need[0], re.compile(need[1], re.ASCII).match

    def test(text: str) -> bool:
        for mark in marks:
            at = text.find(mark)
            while at >= 0:
                if match(text, at):
                    return True
                at = text.find(mark, at + 1)
        return False

    return test


def _those_in(text: str, groups: _Groups) -> list[str]:
    found = []
    for shared, words in groups:
        if shared in text:
            for word in words:
                if word in text:
                    found.append(word)  # noqa: PERF401 - a nested comprehension costs a call
    return found


def _shared_ending(name: str, names: Iterable[str]) -> str:
    """Return the last letters of a name if others end in them, too; else all of it."""
    return name[-3:] if sum(other.endswith(name[-3:]) for other in names) > 1 else name


def _all_places(word: str, text: str) -> Iterable[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _mark_of(word: str) -> str:
    """Return a character of a word that is rare in prose: one with two in front, or a capital."""
    special = next((c for c in word[2:] if not (c.isalnum() or c.isspace())), "")
    return special or min((c for c in word if c.isupper()), key=_CAPITALS.find, default="")


def _in_front_of(mark: str, word: str) -> str:
    return word.partition(mark)[0][-2:]


def _grouped(words: Iterable[str], by: Callable[[str], str]) -> _Groups:
    found: dict[str, list[str]] = {}
    for word in words:
        found.setdefault(by(word), []).append(word)
    return tuple((shared, tuple(of_these)) for shared, of_these in found.items())
