"""What is wrong with a setting, in sentences that name the file or variable and the key.

A value is quoted only where it cannot be a secret: never in a table of the user's own hosts,
servers or databases, and never that of an unknown key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ymera.config.keys import (
    KeyPath,
    Leaf,
    dotted,
    find,
    in_private_table,
    looks_secret,
    nearest_key,
    parse_text,
    path_of_variable,
    variable_name,
)
from ymera.config.sources import Layer, Source
from ymera.core.errors import ConfigError

__all__ = [
    "Problem",
    "not_from_here",
    "raise_problems",
    "unknown_key",
    "wrong_entry_name",
    "wrong_value",
]

_KEYS_HINT = "Correct or remove it; docs/configuration.md lists every setting."
_CREDENTIAL_HINT = (
    "Keys do not belong in configuration: export the provider's own variable (such as "
    "GROQ_API_KEY) and take the key out of here."
)


@dataclass(frozen=True)
class Problem:
    """Something wrong with one value: a sentence, the key at fault and what to do."""

    sentence: str
    key: str
    hint: str


def wrong_value(path: KeyPath, value: object, expects: str, source: Source) -> Problem:
    """Say that a value is not what the setting accepts.

    Args:
        path: key of the setting.
        value: what was given.
        expects: what it accepts, as the end of "must be ...".
        source: where it was given.
    """
    node = find(path)
    hint = _KEYS_HINT
    if isinstance(node, Leaf) and node.type is not str and isinstance(value, str):
        hint = _unquoted_hint(node, value) or hint
    sentence = f"{_subject(path, source)} must be {expects}, not {_shown(path, value)}."
    return Problem(sentence, dotted(path), hint)


def wrong_entry_name(path: KeyPath, expects: str, source: Source) -> Problem:
    """Say that the entry of a table cannot have the name it has."""
    sentence = f"{_subject(path, source)}: the last part must be {expects}."
    return Problem(sentence, dotted(path), _KEYS_HINT)


def unknown_key(path: KeyPath, source: Source) -> Problem:
    """Say that there is no such setting, and which one was probably meant."""
    subject = _subject(path, source)
    if looks_secret(path[-1]):
        sentence = f"{subject} looks like a secret and is not a setting."
        return Problem(sentence, dotted(path), _CREDENTIAL_HINT)
    near = nearest_key(path)
    write = variable_name if source.layer is Layer.ENVIRONMENT else dotted
    end = "." if near is None else f"; did you mean {write(near)}?"
    return Problem(f"{subject} is not a setting{end}", dotted(path), _KEYS_HINT)


def not_from_here(path: KeyPath, source: Source) -> Problem:
    """Say that a setting is right, but must come from the user and not from a checkout."""
    sentence = (
        f"{_subject(path, source)} says where prompts and keys go, what runs or what is "
        "spent; a file found in the working directory may not set it."
    )
    hint = "Put it in your own config.toml (`ymera config path`), or name the file in YMERA_CONFIG."
    return Problem(sentence, dotted(path), hint)


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
        return "this text" if in_private_table(path) else f"the text {json.dumps(short)}"
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
