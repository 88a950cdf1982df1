"""Rules as data: what credentials and attacks look like, read from `security/data`."""

from __future__ import annotations

import re
from functools import cache, cached_property
from importlib.resources import files
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from ymera.security.anchors import Anchors

__all__ = [
    "InjectionRule",
    "InjectionRules",
    "SecretRule",
    "SecretRules",
    "injection_rules",
    "secret_rules",
]

_T = TypeVar("_T")
_CATEGORIES = {
    "sql": "sql_injection",
    "shell": "shell_injection",
    "script": "script_injection",
    "path": "path_traversal",
    "prompt": "prompt_injection",
}
_Id = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{1,40}$")]


class SecretRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One kind of credential; the fields are explained in `data/secrets.toml`."""

    id: _Id
    anchors: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    bounded: bool = True
    needs: tuple[str, str] | None = None
    grow: str
    pattern: str
    rest: str = ""
    closing: str = ""
    closing_so_far: str = ""
    min_entropy: float = 0.0
    source: str

    @cached_property
    def grow_re(self) -> re.Pattern[str]:
        """`grow`, compiled."""
        return re.compile(self.grow, re.ASCII)

    @cached_property
    def pattern_re(self) -> re.Pattern[str]:
        """`pattern`, compiled."""
        return re.compile(self.pattern, re.ASCII)

    @cached_property
    def rest_re(self) -> re.Pattern[str]:
        """`rest`, compiled: group 1 is swallowed, group 2 may still turn out to be the closing."""
        closing = f"(?:{self.closing}|({self.closing_so_far}))?" if self.closing else "()"
        return re.compile(f"({self.rest}){closing}", re.ASCII)


class SecretRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """All of `data/secrets.toml`."""

    licence: str
    placeholders: str
    rule: tuple[SecretRule, ...]

    @cached_property
    def placeholders_re(self) -> re.Pattern[str]:
        """What stands where a credential would, compiled."""
        return re.compile(self.placeholders, re.ASCII)

    @cached_property
    def by_anchor(self) -> dict[str, tuple[SecretRule, ...]]:
        """The rules of each anchor, in the order of the file; names in lower case."""
        found: dict[str, tuple[SecretRule, ...]] = {}
        for rule in self.rule:
            for anchor in (*rule.anchors, *rule.names):
                found[anchor] = (*found.get(anchor, ()), rule)
        return found

    @cached_property
    def longest_anchor(self) -> int:
        """Characters of the longest anchor or name."""
        return max(map(len, self.by_anchor))

    @cached_property
    def anchors(self) -> Anchors:
        """Tells quickly where anchors are."""
        names = [name for rule in self.rule for name in rule.names]
        needs = {
            anchor: rules[0].needs
            for anchor, rules in self.by_anchor.items()
            if rules[0].needs and {rule.needs for rule in rules} == {rules[0].needs}
        }
        return Anchors([anchor for anchor in self.by_anchor if anchor not in names], names, needs)

    @cached_property
    def anchor_re(self) -> re.Pattern[str]:
        """Finds the next anchor, or what may become one once more text comes."""
        bounded = [a for rule in self.rule if rule.bounded for a in rule.anchors]
        free = [a for rule in self.rule if not rule.bounded for a in rule.anchors]
        names = [name for rule in self.rule for name in rule.names]
        return re.compile(
            f"(?<![A-Za-z])(?:(?<![0-9])(?:{_trie(bounded)})|(?i:{_trie(names)}))|{_trie(free)}",
            re.ASCII,
        )


def _trie(words: list[str]) -> str:
    """Return an expression for any of the words, or for the beginning of one at the very end."""
    by_first: dict[str, list[str]] = {}
    for word in dict.fromkeys(words):
        if word:
            by_first.setdefault(word[0], []).append(word[1:])
    branches = [
        re.escape(first) + ("" if rests == [""] else f"(?:{_trie(rests)}|\\Z)")
        for first, rests in by_first.items()
    ]
    return "|".join(branches)


@cache
def secret_rules() -> SecretRules:
    """Return the credentials' rules, read at the first call."""
    return _read("secrets.toml", SecretRules)


class InjectionRule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True
):
    """One sign of injected text; the fields are explained in `data/injections.toml`."""

    id: _Id
    reads: Literal["sql", "lower"]
    when: Literal["any", "value"] = "any"
    severity: Annotated[float, Meta(gt=0, lt=1)]
    needs: tuple[str, ...] = ()
    pattern: str
    source: str

    @cached_property
    def category(self) -> str:
        """What it is a sign of: `sql_injection`, ..."""
        return _CATEGORIES[self.id.partition("_")[0]]

    @cached_property
    def pattern_re(self) -> re.Pattern[str]:
        """`pattern`, compiled."""
        return re.compile(self.pattern, re.MULTILINE)


class InjectionRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of `data/injections.toml`."""

    licence: str
    block_at: Annotated[float, Meta(gt=0, lt=1)]
    rule: tuple[InjectionRule, ...]


@cache
def injection_rules() -> InjectionRules:
    """Return the signs of injected text, read at the first call."""
    return _read("injections.toml", InjectionRules)


def _read(name: str, kind: type[_T]) -> _T:
    data = files("ymera.security").joinpath("data", name).read_bytes()
    return msgspec.toml.decode(data, type=kind)
