from __future__ import annotations

import json

import msgspec
import pytest

from ymera.wire.tool_arguments import arguments_as_object, arguments_as_text

pytestmark = pytest.mark.proves("wire.tool-arguments")


@pytest.mark.parametrize(
    ("text", "value", "fits"),
    [
        ('{"a": 1.50}', {"a": 1.5}, True),
        ("", {}, True),
        (" \n", {}, True),
        ('{"a": 1', {"_raw": '{"a": 1'}, False),
        ("[1]", {"_raw": "[1]"}, False),
        ("null", {"_raw": "null"}, False),
        ('{"a": "\ud800"}', {"_raw": '{"a": "?"}'}, False),
        ("[" * 5000, {"_raw": "[" * 5000}, False),
    ],
)
def test_text_becomes_an_object(text: str, value: object, fits: bool) -> None:
    raw, was_object = arguments_as_object(text)
    assert (json.loads(bytes(raw)), was_object) == (value, fits)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'{"a": 1.50}', '{"a": 1.50}'),
        (b"", "{}"),
        (b"null", "{}"),
        (b'{"_raw": "[1"}', "[1"),
        (b'{"_raw": "{}"}', '{"_raw": "{}"}'),
        (b'{"_raw": 7}', '{"_raw": 7}'),
        (b'{"_raw": "a", "b": "c"}', '{"_raw": "a", "b": "c"}'),
    ],
)
def test_an_object_becomes_the_text_it_was(raw: bytes, text: str) -> None:
    assert arguments_as_text(msgspec.Raw(raw)) == text
