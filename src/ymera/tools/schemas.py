"""JSON Schemas of tools: arguments checked against them, defaults filled in."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from ymera.core.tool import Tool

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

__all__ = ["argument_problem", "properties", "required", "value_problem", "with_defaults"]

_MAPS = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"enum", "const", "default", "examples"})
_UNSAFE = frozenset({"pattern", "patternProperties", "format"})
_MAX_PROBLEM_CHARS = 300


def properties(tool: Tool) -> dict[str, dict[str, object]]:
    """Return the schema of each argument by name; empty when the schema is none."""
    found = _schema(bytes(tool.parameters)).get("properties")
    if not isinstance(found, dict):
        return {}
    return {str(name): each for name, each in found.items() if isinstance(each, dict)}


def required(tool: Tool) -> tuple[str, ...]:
    """Return the names of the arguments that a call has to give."""
    found = _schema(bytes(tool.parameters)).get("required")
    return tuple(str(name) for name in found) if isinstance(found, list) else ()


def with_defaults(tool: Tool, arguments: Mapping[str, object]) -> dict[str, object]:
    """Return `arguments` and, for required ones that are missing, the schema's defaults."""
    filled = dict(arguments)
    of_schema = properties(tool)
    for name in required(tool):
        if name not in filled and "default" in of_schema.get(name, {}):
            filled[name] = of_schema[name]["default"]
    return filled


def argument_problem(tool: Tool, arguments: Mapping[str, object]) -> str | None:
    """Return what is wrong with `arguments` in one sentence, or None when they fit.

    Regular expressions of schemas are not run: a server could send one that never ends. The
    server checks them itself. References to other documents are not followed.
    """
    try:
        return value_problem(bytes(tool.parameters), dict(arguments))
    except ValueError:
        return "The tool's own argument schema is broken."


def value_problem(schema: bytes, value: object) -> str | None:
    """Return what of `value` does not fit `schema` in one sentence, or None when it fits.

    As with arguments, regular expressions are not run and references not followed.

    Raises:
        ValueError: the schema itself is broken.
    """
    from jsonschema.exceptions import SchemaError, best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(_validator(schema).iter_errors(value))
    except (
        SchemaError,
        Unresolvable,
        RecursionError,
        ValueError,
        TypeError,
        msgspec.MsgspecError,
    ) as broken:  # also no JSON object
        raise ValueError("The schema is broken.") from broken
    if error is None:
        return None
    where = ".".join(str(step) for step in error.absolute_path)
    return f"{where + ': ' if where else ''}{error.message}"[:_MAX_PROBLEM_CHARS]


@functools.lru_cache(maxsize=512)
def _schema(parameters: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(parameters, type=dict[str, object])
    except msgspec.DecodeError:
        return {}


@functools.lru_cache(maxsize=512)
def _validator(parameters: bytes) -> Validator:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    schema = _without_patterns(msgspec.json.decode(parameters, type=dict[str, object]))
    if not isinstance(schema, dict):
        raise TypeError(schema)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=Registry())


def _without_patterns(schema: object) -> object:
    if isinstance(schema, list):
        return [_without_patterns(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    loose = "patternProperties" in schema  # then what is additional cannot be told either
    kept: dict[str, object] = {}
    for name, value in schema.items():
        if name in _UNSAFE or (loose and name == "additionalProperties"):
            continue
        if name in _DATA:
            kept[name] = value
        elif name in _MAPS and isinstance(value, dict):
            kept[name] = {key: _without_patterns(each) for key, each in value.items()}
        else:
            kept[name] = _without_patterns(value)
    return kept
