"""Takes credentials out of answers, also while they are written."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from ymera.core.ports import OutputScreen
from ymera.security.rules import SecretRule, SecretRules, secret_rules

__all__ = ["SecretsGuard", "redact_secrets"]


_LONG_CHARS = 64
"""Shorter pieces are searched as fast as they are looked through beforehand."""


_Search = Callable[[str, int], re.Match[str] | None]
"""Returns the next anchor of a text from a place on."""


class _Found(msgspec.Struct, frozen=True):
    """A credential: its rule, where it stands, and where to read on."""

    rule: SecretRule
    start: int
    end: int


class SecretsGuard:
    """Redacts credentials in answers (an `OutputGuard`): `[redacted: aws_access_key]`.

    What is not known to be harmless is held back, some hundred characters at most, and only after
    the fixed beginning of a credential has been seen: ordinary text leaves as it comes. A split
    changes nothing: any pieces give what the whole text gives.
    """

    def screen(self, report: Callable[[str], None]) -> OutputScreen:
        """Return the screen of one answer; `report` is told `secret.<rule>` for each finding."""
        rules = secret_rules()
        return _Screen(rules, report, rules.anchor_re.search)

    def screen_whole(self, text: str, report: Callable[[str], None]) -> str:
        """Return a whole text without credentials: what `screen` makes of it, sooner."""
        rules = secret_rules()
        places = rules.anchors.places(text)
        if places is None:
            return _Screen(rules, report, rules.anchor_re.search).whole(text)
        if not places:
            return text
        return _Screen(rules, report, _search_at(places, rules.anchor_re)).whole(text)


def redact_secrets(text: str) -> tuple[str, tuple[str, ...]]:
    """Return `text` without credentials, and the kinds found, in order of appearance."""
    found: list[str] = []
    return SecretsGuard().screen_whole(text, found.append), tuple(found)


def _search_at(places: Sequence[int], anchor_re: re.Pattern[str]) -> _Search:
    """Return a search for the next anchor that looks at these places alone; to go forward only."""
    match, coming = anchor_re.match, iter(places)

    def search(text: str, at: int) -> re.Match[str] | None:
        return next((m for place in coming if place >= at and (m := match(text, place))), None)

    return search


class _Screen:
    """One text, piece by piece.

    `_held` begins with the last character that is decided (`_decided` of them, 0 or 1), because
    whether a credential may begin depends on what stands in front.
    """

    __slots__ = ("_anchor", "_decided", "_held", "_report", "_rules", "_swallowing")

    def __init__(self, rules: SecretRules, report: Callable[[str], None], anchor: _Search) -> None:
        self._rules = rules
        self._report = report
        self._anchor = anchor
        self._held = ""
        self._decided = 0
        self._swallowing: SecretRule | None = None

    def feed(self, text: str) -> str:
        """Take the next piece; return what may leave."""
        if not text:
            return ""
        text = self._held + text
        if self._swallowing is not None:
            return self._read(text, final=False)
        look_from = self._decided if len(text) < _LONG_CHARS else self._look_from(text)
        anchor = self._anchor(text, look_from)
        if anchor is None:
            sure = text[self._decided :] if self._decided else text
            self._held, self._decided = text[-1], 1
            return sure
        return self._read(text, final=False, anchor=anchor)

    def whole(self, text: str) -> str:
        """Take all of the text at once; return what may leave."""
        return self._read(text, final=True)

    def _look_from(self, text: str) -> int:
        """Return from where on an anchor may begin: in most long texts only at the very end."""
        if self._rules.anchors.in_part(text):
            return self._decided
        return max(self._decided, len(text) - self._rules.longest_anchor)

    def end(self) -> str:
        """Return what was held back."""
        text = self._read(self._held, final=True)
        self._held, self._decided = "", 0
        return text

    def _read(self, text: str, *, final: bool, anchor: re.Match[str] | None = None) -> str:
        """Return what is sure of `text`; `anchor` is the first one in it, None to look for it."""
        at, sure = self._decided, list[str]()
        while True:
            if self._swallowing is not None:
                at, waiting = _swallow(self._swallowing, text, at, final=final)
                if waiting:
                    break
                self._swallowing = None
            anchor = anchor or self._anchor(text, at)
            if anchor is None:
                sure.append(text[at:])
                at = len(text)
                break
            start = anchor.start()
            sure.append(text[at:start])
            at = start
            rules = self._rules_of(anchor[0])
            if not final and (not rules or _may_grow(rules, text, anchor.end())):
                break
            found = next((f for rule in rules if (f := self._judge(rule, text, anchor))), None)
            anchor = None
            if found is None:
                sure.append(text[at])
                at += 1
            else:
                sure += text[at : found.start], f"[redacted: {found.rule.id}]"
                at, self._swallowing = found.end, found.rule
                self._report(f"secret.{found.rule.id}")
        self._held, self._decided = text[max(at - 1, 0) :], min(at, 1)
        return "".join(sure)

    def _rules_of(self, anchor: str) -> tuple[SecretRule, ...]:
        by_anchor = self._rules.by_anchor
        return by_anchor.get(anchor) or by_anchor.get(anchor.lower()) or ()

    def _judge(self, rule: SecretRule, text: str, anchor: re.Match[str]) -> _Found | None:
        grown = rule.grow_re.match(text, anchor.end())
        reach = grown.end() if grown else anchor.end()
        match = rule.pattern_re.match(text, anchor.start(), reach)
        if match is None:
            return None
        start, end = match.span(1 if rule.pattern_re.groups else 0)
        credential = text[start:end]
        if self._rules.placeholders_re.search(credential):
            return None
        if rule.min_entropy and _entropy_bits(credential) < rule.min_entropy:
            return None
        return _Found(rule, start, end)


def _may_grow(rules: tuple[SecretRule, ...], text: str, at: int) -> bool:
    """Return whether more text could change what one of the rules says."""
    return any((m := rule.grow_re.match(text, at)) and m.end() == len(text) for rule in rules)


def _swallow(rule: SecretRule, text: str, at: int, *, final: bool) -> tuple[int, bool]:
    """Return where the rest of a credential ends, and whether more of it may come."""
    match = rule.rest_re.match(text, at)
    if match is None or match.end() == at:
        return at, at == len(text) and not final
    if match.end() < len(text):
        return match.end(), False
    if match[2]:  # the closing may have begun
        return match.end(1), not final
    return match.end(), not final and match.end() == match.end(1)


def _entropy_bits(text: str) -> float:
    """Return Shannon's entropy in bits per character."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())
