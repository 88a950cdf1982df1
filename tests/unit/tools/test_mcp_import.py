"""`mcpServers` files of other programs: what is taken over, and what never is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ymera.core.errors import ConfigError
from ymera.tools.mcp_import import ImportedServer, imported_servers


def one(entry: object, name: str = "srv") -> ImportedServer:
    (server,), left = imported_servers(json.dumps({"mcpServers": {name: entry}}))
    assert left == []
    return server


def refused(entry: object) -> str:
    servers, (left,) = imported_servers(json.dumps({"mcpServers": {"srv": entry}}))
    assert servers == []
    return left.reason


@pytest.mark.proves("mcp.import")
def test_a_command_with_arguments_is_taken_over() -> None:
    entry = {"command": "npx", "args": ["-y", "pkg", "/notes"], "env": {}, "type": "stdio"}
    assert one(entry) == ImportedServer("srv", {"command": "npx", "args": ["-y", "pkg", "/notes"]})


@pytest.mark.proves("mcp.import", "mcp.secrets")
def test_of_variables_only_names_are_taken_over() -> None:
    env = {"A_KEY": "s3cret-value", "B_KEY": "${B_KEY}", "C": "${env:OTHER}", "D": "$D", "E": ""}

    server = one({"command": "x", "env": env})

    assert server.table["env"] == ["A_KEY", "B_KEY", "C", "D", "E"]
    assert server.notes == (
        "export A_KEY; the value in the file was not taken over",
        "export C with the value of OTHER",
    )
    assert "s3cret-value" not in repr(server)


@pytest.mark.proves("mcp.import")
def test_an_address_is_taken_over_with_the_name_of_its_token() -> None:
    url = "https://mcp.example.org/mcp"
    named = one({"type": "http", "url": url, "headers": {"Authorization": "Bearer ${TOK}"}})
    inline = one({"url": url, "headers": {"authorization": "Bearer abc.def"}}, "my-srv")

    assert named.table == {"url": url, "bearer_env": "TOK"}
    assert named.notes == ()
    assert inline.table == {"url": url, "bearer_env": "MY_SRV_TOKEN"}
    assert inline.notes == ("export MY_SRV_TOKEN; the token in the file was not taken over",)
    assert "abc.def" not in repr(inline)


@pytest.mark.proves("mcp.import")
def test_names_are_made_ours_and_what_is_unknown_is_said() -> None:
    server = one({"command": "x", "disabled": True, "autoApprove": ["all"]}, "GitHub (Work)")

    assert server.name == "github-work"
    assert server.table == {"command": "x", "enabled": False}
    assert server.notes == ("called 'GitHub (Work)' there", "not taken over: autoApprove")


@pytest.mark.proves("mcp.import", "mcp.secrets")
@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("text", "no object"),
        ({}, "neither command nor url"),
        ({"command": 5}, "command is no text"),
        ({"command": "x", "args": "y"}, "args are no list"),
        ({"command": "x", "args": ["--api-key", "abc123"]}, "hold a secret"),
        ({"command": "x", "args": ["--token=abc123"]}, "hold a secret"),
        ({"command": "x", "args": ["sk-abc123"]}, "hold a secret"),
        ({"command": "x", "args": ["${workspaceFolder}/abc123"]}, "placeholder"),
        ({"command": "x", "env": ["abc123"]}, "env is no object"),
        ({"command": "x", "env": {"a b": "abc123"}}, "none of a variable"),
        ({"type": "sse", "url": "https://a.example/sse"}, "'sse' is not supported"),
        ({"url": "ftp://a.example/abc123"}, "no http"),
        ({"url": "http://[abc123"}, "no http"),
        ({"url": "https://a.example/mcp?key=abc123"}, "query"),
        ({"url": "https://me:abc123@a.example/mcp"}, "user name"),
        ({"url": "https://a.example", "headers": {"X-Api-Key": "abc123"}}, "'X-Api-Key'"),
        ({"url": "https://a.example", "headers": {"Authorization": "Basic abc123"}}, "no bearer"),
        ({"url": "https://a.example", "headers": "abc123"}, "headers are no object"),
    ],
)
def test_what_cannot_be_taken_over_is_left_out_with_a_reason(entry: object, reason: str) -> None:
    said = refused(entry)
    assert reason in said
    assert "abc123" not in said


@pytest.mark.proves("mcp.import")
def test_one_bad_server_does_not_keep_the_others_out() -> None:
    text = json.dumps({"servers": {"Ab": {"command": "x"}, "ab": {"command": "y"}, "c": 1}})

    servers, left = imported_servers(text)

    assert [server.name for server in servers] == ["ab"]
    assert [one.name for one in left] == ["ab", "c"]


@pytest.mark.proves("mcp.import")
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"mcpServers": []}', "[" * 100_000])
def test_a_file_without_servers_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ConfigError, match="The file"):
        imported_servers(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["command", "args", "env", "url", "headers", "type", "cwd", "disabled"])


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=20), st.dictionaries(KEYS, JSON), max_size=4))
def test_whatever_the_file_holds_each_server_is_taken_over_or_left_out(
    entries: dict[str, dict[str, object]],
) -> None:
    servers, left = imported_servers(json.dumps({"mcpServers": entries}))
    assert len(servers) + len(left) == len(entries)
