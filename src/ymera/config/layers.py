"""One layer of settings: from a file's table, the environment or flags to checked values.

Every value keeps where it came from, so that what is wrong is said of that file or variable.
Problems are collected, so that all of them can be told at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ymera.config.keys import (
    ENV_PREFIX,
    ROOT,
    KeyPath,
    Leaf,
    Node,
    Table,
    all_keys,
    dotted,
    find,
    needs_trust,
    parse_text,
    path_of_variable,
)
from ymera.config.problems import (
    Problem,
    not_from_here,
    unknown_key,
    wrong_entry_name,
    wrong_value,
)
from ymera.config.schema import Settings
from ymera.config.sources import Layer, Source

__all__ = ["Given", "LayerReader", "default_sources", "nested"]

# Read by other parts of Ymera or by its test suite; they are no settings.
OTHER_VARIABLES = frozenset({"YMERA_ENV", "YMERA_CONFIG"})
OTHER_PREFIX = "YMERA_TEST_"


@dataclass(frozen=True)
class Given:
    """A value somebody set, and where."""

    value: object
    source: Source


class LayerReader:
    """Reads one layer.

    Args:
        layer: which one.
        base_dir: directory that relative paths among the values start from.
        trusted: whether the user chose the source. A file that merely lies in the working
            directory came with a checkout; it may not say where prompts and keys go.

    Attributes:
        values: what was set, by key; an entry of a table without anything set is a `{}`.
        problems: what was wrong; a value with a problem is not among `values`.
    """

    def __init__(self, layer: Layer, base_dir: Path, *, trusted: bool = True) -> None:
        self.values: dict[KeyPath, Given] = {}
        self.problems: list[Problem] = []
        self._layer = layer
        self._base_dir = base_dir
        self._trusted = trusted

    def read_file(self, path: Path, table: Mapping[str, object]) -> None:
        """Take what a file holds."""
        self._walk((), ROOT, table, Source(self._layer, str(path)))
        self._check()
        if not self._trusted:
            self._refuse_what_needs_trust()

    def read_environment(self, environ: Mapping[str, str]) -> None:
        """Take the variables that start with `YMERA_`; an empty one counts as not set."""
        for name, text in sorted(environ.items()):
            if not name.startswith(ENV_PREFIX) or not text.strip():
                continue
            if name not in OTHER_VARIABLES and not name.startswith(OTHER_PREFIX):
                self._take_text(path_of_variable(name), text, Source(self._layer, name))
        self._check()

    def read_flags(self, flags: Mapping[str, object]) -> None:
        """Take values by dotted key; text is parsed as a variable's would be."""
        for key, value in flags.items():
            path, source = tuple(key.split(".")), Source(self._layer, "command line")
            if isinstance(value, str):
                self._take_text(path, value, source)
            else:
                self._take(path, find(path), value, source)
        self._check()

    def _take_text(self, path: KeyPath, text: str, source: Source) -> None:
        node = find(path)
        value: object = text
        try:
            if isinstance(node, Leaf):
                value = parse_text(node, text)
            elif node is not None:
                value = json.loads(text)
        except (ValueError, RecursionError):
            expects = node.expects if isinstance(node, Leaf) else "a JSON object"
            self.problems.append(wrong_value(path, text, expects, source))
        else:
            self._take(path, node, value, source)

    def _walk(self, path: KeyPath, node: Node, table: Mapping[str, object], source: Source) -> None:
        for name, value in table.items():
            below = (*path, name)
            self._take(below, find((name,), node), value, source)

    def _take(self, path: KeyPath, node: Node | None, value: object, source: Source) -> None:
        if node is None:
            self.problems.append(unknown_key(path, source))
        elif isinstance(node, Leaf):
            if node.type is Path and isinstance(value, str):
                value = self._anchored(value)
            self.values[path] = Given(value, source)
        elif isinstance(value, Mapping):
            if not value and not isinstance(node, Table):
                self.values[path] = Given({}, source)
            self._walk(path, node, value, source)
        else:
            self.problems.append(wrong_value(path, value, "a table", source))

    def _anchored(self, text: str) -> str:
        """Return the path with `~` expanded, starting from the base directory if relative."""
        if not text.strip() or "\0" in text:
            return text  # the schema refuses it with its own words
        try:
            return str(self._base_dir / Path(text).expanduser())
        except RuntimeError:  # no such user, or no home
            return str(self._base_dir / text)

    def _check(self) -> None:
        """Move every value the schema refuses from `values` to `problems`."""
        try:
            Settings.model_validate(nested(self.values))
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                location = tuple(str(part) for part in detail["loc"] if part != "[key]")
                path = self._path_at(location)
                given = self.values.pop(path, None)
                if given is None:  # its first problem is told already
                    continue
                leaf = find(path)
                expects = leaf.expects if isinstance(leaf, Leaf) else "a table"
                if detail["type"] == "value_error":
                    expects = str(detail["ctx"]["error"])
                if "[key]" in detail["loc"]:
                    self.problems.append(wrong_entry_name(location, expects, given.source))
                else:
                    self.problems.append(wrong_value(path, given.value, expects, given.source))

    def _refuse_what_needs_trust(self) -> None:
        for path in [path for path in self.values if needs_trust(path)]:
            self.problems.append(not_from_here(path, self.values.pop(path).source))

    def _path_at(self, location: KeyPath) -> KeyPath:
        """Return the set key that an error's location lies in, or that lies in the location."""
        for path, given in self.values.items():
            shared = min(len(path), len(location))
            if path[:shared] == location[:shared] and (given.value != {} or path == location):
                return path
        return location


def nested(values: Mapping[KeyPath, Given]) -> dict[str, object]:
    """Return the tree that the values by key stand for."""
    tree: dict[str, object] = {}
    tables: dict[KeyPath, dict[str, object]] = {(): tree}
    for path, given in values.items():
        for end in range(1, len(path)):
            if path[:end] not in tables:
                tables[path[:end]] = tables[path[: end - 1]][path[end - 1]] = {}
        if given.value == {}:  # an entry with nothing set
            tables.setdefault(path, {})
            tables[path[:-1]][path[-1]] = tables[path]
        else:
            tables[path[:-1]][path[-1]] = given.value
    return tree


def default_sources(settings: Settings) -> dict[str, Source]:
    """Return every key with the source of a value nobody set."""
    return {dotted(path): Source(Layer.DEFAULT) for path, _ in all_keys(settings)}
