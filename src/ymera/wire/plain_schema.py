"""JSON Schemas for hosts that know the plain keywords only."""

from __future__ import annotations

__all__ = ["plain_schema"]

_KEPT = frozenset({"type", "description", "enum", "required"})
_SILENT = frozenset({"$schema", "$id", "$comment", "$defs", "definitions", "title", "examples"})
"""What says nothing of which values fit; `$defs` is used up by inlining."""
_MOST_NESTED = 16


def plain_schema(schema: object) -> tuple[dict[str, object], frozenset[str]]:
    """Return a schema of plain keywords, and the names of what had to be left out.

    Kept are `type`, `description`, `enum`, `required`, `properties`, `items` and `anyOf`; `const`
    becomes `enum`, `oneOf` becomes `anyOf`, and references into the schema are put in their place.
    What is left out makes the schema accept more, never less.

    Args:
        schema: a decoded JSON Schema.
    """
    lost: set[str] = set()
    return _plain(schema, schema, lost, 0), frozenset(lost)


def _plain(schema: object, root: object, lost: set[str], depth: int) -> dict[str, object]:
    if not isinstance(schema, dict):  # `true`: whatever you like
        return {}
    if depth > _MOST_NESTED:  # most likely it refers to itself
        lost.add("$ref")
        return {}
    if isinstance(reference := schema.get("$ref"), str):
        target = _referred(reference, root)
        if target is None:
            lost.add("$ref")
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        return _plain({**(target or {}), **beside}, root, lost, depth + 1)
    plain: dict[str, object] = {}
    for name, value in schema.items():
        match name, value:
            case "const", _:
                plain["enum"] = [value]
            case "properties", dict():
                inner = {key: _plain(one, root, lost, depth + 1) for key, one in value.items()}
                plain["properties"] = inner
            case "items", dict():
                plain["items"] = _plain(value, root, lost, depth + 1)
            case "anyOf" | "oneOf", list():
                plain["anyOf"] = [_plain(one, root, lost, depth + 1) for one in value]
            case _ if name in _KEPT:
                plain[name] = value
            case _ if name not in _SILENT:
                lost.add(name)
    return plain


def _referred(reference: str, root: object) -> dict[str, object] | None:
    """Return what `#/$defs/Name` stands for; None when it is not in this schema."""
    if not reference.startswith("#"):
        return None
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None
