"""The vendor's own form of schemas, as JSON Schema; and its fields under either spelling."""

from __future__ import annotations

import re

import msgspec

__all__ = ["as_json_schema", "in_camel_case"]

_COUNTS = frozenset(
    {"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"}
)
_DROPPED = frozenset({"nullable", "propertyOrdering", "example"})
_OPAQUE = frozenset(
    {"args", "response", "parameters", "parametersJsonSchema", "responseJsonSchema"}
    | {"responseSchema", "labels"}
)
"""What lies under these names is the caller's, whatever it is called."""

_SNAKE = re.compile(rb'"[a-z]+(_[a-z]+)+"\s*:')
_SCHEMA_NAMES = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "min_length": "minLength",
    "max_length": "maxLength",
    "property_ordering": "propertyOrdering",
}


def as_json_schema(raw: msgspec.Raw) -> msgspec.Raw:
    """Return JSON Schema for a schema in OpenAPI's form: `"OBJECT"`, `nullable`, counts as text.

    Raises:
        msgspec.DecodeError: it is no JSON.
    """
    return msgspec.Raw(msgspec.json.encode(_converted(msgspec.json.decode(raw))))


def _converted(schema: object) -> object:
    if not isinstance(schema, dict):
        return schema
    made: dict[str, object] = {}
    for given, value in schema.items():
        name = _SCHEMA_NAMES.get(str(given), str(given))
        if name == "type" and isinstance(value, str):
            made[name] = value.lower()
        elif name in _COUNTS and isinstance(value, str) and value.isdecimal():
            made[name] = int(value)
        elif name == "properties" and isinstance(value, dict):
            made[name] = {key: _converted(each) for key, each in value.items()}
        elif name == "items":
            made[name] = _converted(value)
        elif name == "anyOf" and isinstance(value, list):
            made[name] = [_converted(each) for each in value]
        elif name not in _DROPPED:
            made[name] = value
    if schema.get("nullable") is True:
        return _nullable(made)
    return made


def _nullable(schema: dict[str, object]) -> object:
    kind, words = schema.get("type"), schema.get("enum")
    if isinstance(words, list) and None not in words:
        schema["enum"] = [*words, None]
    if isinstance(kind, str):
        return schema | {"type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


def in_camel_case(body: bytes) -> bytes:
    """Return the body with its fields in camel case: the vendor reads `system_instruction`, too.

    A body that has none such is returned as it is.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: it is no JSON in UTF-8.
    """
    if not _SNAKE.search(body):
        return body
    return msgspec.json.encode(_renamed(msgspec.json.decode(body)))


def _renamed(value: object) -> object:
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, object] = {}
    for given, each in value.items():
        head, *rest = given.split("_")
        name = head + "".join(word[:1].upper() + word[1:] for word in rest) if head else given
        made[name] = each if name in _OPAQUE else _renamed(each)
    return made
