"""Which tools may run, and with which arguments."""

from __future__ import annotations

import msgspec
import pytest

from ymera.core.access import LOCAL_OWNER
from ymera.core.errors import Forbidden
from ymera.core.tool import Tool, ToolEffect
from ymera.security.tool_gate import AllowlistGate


def tool(name: str, *, reads: bool = False) -> Tool:
    effect = ToolEffect.READ_ONLY if reads else ToolEffect.SIDE_EFFECT
    schema = msgspec.Raw(b'{"type":"object"}')
    return Tool(name=name, description="", parameters=schema, effect=effect)


def check(gate: AllowlistGate, called: Tool, **arguments: object) -> str:
    return gate.check(called, arguments, LOCAL_OWNER)


@pytest.mark.proves("toolgate.effects")
def test_reading_is_free_and_changing_needs_the_allowlist() -> None:
    found: list[str] = []
    gate = AllowlistGate(("files__write_*", "git__*"), report=found.append)
    assert check(gate, tool("clock", reads=True)) == "read_only"
    assert check(gate, tool("files__write_file"), path="a.txt", content="x") == "allowlist"
    assert check(gate, tool("git__commit"), message="'; DROP TABLE users; --") == "allowlist"
    assert found == []
    for refused in ("files__delete_file", "mail__send", "xgit__commit", "GIT__commit"):
        with pytest.raises(Forbidden) as caught:
            check(gate, tool(refused))
        assert "tools.allow" in (caught.value.hint or "")
        assert refused in caught.value.message
    assert found == ["tool.not_allowed"] * 4


@pytest.mark.proves("toolgate.effects")
def test_a_tools_name_made_up_by_a_model_cannot_forge_the_message() -> None:
    with pytest.raises(Forbidden) as caught:
        check(AllowlistGate(()), tool("x\n\x1b[31mAllowed: rm" + "y" * 500))
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.proves("toolgate.paths")
@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "a/../../b",
        "..\\..\\windows\\win.ini",
        "%2e%2e%2fsecret",
        "/etc/shadow",
        "docs/../../etc/passwd",
        "/home/ann/.ssh/id_ed25519",
        "/proc/self/environ",
        "_data/security/encryption/key_encryption_keys.json",
        "a\0b",
    ],
)
def test_paths_that_leave_or_hold_secrets_are_refused_at_any_depth(path: str) -> None:
    gate = AllowlistGate(("*",))
    for arguments in ({"path": path}, {"edits": [{"filePath": path}]}, {"paths": ["ok", path]}):
        with pytest.raises(Forbidden) as caught:
            gate.check(tool("files__read", reads=True), arguments, LOCAL_OWNER)
        assert caught.value.hint


@pytest.mark.proves("toolgate.paths")
@pytest.mark.parametrize("path", ["a.txt", "a/../b", "/srv/data/x.csv", "./a/./b", "..hidden", ""])
def test_ordinary_paths_pass(path: str) -> None:
    assert check(AllowlistGate(()), tool("files__read", reads=True), path=path) == "read_only"


@pytest.mark.proves("toolgate.addresses")
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:8080/api/keys",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://10.1.2.3/x",
        "http://router.local/",
        "http://intranet/",
        "http://localhost./",
        "file:///etc/hosts",
        "gopher://example.org/",
        "//127.0.0.1/x",
        "http://[::1",
        "http:///x",
    ],
)
def test_addresses_inside_this_machine_or_network_are_refused_unless_vouched_for(url: str) -> None:
    reading = tool("web__fetch", reads=True)
    with pytest.raises(Forbidden):
        check(AllowlistGate(()), reading, url=url)
    assert check(AllowlistGate(("web__*",)), reading, url=url) == "read_only"


@pytest.mark.proves("toolgate.addresses")
@pytest.mark.parametrize(
    "url",
    ["https://example.org/a?b=c", "http://8.8.8.8/", "HTTPS://EXAMPLE.ORG", "note://1", "page-1"],
)
def test_public_addresses_and_names_of_the_tools_own_pass(url: str) -> None:
    assert check(AllowlistGate(()), tool("web__fetch", reads=True), url=url) == "read_only"


@pytest.mark.proves("toolgate.statements")
@pytest.mark.parametrize(
    ("sql", "passes"),
    [
        ("SELECT * FROM users WHERE name = 'drop; delete'", True),
        ("  select 1; ", True),
        ("WITH t AS (SELECT 1) SELECT replace(a, 'x', 'y') FROM t -- into the log", True),
        ("PRAGMA table_info(users)", True),
        ("EXPLAIN SELECT 1", True),
        ("DELETE FROM users", False),
        ("SELECT 1; DROP TABLE users", False),
        ("WITH t AS (DELETE FROM users RETURNING *) SELECT * FROM t", False),
        ("SELECT * INTO copy FROM users", False),
        ("/* hi */ UPDATE users SET a = 1", False),
        ("PRAGMA journal_mode = DELETE", False),
        ("EXPLAIN ANALYZE UPDATE users SET a = 1", False),
        ("", False),
    ],
)
def test_a_reading_tool_is_sent_statements_that_read(sql: str, passes: bool) -> None:
    reading = tool("query_database", reads=True)
    for name in ("sql", "query"):
        if passes:
            assert check(AllowlistGate(()), reading, **{name: sql}) == "read_only"
        else:
            with pytest.raises(Forbidden):
                check(AllowlistGate(()), reading, **{name: sql})
    writing = tool("query_database")
    assert check(AllowlistGate(("*",)), writing, sql=sql) == "allowlist"


@pytest.mark.proves("toolgate.values")
def test_values_and_commands_are_looked_at_and_free_text_is_not() -> None:
    gate = AllowlistGate(("*",))
    called = tool("crm__note")
    for name, value in {
        "user_id": "1 OR 1=1",
        "email": "x'; DROP TABLE users; --",
        "command": "ls; rm -rf /",
    }.items():
        with pytest.raises(Forbidden):
            check(gate, called, **{name: value})
    attack = "'; DROP TABLE users; -- rm -rf / ../../etc/passwd http://127.0.0.1/"
    for name in ("content", "text", "message", "query", "code", "expression"):
        assert check(gate, called, **{name: attack}) == "allowlist"
    assert check(gate, called, name="O'Brien", id="42", command="ls -la") == "allowlist"


@pytest.mark.proves("toolgate.values")
def test_arguments_nested_beyond_reason_are_refused() -> None:
    nested: object = "x"
    for _ in range(50):
        nested = [nested]
    with pytest.raises(Forbidden, match="nested"):
        check(AllowlistGate(()), tool("t", reads=True), a=nested)
