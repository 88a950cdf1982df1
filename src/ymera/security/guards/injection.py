"""Finds injected text: SQL, shell, script, paths, and orders to the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import cache

import msgspec

from ymera.core.chat import (
    ChatRequest,
    Message,
    Role,
)
from ymera.security.guards.sql_injection import is_sentence, prepared
from ymera.security.normalise import lowered, views, visible
from ymera.security.rules import InjectionRule, injection_rules

__all__ = ["InjectionFinding", "PromptGuard", "remove_injections", "risk", "scan"]

_WINDOW_CHARS = 20_000
"""A prompt is looked at in its first and last so many characters: that is where orders stand."""


class InjectionFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found; never the text itself.

    Attributes:
        rule: its id.
        category: `sql_injection`, `shell_injection`, `script_injection`, `path_traversal` or
            `prompt_injection`.
        severity: 0..1.
    """

    rule: str
    category: str
    severity: float

    @property
    def kind(self) -> str:
        """Category and rule in one word, such as `sql_injection.always_true`."""
        return f"{self.category}.{self.rule.partition('_')[2]}"


def scan(text: str, categories: tuple[str, ...] | None = None) -> tuple[InjectionFinding, ...]:
    """Return what the rules find in any reading of `text`, each rule once, the worst first.

    Args:
        text: any length; time is linear in it.
        categories: looked for; None looks for all.
    """
    rules, words = _looked_for(categories)
    found: dict[str, InjectionFinding] = {}
    for view in views(text):
        if words and not _holds_one(view.lower(), words):
            continue
        readings = _Readings(view)
        for rule in rules:
            if rule.id not in found and readings.matches(rule):
                found[rule.id] = InjectionFinding(
                    rule=rule.id, category=rule.category, severity=rule.severity
                )
    if not found:
        return ()
    return tuple(sorted(found.values(), key=lambda each: (-each.severity, each.rule)))


@cache
def _looked_for(
    categories: tuple[str, ...] | None,
) -> tuple[tuple[InjectionRule, ...], tuple[str, ...]]:
    """Return the rules, and words of which a text holds one if it fits any; none if they may not.

    White space within a word is not yet made equal where they are looked for.
    """
    rules = tuple(
        rule for rule in injection_rules().rule if categories is None or rule.category in categories
    )
    if any(rule.reads != "lower" or not rule.needs for rule in rules):
        return rules, ()
    words: list[str] = []
    for word in sorted({max(need.split(), key=len) for r in rules for need in r.needs}, key=len):
        if not any(shorter in word for shorter in words):
            words.append(word)
    return rules, tuple(words)


def _holds_one(text: str, words: tuple[str, ...]) -> bool:
    for word in words:  # noqa: SIM110 - twice as fast as any(), and asked of every request
        if word in text:
            return True
    return False


def risk(findings: Collection[InjectionFinding]) -> float:
    """Return how bad the findings are together: 0 none .. 1."""
    return round(1.0 - math.prod(1.0 - each.severity for each in findings), 4)


def remove_injections(text: str) -> str:
    """Return `text` without what makes it unsafe, so that a second look finds it safe.

    Only the lines that hold something are touched: each becomes `[removed: sql_injection]`. What
    only shows over several lines takes the whole text with it.
    """
    text = visible(text)
    lines = [_safe_line(line) for line in text.splitlines(keepends=True)]
    safe = "".join(lines)
    if risk(found := scan(safe)) < injection_rules().block_at:
        return safe
    return f"[removed: {found[0].category}]"


def _safe_line(line: str) -> str:
    found = scan(line)
    if risk(found) < injection_rules().block_at:
        return line
    end = line[len(line.rstrip("\r\n")) :]
    return f"[removed: {found[0].category}]{end}"


class _Readings:
    """One view of a text in the forms that rules read, each made once."""

    def __init__(self, view: str) -> None:
        self._view = view
        self._made: dict[str, str] = {}
        self._sentence: bool | None = None

    def matches(self, rule: InjectionRule) -> bool:
        text = self._made.get(rule.reads)
        if text is None:
            text = self._made[rule.reads] = self._make(rule.reads)
        if rule.needs and not _holds_one(text, rule.needs):
            return False
        if rule.when == "value" and self._is_sentence():
            return False
        return rule.pattern_re.search(text) is not None

    def _make(self, reads: str) -> str:
        if reads == "sql":
            return prepared(self._view)
        return lowered(self._view)

    def _is_sentence(self) -> bool:
        if self._sentence is None:
            self._sentence = is_sentence(self._view)
        return self._sentence


class PromptGuard:
    """Notes orders that try to overrule a prompt (an `InputGuard`); lets every request pass.

    It looks at the newest question and at what tools brought. Text about SQL, shells or scripts
    is a developer's daily bread and no finding here.
    """

    def check(self, request: ChatRequest, report: Callable[[str], None]) -> ChatRequest:
        """Return the request unchanged; `report` is told such as `prompt_injection.override`."""
        for text in _texts(request.messages):
            for found in scan(text, ("prompt_injection",)):
                report(found.kind)
        return request


def _texts(messages: tuple[Message, ...]) -> list[str]:
    texts: list[str] = []
    newest = True
    for message in reversed(messages):
        role = message.role
        if role is Role.TOOL or (newest and role is Role.USER):
            newest = newest and role is not Role.USER
            text = message.text
            if len(text) > 2 * _WINDOW_CHARS:
                text = f"{text[:_WINDOW_CHARS]}\n{text[-_WINDOW_CHARS:]}"
            texts.append(text)
    return texts[::-1]
