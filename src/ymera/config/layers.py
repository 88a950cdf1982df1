"""One layer of settings: from a file's table, the environment or flags to checked values.

Every value keeps where it came from, so that what is wrong is said of that file or variable. All
problems of all layers are collected and raised as one `ConfigError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
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
    looks_secret,
    nearest_key,
    parse_text,
    path_of_variable,
    variable_name,
)
from ymera.config.schema import Settings
from ymera.core.errors import ConfigError

__all__ = ["Given", "Layer", "LayerReader", "Problem", "Source", "nested", "raise_problems"]

# Read by other parts of Ymera or by its test suite; they are no settings.
OTHER_VARIABLES = frozenset({"YMERA_ENV", "YMERA_CONFIG", "YMERA_API_KEY"})
OTHER_PREFIX = "YMERA_TEST_"

_KEYS_HINT = "`ymera config show` lists every setting."
_CREDENTIAL_HINT = (
    "Keys do not belong in configuration: export the provider's own variable (such as "
    "GROQ_API_KEY) and take the key out of here."
)


class Layer(StrEnum):
    """Where settings come from, the strongest first."""

    FLAGS = "flags"
    ENVIRONMENT = "environment"
    PROJECT = "project"
    USER = "user"
    AI_CONFIG = "ai_config"
    DEFAULT = "default"


@dataclass(frozen=True)
class Source:
    """Where a value came from.

    Attributes:
        layer: the layer.
        place: path of the file, name of the variable, `command line`, or empty for a default.
    """

    layer: Layer
    place: str = ""

    def __str__(self) -> str:
        return f"{self.layer}: {self.place}" if self.place else self.layer.value


@dataclass(frozen=True)
class Given:
    """A value somebody set, and where."""

    value: object
    source: Source


@dataclass(frozen=True)
class Problem:
    """Something wrong with one value: a sentence, the key at fault and what to do."""

    sentence: str
    key: str
    hint: str


class LayerReader:
    """Reads one layer.

    Args:
        layer: which one.
        base_dir: directory that relative paths among the values start from.

    Attributes:
        values: what was set, by key; an entry of a table without anything set is a `{}`.
        problems: what was wrong; a value with a problem is not among `values`.
    """

    def __init__(self, layer: Layer, base_dir: Path) -> None:
        self.values: dict[KeyPath, Given] = {}
        self.problems: list[Problem] = []
        self._layer = layer
        self._base_dir = base_dir

    def read_file(self, path: Path, table: Mapping[str, object]) -> None:
        """Take what a file holds."""
        self._walk((), ROOT, table, Source(self._layer, str(path)))
        self._check()

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
            self._refuse(path, text, expects, source)
        else:
            self._take(path, node, value, source)

    def _walk(self, path: KeyPath, node: Node, table: Mapping[str, object], source: Source) -> None:
        for name, value in table.items():
            below = (*path, name)
            self._take(below, find((name,), node), value, source)

    def _take(self, path: KeyPath, node: Node | None, value: object, source: Source) -> None:
        if node is None:
            self._refuse_unknown(path, source)
        elif isinstance(node, Leaf):
            if node.type is Path and isinstance(value, str):
                value = self._anchored(value)
            self.values[path] = Given(value, source)
        elif isinstance(value, Mapping):
            if not value and not isinstance(node, Table):
                self.values[path] = Given({}, source)
            self._walk(path, node, value, source)
        else:
            self._refuse(path, value, "a table", source)

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
                    self._refuse_name(location, expects, given.source)
                else:
                    self._refuse(path, given.value, expects, given.source)

    def _path_at(self, location: KeyPath) -> KeyPath:
        """Return the set key that an error's location lies in, or that lies in the location."""
        for path, given in self.values.items():
            shared = min(len(path), len(location))
            if path[:shared] == location[:shared] and (given.value != {} or path == location):
                return path
        return location

    def _refuse(self, path: KeyPath, value: object, expects: str, source: Source) -> None:
        leaf = find(path)
        hint = _KEYS_HINT
        if isinstance(leaf, Leaf) and leaf.type is not str and isinstance(value, str):
            hint = _unquoted_hint(leaf, value) or hint
        self.problems.append(
            Problem(
                f"{_subject(path, source)} must be {expects}, not {_shown(path, value)}.",
                dotted(path),
                hint,
            )
        )

    def _refuse_name(self, path: KeyPath, expects: str, source: Source) -> None:
        sentence = f"{_subject(path, source)}: the last part must be {expects}."
        self.problems.append(Problem(sentence, dotted(path), _KEYS_HINT))

    def _refuse_unknown(self, path: KeyPath, source: Source) -> None:
        subject = _subject(path, source)
        if looks_secret(path[-1]):
            sentence, hint = (
                f"{subject} looks like a secret and is not a setting.",
                _CREDENTIAL_HINT,
            )
        else:
            near = nearest_key(path)
            write = variable_name if source.layer is Layer.ENVIRONMENT else dotted
            asked = "" if near is None else f"; did you mean {write(near)}?"
            sentence, hint = f"{subject} is not a setting{asked or '.'}", _KEYS_HINT
        self.problems.append(Problem(sentence, dotted(path), hint))


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


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise all problems as one error.

    Raises:
        ConfigError: there is at least one.
    """
    found = list(problems)
    if not found:
        return
    message = found[0].sentence
    if len(found) > 1:
        lines = "\n".join(f"  {problem.sentence}" for problem in found)
        message = f"{len(found)} settings are wrong:\n{lines}"
    raise ConfigError(message, hint=found[0].hint, param=found[0].key)


def _subject(path: KeyPath, source: Source) -> str:
    if source.layer is Layer.ENVIRONMENT:
        below = path[len(path_of_variable(source.place)) :]
        return f"{source.place}: {dotted(path)}" if below else source.place
    return f"{source.place}: {dotted(path)}"


def _shown(path: KeyPath, value: object) -> str:
    """Describe a wrong value; one that may hold a secret by its type only."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        short = value if len(value) <= 40 else f"{value[:37]}..."
        return "this text" if path[0] == "providers" else f"the text {json.dumps(short)}"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "this list"
    number = str(value)
    return number if len(number) <= 40 else "this value"


def _unquoted_hint(leaf: Leaf, text: str) -> str | None:
    try:
        meant = parse_text(leaf, text)
    except ValueError:
        return None
    if isinstance(meant, list):
        return f"Write a list: {json.dumps(meant)}."
    return f"Write {str(meant).lower()}, without quotes." if meant is not None else None


def default_sources(entries: Mapping[str, object]) -> dict[str, Source]:
    """Return every key with the source of a value nobody set."""
    return {dotted(path): Source(Layer.DEFAULT) for path, _ in all_keys(entries)}
