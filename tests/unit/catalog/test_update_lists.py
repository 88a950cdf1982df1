"""Model lists in every vendor's words."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.catalog.listing import Listed, decode_list
from ymera.core.errors import ProviderError
from ymera.core.model import Dialect, ModelKind


def read(tree: object, dialect: Dialect = Dialect.OPENAI_CHAT) -> tuple[Listed, ...]:
    return decode_list(dialect, msgspec.json.encode(tree)).rows


@pytest.mark.proves("catalog.update")
def test_a_router_gives_context_prices_and_abilities() -> None:
    (row,) = read(
        {
            "data": [
                {
                    "id": "acme/rocket",
                    "name": "Rocket",
                    "context_length": 131072,
                    "architecture": {"input_modalities": ["text", "image"]},
                    "pricing": {"prompt": "0.0000025", "completion": "0.00001"},
                    "top_provider": {"max_completion_tokens": 8192},
                    "supported_parameters": ["tools", "reasoning"],
                }
            ]
        }
    )
    assert row == Listed(
        id="acme/rocket",
        name="Rocket",
        context_window=131072,
        max_output=8192,
        inputs=("image", "text"),
        tools=True,
        json_schema=False,
        reasoning=True,
        input_usd_per_mtok=Decimal("2.5"),
        output_usd_per_mtok=Decimal(10),
    )


@pytest.mark.proves("catalog.update")
@pytest.mark.parametrize(
    ("dialect", "tree", "expected"),
    [
        (
            Dialect.OPENAI_CHAT,
            {"data": [{"id": "m", "context_window": 8, "active": False}]},
            Listed(id="m", context_window=8, active=False),
        ),
        (
            Dialect.GEMINI,
            {
                "models": [
                    {
                        "name": "models/m",
                        "inputTokenLimit": 9,
                        "outputTokenLimit": 8,
                        "supportedGenerationMethods": ["generateContent"],
                    }
                ]
            },
            Listed(id="m", context_window=9, max_output=8),
        ),
        (
            Dialect.GEMINI,
            {"models": [{"name": "models/v", "supportedGenerationMethods": ["embedContent"]}]},
            Listed(id="v", kind=ModelKind.EMBEDDING),
        ),
        (
            Dialect.ANTHROPIC,
            {"data": [{"id": "m", "display_name": "M", "max_input_tokens": 7}]},
            Listed(id="m", name="M", context_window=7),
        ),
        (
            Dialect.OLLAMA,
            {"models": [{"name": "m:1b", "model": "m:1b", "details": {"family": "x"}}]},
            Listed(id="m:1b", name="m:1b"),
        ),
        (
            Dialect.OPENAI_CHAT,
            {"models": [{"name": "m", "endpoints": ["chat"], "context_length": 5}]},
            Listed(id="m", name="m", context_window=5),
        ),
        (
            Dialect.OPENAI_CHAT,
            {
                "result": [
                    {
                        "id": "0f",
                        "name": "@cf/m",
                        "task": {"name": "Text Generation"},
                        "properties": [{"property_id": "context_window", "value": "32000"}],
                    }
                ]
            },
            Listed(id="@cf/m", name="@cf/m", context_window=32000),
        ),
        (Dialect.OPENAI_CHAT, [{"id": "m", "context_length": 6}], Listed(id="m", context_window=6)),
        (
            Dialect.OPENAI_CHAT,
            {"data": [{"id": "m", "pricing": {"prompt": "-1", "input": 3}}]},
            Listed(id="m"),
        ),
    ],
    ids=[
        "groq",
        "gemini",
        "gemini vectors",
        "anthropic",
        "ollama",
        "cohere",
        "cloudflare",
        "bare array",
        "price that varies, and one in an unknown unit",
    ],
)
def test_each_vendors_words_are_read(dialect: Dialect, tree: object, expected: Listed) -> None:
    assert read(tree, dialect) == (expected,)


def test_what_neither_chats_nor_embeds_has_no_kind() -> None:
    names = ["gpt-9", "text-embed-9", "whisper-9", "tts-9", "dall-e-9", "omni-moderation"]
    kinds = [row.kind for row in read({"data": [{"id": name} for name in names]})]
    assert kinds == [ModelKind.CHAT, ModelKind.EMBEDDING, ModelKind.TRANSCRIPTION, None, None, None]


def test_the_next_page_is_named() -> None:
    page = decode_list(Dialect.GEMINI, b'{"models":[],"nextPageToken":"t1"}')
    assert page.next == "t1"
    assert decode_list(Dialect.ANTHROPIC, b'{"data":[],"has_more":true,"last_id":"m"}').next == "m"
    assert (
        decode_list(Dialect.ANTHROPIC, b'{"data":[],"has_more":false,"last_id":"m"}').next is None
    )


def test_odd_rows_and_values_count_as_not_said() -> None:
    rows = read(
        {
            "data": [
                7,
                {"id": ""},
                {"id": "a b"},
                {"id": "x" * 201},
                {"id": "m", "context_length": -5, "pricing": {"prompt": "NaN", "completion": "9"}},
                {"id": "m", "context_length": 5},
            ]
        }
    )
    assert rows == (Listed(id="m"),)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data":{}}', b"3", b"[" * 5000])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ProviderError, match="no model list"):
        decode_list(Dialect.OPENAI_CHAT, body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "name", "pricing", "prompt", "context_length", "task", "data"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    tree=VALUES | st.builds(lambda rows: {"data": rows}, VALUES), dialect=st.sampled_from(Dialect)
)
def test_any_json_is_read_or_refused(tree: object, dialect: Dialect) -> None:
    try:
        rows = read(tree, dialect)
    except ProviderError:
        return
    assert all(row.id and row.id.isascii() for row in rows)
