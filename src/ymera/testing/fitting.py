"""Makes up a value that fits a JSON Schema: what simulated models answer when one is asked for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from math import ceil, floor
from typing import cast

import msgspec

from ymera.tools.schemas import value_problem

__all__ = ["fitting_value"]

_ATTEMPTS = 40
_DEPTH = 6
"""Levels of optional content; what is required goes deeper, as far as `_DEEPEST`."""
_DEEPEST = 40
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

_Schema = Mapping[str, object]


def fitting_value(schema: bytes, *, seed: int = 0) -> object:
    """Return a value that fits; the same for the same schema and seed.

    The first guess holds what is required and nothing else; where it does not fit, further ones
    draw from what the schema allows. Patterns of strings are not followed. A schema that nothing
    fits, or that is broken, gets the first guess.

    Args:
        schema: encoded JSON Schema.
        seed: of the draws.
    """
    try:
        root: object = msgspec.json.decode(schema)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    first: object = None
    for attempt in range(_ATTEMPTS):
        made = _Maker(root, random.Random(f"{seed} {attempt}") if attempt else None)
        value = made.value(root, 0)
        first = value if attempt == 0 else first
        try:
            if value_problem(schema, value) is None:
                return value
        except ValueError:
            break
    return first


class _Maker:
    """One guess; without randomness the plainest one."""

    def __init__(self, root: object, draw: random.Random | None) -> None:
        self._root = root
        self._random = draw

    def value(self, raw: object, depth: int) -> object:
        """Return a value for a schema; `depth` is how deep it lies."""
        if not isinstance(raw, dict) or depth > _DEEPEST:
            return None if raw is False else "sample"
        schema = self._resolved(cast("_Schema", raw), depth)
        if "const" in schema:
            return schema["const"]
        if choices := _list(schema.get("enum")):
            return self._one_of(choices)
        match self._kind(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer":
                return int(self._number(schema, whole=True))
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                return self._one_of([True, False])
        return None

    def _one_of(self, choices: list[object]) -> object:
        return choices[0] if self._random is None else self._random.choice(choices)

    def _resolved(self, schema: _Schema, depth: int) -> dict[str, object]:
        """Return a schema with what it refers to, and one of its alternatives, taken in."""
        made = {name: value for name, value in schema.items() if name not in _COMBINED}
        further: list[object] = []
        if isinstance(ref := schema.get("$ref"), str):
            further.append(self._pointed(ref))
        further += _list(schema.get("allOf"))
        for name in ("anyOf", "oneOf"):
            if alternatives := _list(schema.get(name)):
                # Deep down the last one: an end to what refers to itself, such as null.
                deep = depth > _DEPTH
                further.append(alternatives[-1] if deep else self._one_of(alternatives))
        for each in further:
            if isinstance(each, dict) and depth < _DEEPEST:
                made = _merged(made, self._resolved(cast("_Schema", each), depth + 1))
        return made

    def _pointed(self, ref: str) -> object:
        found: object = self._root
        for step in ref.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return found if ref.startswith("#") else None

    def _kind(self, schema: _Schema) -> str:
        kind = schema.get("type")
        if kinds := _list(kind):
            kind = self._one_of(kinds)
        if isinstance(kind, str):
            return kind
        for name, of in _KIND_BY_WORD.items():
            if name in schema:
                return of
        return "string" if schema.get("format") else "object"

    def _object(self, schema: _Schema, depth: int) -> dict[str, object]:
        known = _fields(schema.get("properties"))
        names = [str(name) for name in _list(schema.get("required"))]
        if self._random is not None and depth <= _DEPTH:
            names += [n for n in known if n not in names and self._random.random() < 0.5]
        more = schema.get("additionalProperties", {})
        least = _whole(schema.get("minProperties"), 0)
        names += [name for name in known if name not in names][: max(0, least - len(names))]
        names += [f"field_{number}" for number in range(len(names), least)]
        return {name: self.value(known.get(name, more or {}), depth + 1) for name in names}

    def _array(self, schema: _Schema, depth: int) -> list[object]:
        least = _whole(schema.get("minItems"), 1 if "contains" in schema else 0)
        length = least
        if self._random is not None and depth <= _DEPTH:
            length += self._random.randrange(3)
        length = min(length, _whole(schema.get("maxItems"), length))
        heads = _list(schema.get("prefixItems"))
        rest = schema.get("items", schema.get("contains", {}))
        items: list[object] = []
        for at in range(max(length, least)):
            item = self.value(heads[at] if at < len(heads) else rest, depth + 1)
            if schema.get("uniqueItems") is True and item in items:
                item = _another(item, at)
            items.append(item)
        return items

    def _string(self, schema: _Schema) -> str:
        text = _FORMATS.get(str(schema.get("format")), "sample")
        least, most = _whole(schema.get("minLength"), 0), _whole(schema.get("maxLength"), 10_000)
        return text.ljust(min(least, 10_000), "x")[:most]

    def _number(self, schema: _Schema, *, whole: bool) -> float:
        step = _number(schema.get("multipleOf")) or (1.0 if whole else 0.5)
        step = step if not whole or step.is_integer() else 1.0
        low, high = _number(schema.get("minimum")), _number(schema.get("maximum"))
        above, below = (_number(schema.get(f"exclusive{end}")) for end in ("Minimum", "Maximum"))
        least = None if low is None else ceil(low / step)
        if above is not None:
            least = max(floor(above / step) + 1, least if least is not None else -(10**18))
        most = None if high is None else floor(high / step)
        if below is not None:
            most = min(ceil(below / step) - 1, most if most is not None else 10**18)
        count = 1 if whole or "multipleOf" in schema else 3
        if self._random is not None:
            count += self._random.randrange(10)
        if least is not None and most is not None and most < least and not whole:
            return (float(low or above or 0) + float(high or below or 0)) / 2
        count = count if least is None else max(count, least)
        count = count if most is None else min(count, most)
        return count * step


_COMBINED = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_KIND_BY_WORD = {
    "properties": "object",
    "required": "object",
    "minProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "contains": "array",
    "minLength": "string",
    "maxLength": "string",
    "pattern": "string",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}


def _merged(one: dict[str, object], other: dict[str, object]) -> dict[str, object]:
    made = {**other, **one}
    for name in ("properties", "required"):
        mine, theirs = one.get(name), other.get(name)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            made[name] = {**theirs, **mine}
        elif isinstance(mine, list) and isinstance(theirs, list):
            made[name] = list(dict.fromkeys([*mine, *theirs]))
    return made


def _another(item: object, number: int) -> object:
    """Return a value of the same kind that no item before it has."""
    if isinstance(item, str):
        return f"{item} {number}"
    if isinstance(item, int | float) and not isinstance(item, bool):
        return item + number
    return item


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _fields(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _whole(value: object, default: int) -> int:
    return int(value) if isinstance(value, int | float) and value >= 0 else default


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
