"""Simulated models answer with JSON that fits the schema they are given."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.testing import ProviderSimulator
from ymera.testing.fitting import fitting_value

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 10},
        "born": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2},
        "friend": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "score": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.25},
    },
    "required": ["name", "born", "tags", "score"],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"allOf": [{"type": "integer"}, {"minimum": 3, "multipleOf": 7}]},
                "next": {"oneOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
        }
    },
}
SCHEMAS: list[Any] = [
    PERSON,
    TREE,
    {},
    True,
    {"const": {"a": 1}},
    {"type": ["null", "string"]},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "minItems": 3},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "contains": {"const": 5}},
    {"type": "object", "minProperties": 3, "additionalProperties": {"type": "integer"}},
    {"type": "object", "required": ["a"], "not": {"properties": {"a": {"const": "sample"}}}},
    {"type": "integer", "minimum": -9, "maximum": -9},
    {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "integer"}]},
    {"type": "object", "properties": {"kind": {"enum": ["x", "y"]}, "n": {"type": "integer"}},
     "required": ["kind"], "if": {"properties": {"kind": {"const": "x"}}},
     "then": {"required": ["n"]}},
]  # fmt: skip


def _fits(schema: Any, value: object) -> None:
    jsonschema.Draft202012Validator(schema).validate(value)


@pytest.mark.proves("simulator.structured")
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:50])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_made_up_value_fits_and_is_always_the_same(schema: Any, seed: int) -> None:
    value = fitting_value(json.dumps(schema).encode(), seed=seed)
    _fits(schema, value)
    assert value == fitting_value(json.dumps(schema).encode(), seed=seed)


_BOUNDS = st.integers(-50, 50)
_LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
              st.integers(0, 20), st.integers(0, 9)),
    st.builds(lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
              _BOUNDS, st.integers(0, 9)),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low, "maximum": low + 1}, _BOUNDS),
    st.builds(lambda step: {"type": "number", "multipleOf": step, "minimum": 10},
              st.sampled_from([1, 2, 5, 0.5, 0.25])),
    st.builds(lambda words: {"enum": words}, st.lists(st.text(max_size=4), min_size=1)),
    st.builds(lambda word: {"const": word}, st.text(max_size=4)),
)  # fmt: skip


def _around(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.text("abc", min_size=1, max_size=3)
    return st.one_of(
        st.builds(
            lambda fields, closed: {
                "type": "object",
                "properties": fields,
                "required": sorted(fields)[::2],
                "additionalProperties": not closed,
            },
            st.dictionaries(names, schemas, max_size=4),
            st.booleans(),
        ),
        st.builds(
            lambda item, low, more: {
                "type": "array", "items": item, "minItems": low, "maxItems": low + more
            },
            schemas, st.integers(0, 3), st.integers(0, 2),
        ),
        st.builds(lambda some: {"anyOf": some}, st.lists(schemas, min_size=1, max_size=3)),
        st.builds(lambda one: {"allOf": [one]}, schemas),
    )  # fmt: skip


@pytest.mark.proves("simulator.structured")
@given(schema=st.recursive(_LEAVES, _around, max_leaves=8), seed=st.integers(0, 3))
def test_any_schema_that_something_fits_is_answered_with_what_fits(schema: Any, seed: int) -> None:
    _fits(schema, fitting_value(json.dumps(schema).encode(), seed=seed))


@pytest.mark.parametrize(
    "schema", [b"", b"7", b'{"type":7}', b'{"allOf":[{"const":1},{"const":2}]}']
)
def test_a_schema_that_nothing_fits_breaks_nothing(schema: bytes) -> None:
    json.dumps(fitting_value(schema))


def _post(url: str, body: object, **headers: str) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 - loopback
    for name, value in {"content-type": "application/json", **headers}.items():
        request.add_header(name.replace("_", "-"), value)
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        return json.load(answer)


@pytest.mark.proves("simulator.structured")
async def test_each_vendor_takes_the_schema_in_its_own_words() -> None:
    said = {"role": "user", "content": "Who?"}
    own = {"type": "OBJECT", "properties": {"age": {"type": "INTEGER"}}, "required": ["age"]}
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    async with ProviderSimulator(providers=("google", "ollama", "anthropic", "groq")) as sim:
        names = {each: sim.models_of(each)[0].upstream_id for each in ("google", "anthropic")}

        def ask(path: str, body: object, **headers: str) -> Any:
            return _post(sim.origin + path, body, authorization="Bearer simulated-key", **headers)

        def all_of_them() -> list[Any]:
            config = {"responseMimeType": "application/json", "responseSchema": own}
            contents = [{"role": "user", "parts": [{"text": "Who?"}]}]
            google = ask(
                "/google/v1beta/models/gemini-3.5-flash:generateContent",
                {"contents": contents, "generationConfig": config},
                x_goog_api_key="simulated-key",
            )
            ollama = ask(
                "/ollama/api/chat",
                {"model": "any", "messages": [said], "format": schema, "stream": False},
            )
            tool = {"name": "tell", "input_schema": schema}
            claude = ask(
                "/anthropic/v1/messages",
                {
                    "model": names["anthropic"],
                    "max_tokens": 99,
                    "messages": [said],
                    "tools": [tool],
                    "tool_choice": {"type": "tool", "name": "tell"},
                },
                anthropic_version="2023-06-01",
                x_api_key="simulated-key",
            )
            groq = ask(
                "/groq/openai/v1/chat/completions",
                {
                    "model": "openai/gpt-oss-20b",
                    "messages": [said],
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "a", "schema": schema},
                    },
                },
            )
            parts = google["candidates"][0]["content"]["parts"]
            return [
                json.loads("".join(p["text"] for p in parts if not p.get("thought"))),
                json.loads(ollama["message"]["content"]),
                next(b["input"] for b in claude["content"] if b["type"] == "tool_use"),
                json.loads(groq["choices"][0]["message"]["content"]),
            ]

        answers = await asyncio.to_thread(all_of_them)
    for answer in answers:
        _fits(schema, answer)
