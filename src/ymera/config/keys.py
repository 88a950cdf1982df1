"""Names of settings: which exist, what each accepts, which one was probably meant.

A setting's key is its path in the tree, written with dots (`security.rate_limit_per_hour`); in
the environment it is `YMERA_` plus the path in capitals with `__` between its parts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ymera.config.schema import Settings

__all__ = [
    "ENV_PREFIX",
    "ROOT",
    "KeyPath",
    "Leaf",
    "Node",
    "Section",
    "Table",
    "all_keys",
    "dotted",
    "find",
    "in_private_table",
    "looks_secret",
    "nearest_key",
    "needs_trust",
    "parse_text",
    "path_of_variable",
    "variable_name",
]

KeyPath = tuple[str, ...]

ENV_PREFIX = "YMERA_"
_SEPARATOR = "__"

_WORDS = {
    "1": True, "true": True, "yes": True, "on": True,
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip
_SECRET = re.compile(r"(^|[_-])(api[_-]?key|key|token|secret|password|passwd)s?$", re.IGNORECASE)


@dataclass(frozen=True)
class Leaf:
    """One setting that holds a value.

    Attributes:
        field: its definition in the schema.
        type: bool, int, Decimal, str, Path or tuple (of texts).
        choices: the only texts it accepts; empty when any.
        nullable: whether null is a value.
    """

    field: FieldInfo
    type: type
    choices: tuple[str, ...]
    nullable: bool

    @property
    def expects(self) -> str:
        """What it accepts, as the end of "must be ..."."""
        return self._phrase + (" or null" if self.nullable else "")

    @property
    def _phrase(self) -> str:
        if self.choices:
            return "one of " + ", ".join(f'"{choice}"' for choice in self.choices)
        low = next((rule.ge for rule in self.field.metadata if isinstance(rule, Ge)), None)
        high = next((rule.le for rule in self.field.metadata if isinstance(rule, Le)), None)
        bounds = "" if low is None or high is None else f" from {low:,} to {high:,}"
        return {
            bool: "true or false",
            int: "a whole number" + bounds,
            Decimal: "a number" + bounds,
            Path: "the path of a directory",
            tuple: "a list of texts",
        }.get(self.type, "text")


@dataclass(frozen=True)
class Section:
    """A table with fixed names."""

    model: type[BaseModel]


@dataclass(frozen=True)
class Table:
    """A table with free names whose entries are sections of `model`."""

    model: type[BaseModel]


Node = Leaf | Section | Table
ROOT = Section(Settings)


def _bare(annotation: object) -> object:
    """Return the annotation without `Annotated`."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _node(field: FieldInfo) -> Node:
    annotation = _bare(field.annotation)
    nullable = False
    if get_origin(annotation) in {Union, UnionType}:
        (annotation,) = (_bare(part) for part in get_args(annotation) if part is not NoneType)
        nullable = True
    origin = get_origin(annotation)
    if origin is dict:
        return Table(get_args(annotation)[1])
    if origin is Literal:
        return Leaf(field, str, get_args(annotation), nullable)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Section(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return Leaf(field, str, tuple(str(item.value) for item in annotation), nullable)
    base = origin or annotation
    return Leaf(field, base if isinstance(base, type) else str, (), nullable)


def find(path: KeyPath, start: Node = ROOT) -> Node | None:
    """Return what stands at a path, None when nothing can stand there."""
    node: Node | None = start
    for name in path:
        if isinstance(node, Table):
            node = Section(node.model)
        elif isinstance(node, Section):
            field = node.model.model_fields.get(name)
            node = None if field is None else _node(field)
        else:
            return None
    return node


def all_keys(settings: Settings | None = None) -> Iterator[tuple[KeyPath, Leaf]]:
    """Yield every setting in the order of the schema.

    Args:
        settings: whose entries of tables (`providers`, `mcp.servers`, ...) count; None leaves
            them out.
    """
    yield from _keys_under((), ROOT, settings)


def _keys_under(path: KeyPath, node: Node, values: object) -> Iterator[tuple[KeyPath, Leaf]]:
    if isinstance(node, Leaf):
        yield path, node
    elif isinstance(node, Table):
        for name, entry in values.items() if isinstance(values, Mapping) else ():
            yield from _keys_under((*path, name), Section(node.model), entry)
    else:
        for name, field in node.model.model_fields.items():
            yield from _keys_under((*path, name), _node(field), getattr(values, name, None))


def dotted(path: KeyPath) -> str:
    """Return the key as people write it; a part that is not a plain name is quoted."""
    return ".".join(
        part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part[:60]) for part in path
    )


def variable_name(path: KeyPath) -> str:
    """Return the environment variable of a key."""
    return ENV_PREFIX + _SEPARATOR.join(path).upper()


def path_of_variable(name: str) -> KeyPath:
    """Return the path an environment variable names, whether it exists or not."""
    return tuple(name.removeprefix(ENV_PREFIX).lower().split(_SEPARATOR))


def nearest_key(path: KeyPath) -> KeyPath | None:
    """Return the setting or section that was probably meant, None when nothing is close.

    A similar name beside it comes first, then the same name elsewhere, then a similar path.
    """
    parent = find(path[:-1])
    beside = parent.model.model_fields if isinstance(parent, Section) else {}
    if close := get_close_matches(path[-1], beside, n=1, cutoff=0.7):
        return (*path[:-1], close[0])
    known = {dotted(key): key for key, _ in all_keys()}
    for key in known.values():
        if key[-1] == path[-1]:
            return key
    close = get_close_matches(dotted(path), known, n=1, cutoff=0.7)
    return known[close[0]] if close else None


def looks_secret(name: str) -> bool:
    """Say whether a name reads like that of a secret (`api_key`, `token`, ...)."""
    return _SECRET.search(name) is not None


def parse_text(leaf: Leaf, text: str) -> object:
    """Return the value that a text from the environment or a flag stands for.

    Booleans are 1/0, true/false, yes/no, on/off; lists are separated by commas or a JSON array;
    `null` is null where the setting has it.

    Raises:
        ValueError: the text cannot be read as the type of the setting.
    """
    text = text.strip()
    if leaf.nullable and text == "null":
        return None
    if leaf.type is bool:
        if text.lower() not in _WORDS:
            raise ValueError(leaf.expects)
        return _WORDS[text.lower()]
    if leaf.type is int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise ValueError(leaf.expects)
        return int(text)
    if leaf.type is Decimal:
        return _parse_decimal(text, leaf)
    if leaf.type is tuple:
        return _parse_list(text)
    return text


def _parse_decimal(text: str, leaf: Leaf) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(leaf.expects) from None
    if not number.is_finite():
        raise ValueError(leaf.expects)
    return number


def _parse_list(text: str) -> object:
    if text.startswith("["):
        return json.loads(text)  # a JSONDecodeError is a ValueError
    return [part.strip() for part in text.split(",") if part.strip()]


_USER_ONLY = frozenset(
    {
        ("budget", "max_usd_per_request"),
        ("keyless_consent",),
        ("server", "allowed_hosts"),
        ("server", "allowed_origins"),
        ("runs", "database_url_env"),
        ("runs", "max_usd"),
        ("tools", "allow"),
        ("tools", "always"),
        ("tools", "enable_fetch"),
        ("tools", "read_root"),
    }
)
_USER_ONLY_TABLES = (("providers",), ("mcp", "servers"), ("tools", "databases"))


def in_private_table(path: KeyPath) -> bool:
    """Whether a setting belongs to one of the user's own hosts, servers or databases."""
    return any(path[: len(table)] == table for table in _USER_ONLY_TABLES)


def needs_trust(path: KeyPath) -> bool:
    """Whether a setting says where prompts and keys go, who may connect, what runs or is spent."""
    return path in _USER_ONLY or (in_private_table(path) and path[-1] != "enabled")
