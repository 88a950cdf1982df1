"""What is shown of a server's tools, and what their answers become, without a server."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

from ymera.core.tool import ToolEffect
from ymera.tools.mcp_context import best_window
from ymera.tools.mcp_results import cut, tool_result
from ymera.tools.mcp_spec import McpServerSpec
from ymera.tools.mcp_tools import expose, exposed_names

SPEC = McpServerSpec(name="srv", command="x", read_only=("a", "b", "c", "d"))


@pytest.mark.proves("mcp.tools")
@given(st.lists(st.text(min_size=1, max_size=200), unique=True, max_size=20), st.randoms())
def test_names_are_valid_unique_and_independent_of_the_order(
    own: list[str], chance: object
) -> None:
    names = exposed_names("srv", own)

    assert set(names) == set(own)
    assert len(set(names.values())) == len(own)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name) for name in names.values())
    assert exposed_names("srv", own[::-1]) == names


@pytest.mark.proves("mcp.tools")
def test_names_that_clash_after_cleaning_stay_apart_and_a_clean_one_keeps_its_own() -> None:
    names = exposed_names("srv", ["a.b", "a b", "a_b"])

    assert names["a_b"] == "srv__a_b"
    assert len(set(names.values())) == 3
    assert exposed_names("srv", ["a.b"]) == {"a.b": "srv__a_b"}


@pytest.mark.proves("mcp.effect")
@pytest.mark.parametrize(
    ("hints", "effect"),
    [
        (None, ToolEffect.READ_ONLY),
        (ToolAnnotations(), ToolEffect.READ_ONLY),
        (ToolAnnotations(read_only_hint=True), ToolEffect.READ_ONLY),
        (ToolAnnotations(read_only_hint=True, destructive_hint=True), ToolEffect.READ_ONLY),
        (ToolAnnotations(read_only_hint=False), ToolEffect.SIDE_EFFECT),
        (ToolAnnotations(destructive_hint=True), ToolEffect.SIDE_EFFECT),
    ],
)
def test_a_hint_never_loosens_and_may_tighten(
    hints: ToolAnnotations | None, effect: ToolEffect
) -> None:
    listed = Tool(name="a", input_schema={"type": "object"}, annotations=hints)
    unlisted = listed.model_copy(update={"name": "z"})

    first, second = expose(SPEC, [listed, unlisted])

    assert first.tool.effect is effect
    assert (first.note is None) == (effect is ToolEffect.READ_ONLY)
    assert (second.tool.effect, second.note) == (ToolEffect.SIDE_EFFECT, None)


@pytest.mark.proves("mcp.bounds")
def test_what_a_server_says_of_its_tools_is_bounded() -> None:
    huge = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(5000)}}
    tools = [
        Tool(name="a", description="word\n\x1b[31m " * 5000, input_schema={"type": "object"}),
        Tool(name="b", input_schema=huge),
        Tool(name="a", description="another of that name", input_schema={"type": "object"}),
    ]

    first, second = expose(SPEC, tools)

    assert len(first.tool.description) <= 1024
    assert first.tool.description.isprintable()
    assert first.tool.description.startswith("word")
    assert bytes(second.tool.parameters) == b'{"type":"object"}'
    assert "too large" in (second.note or "")


@pytest.mark.proves("mcp.results")
def test_content_that_is_no_text_is_described() -> None:
    data = base64.b64encode(bytes(300)).decode()
    answer = CallToolResult(
        content=[
            TextContent(text="first"),
            ImageContent(data=data, mime_type="image/png"),
            AudioContent(data=data, mime_type="audio/wav"),
            ResourceLink(uri="file:///a.txt", name="a", description="an a"),
            EmbeddedResource(resource=TextResourceContents(uri="file:///b", text="inside")),
            EmbeddedResource(resource=BlobResourceContents(uri="file:///c", blob=data)),
            TextContent(text="last"),
        ],
        is_error=True,
    )

    result = tool_result(answer, 1000)

    assert result.text.splitlines() == [
        "first",
        "[image image/png, 300 bytes]",
        "[audio audio/wav, 300 bytes]",
        "[resource file:///a.txt a an a]",
        "inside",
        "[resource file:///c bytes, 300 bytes]",
        "last",
    ]
    assert (result.is_error, result.error_code) == (True, "tool_error")


@pytest.mark.proves("mcp.results")
def test_structured_content_stands_in_for_missing_text_and_is_left_out_when_too_large() -> None:
    small = tool_result(CallToolResult(content=[], structured_content={"a": [1, None]}), 100)
    large = tool_result(CallToolResult(content=[], structured_content={"a": "x" * 500}), 100)

    assert small.text == '{"a":[1,null]}'
    assert small.structured is not None
    assert bytes(small.structured) == b'{"a":[1,null]}'
    assert large.structured is None
    assert len(large.text) == 100


@pytest.mark.proves("mcp.bounds")
@given(st.text(max_size=300), st.integers(0, 200))
def test_a_cut_text_fits_and_accounts_for_what_is_missing(text: str, limit: int) -> None:
    kept, missing = cut(text, limit)

    assert kept == text if len(text) <= limit else len(kept) <= limit
    assert kept.startswith(text[: len(text) - missing])
    assert (missing > 0) == (len(text) > limit)


@given(st.text(max_size=200), st.text(max_size=200), st.integers(20, 100))
def test_the_window_with_the_wanted_word_is_kept(before: str, after: str, chars: int) -> None:
    filler = re.sub(r"[^\W_]", ".", before) * 9, re.sub(r"[^\W_]", ".", after) * 9
    text = f"{filler[0]} needle {filler[1]}"

    window = best_window(text, frozenset({"needle"}), 600 + chars)

    assert "needle" in window
    assert len(window) <= 600 + chars
