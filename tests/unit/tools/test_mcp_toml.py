"""Editing `[mcp.servers.NAME]`: only that table changes, or nothing does."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.errors import ConfigError
from ymera.tools.mcp_toml import with_server, without_server

FILE = """\
# mine
[models]
prefer_free = true  # keep

[mcp.servers.one]
command = "x"
args = [
  "a",
]

# about two
[ mcp . servers . "two" ]   # odd, but TOML
url = "http://127.0.0.1:1/mcp"

[tools]
always = true
"""


@pytest.mark.proves("mcp.file")
def test_adding_and_removing_leaves_every_other_line_alone() -> None:
    added = with_server(FILE, "three", {"command": "y", "args": ["\x7f\"'\\\n"], "enabled": False})

    assert added.startswith(FILE)
    assert tomllib.loads(added)["mcp"]["servers"]["three"] == {
        "command": "y",
        "args": ["\x7f\"'\\\n"],
        "enabled": False,
    }
    assert without_server(added, "three") == FILE


@pytest.mark.proves("mcp.file")
def test_a_removed_table_takes_its_own_lines_and_not_the_comment_of_the_next() -> None:
    assert without_server(FILE, "one") == FILE.replace(
        '[mcp.servers.one]\ncommand = "x"\nargs = [\n  "a",\n]\n\n', ""
    )
    without_two = without_server(FILE, "two")
    assert "127.0.0.1" not in without_two
    assert tomllib.loads(without_two)["tools"] == {"always": True}
    assert "command" in without_two


@pytest.mark.proves("mcp.file")
def test_a_taken_name_and_an_unknown_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="'one' already"):
        with_server(FILE, "one", {"command": "y"})
    with pytest.raises(ConfigError, match="no MCP server 'three'"):
        without_server(FILE, "three")


@pytest.mark.proves("mcp.file")
@pytest.mark.parametrize(
    "text",
    [
        'mcp.servers.one.command = "x"\n',
        'mcp = {servers = {one = {command = "x"}}}\n',
        '[mcp.servers]\none = {command = "x"}\n',
        '[mcp]\nservers.one.command = "x"\n',
        '[mcp.servers.one]\ncommand = """\n[tools]\n"""\n',
    ],
)
def test_what_is_not_written_as_a_table_is_left_to_the_user(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be edited"):
        without_server(text, "one")


@pytest.mark.proves("mcp.file")
def test_a_file_of_inline_tables_is_not_broken_by_adding() -> None:
    with pytest.raises(ConfigError, match="cannot be edited"):
        with_server('mcp = {servers = {one = {command = "x"}}}\n', "two", {"command": "y"})
    with pytest.raises(ConfigError, match="not valid TOML"):
        with_server("[", "two", {"command": "y"})


# Lone surrogates are no text of a command line or of JSON that is UTF-8.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXTS, st.lists(TEXTS, max_size=3), st.sampled_from(["", FILE, "a = 1", "# only"]))
def test_any_text_survives_the_way_into_the_file_and_out(
    command: str, args: list[str], before: str
) -> None:
    after = with_server(before, "new", {"command": command, "args": args})

    assert tomllib.loads(after)["mcp"]["servers"]["new"] == {"command": command, "args": args}
    assert tomllib.loads(without_server(after, "new")) == tomllib.loads(before)
