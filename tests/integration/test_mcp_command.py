"""`ymera mcp`: the user's file is edited, servers are tried, secrets stay where they are."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.mcp_servers.running import HERE
from ymera.config import load_settings

GOOD = str(HERE / "good.py")


@pytest.fixture
def ymera(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def user_file() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "ymera" / "config.toml"


@pytest.mark.proves("cli.mcp")
def test_a_server_is_added_listed_tried_and_removed(ymera: CommandLine, user_file: Path) -> None:
    user_file.parent.mkdir(parents=True)
    user_file.write_text("# mine\n[models]\nprefer_free = true\n", encoding="utf-8")
    user_file.chmod(0o640)

    added = ymera("mcp", "add", "srv", "--read-only", "add", "--", sys.executable, GOOD)
    listed = ymera("mcp", "list", "--json")
    tools = ymera("mcp", "tools", "srv", "--json")
    summed = ymera("mcp", "call", "srv__add", "-p", "a=20", "-p", "b=3")

    assert added.code == 0, added.err
    assert user_file.read_text(encoding="utf-8").startswith("# mine\n[models]\n")
    assert stat.S_IMODE(user_file.stat().st_mode) == 0o640
    (server,) = json.loads(listed.out)
    assert (server["name"], server["command"], server["args"]) == ("srv", sys.executable, [GOOD])
    effects = {tool["name"]: tool["effect"] for tool in json.loads(tools.out)}
    assert (effects["srv__add"], effects["srv__wipe"]) == ("read_only", "side_effect")
    assert (summed.code, summed.out) == (0, "23\n")

    removed = ymera("mcp", "remove", "srv")
    assert removed.code == 0
    assert user_file.read_text(encoding="utf-8") == "# mine\n[models]\nprefer_free = true\n"
    assert "No MCP server yet" in ymera("mcp").err


@pytest.mark.proves("cli.mcp")
def test_a_call_takes_texts_as_texts_and_says_why_it_failed(ymera: CommandLine) -> None:
    ymera("mcp", "add", "srv", "--", sys.executable, GOOD)

    text = ymera("mcp", "call", "srv__fail", "-p", "reason=5")
    answer = ymera("mcp", "call", "srv__add", "--arguments", '{"a": 1, "b": 2}', "--json")
    died = ymera("mcp", "call", "srv__die", "-p", "code=4")
    unknown = ymera("mcp", "call", "srv__nothing")
    no_pair = ymera("mcp", "call", "srv__add", "-p", "a")
    no_json = ymera("mcp", "call", "srv__add", "--arguments", "[1]")

    assert (text.code, text.out) == (1, "")
    assert "Error executing tool fail" in text.err  # not that 5 is no text
    assert json.loads(answer.out)["text"] == "3"
    assert died.code == 1
    assert "exit code 4" in died.err
    assert (unknown.code, no_pair.code, no_json.code) == (2, 2, 2)
    assert "srv__add" in unknown.err


@pytest.mark.proves("cli.mcp", "mcp.dead")
def test_a_dead_server_is_an_error_and_the_others_are_listed_all_the_same(
    ymera: CommandLine,
) -> None:
    ymera("mcp", "add", "dead", "--", sys.executable, str(HERE / "odd.py"), "crashing")
    ymera("mcp", "add", "srv", "--", sys.executable, GOOD)

    both = ymera("mcp", "tools")

    assert both.code == 1
    assert "srv__add" in both.out
    assert "'dead' did not start: it ended with exit code 3" in both.err
    assert "super-secret-value" not in both.err


@pytest.mark.proves("cli.mcp")
@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("add", "srv"), 2, "Give either a command"),
        (("add", "srv", "--url", "http://127.0.0.1:1/mcp", "--", "x"), 2, "Give either"),
        (("add", "Srv", "--", "x"), 2, "lower-case"),
        (("add", "a__b", "--", "x"), 2, "separates server and tool"),
        (("add", "srv", "--env", "A=secret-value", "--", "x"), 2, "name of an environment"),
        (("add", "srv", "--url", "https://me:secret-value@a.example"), 2, "without user name"),
        (("remove", "srv"), 2, "no MCP server 'srv'"),
        (("tools", "srv"), 2, "not configured"),
        (("call", "srv"), 2, "SERVER__TOOL"),
        (("call", "srv__x"), 2, "not configured"),
        (("import", "/no/such/file"), 2, "cannot be read"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_written(
    ymera: CommandLine, user_file: Path, args: tuple[str, ...], code: int, words: str
) -> None:
    result = ymera("mcp", *args)

    assert (result.code, result.out) == (code, "")
    assert words in result.err
    assert "secret-value" not in result.err
    assert not user_file.exists()


@pytest.mark.proves("cli.mcp", "mcp.import", "mcp.secrets")
def test_an_imported_file_leaves_its_values_behind(
    ymera: CommandLine, user_file: Path, tmp_path: Path
) -> None:
    source = tmp_path / "claude_desktop_config.json"
    servers = {
        "Good One": {"command": sys.executable, "args": [GOOD], "env": {"K": "secret-value"}},
        "web": {
            "url": "https://a.example/mcp",
            "headers": {"Authorization": "Bearer secret-value"},
        },
        "old": {"type": "sse", "url": "https://a.example/sse"},
        "empty": {"command": " "},
    }
    source.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")

    first = ymera("mcp", "import", str(source))
    again = ymera("mcp", "import", "-", "--json", stdin=source.read_bytes())

    assert first.code == 0, first.err
    assert "Added good-one; called 'Good One' there; export K" in first.err
    assert "Left out old: its transport 'sse' is not supported" in first.err
    assert "Left out empty" in first.err
    settings = load_settings().settings.mcp.servers
    assert set(settings) == {"good-one", "web"}
    assert settings["good-one"].env == ("K",)
    assert settings["web"].bearer_env == "WEB_TOKEN"
    assert (again.code, len(json.loads(again.out)["left_out"])) == (2, 4)
    written = user_file.read_text(encoding="utf-8")
    assert "secret-value" not in written + first.err + first.out + again.err + again.out
    assert stat.S_IMODE(user_file.stat().st_mode) == 0o600


@pytest.mark.proves("mcp.file")
def test_a_linked_file_stays_a_link_and_a_broken_one_is_left_alone(
    ymera: CommandLine, user_file: Path, tmp_path: Path
) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("", encoding="utf-8")
    user_file.parent.mkdir(parents=True)
    user_file.symlink_to(real)

    assert ymera("mcp", "add", "srv", "--", "x").code == 0
    assert user_file.is_symlink()
    assert "[mcp.servers.srv]" in real.read_text(encoding="utf-8")

    real.write_text("[models\n", encoding="utf-8")
    assert ymera("mcp", "add", "two", "--", "x").code == 2
    assert real.read_text(encoding="utf-8") == "[models\n"


@pytest.mark.proves("mcp.file")
def test_a_server_of_another_file_is_not_removed_from_here(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[mcp.servers.srv]\ncommand = "x"\n', encoding="utf-8")
    monkeypatch.setenv("YMERA_CONFIG", str(other))

    result = ymera("mcp", "remove", "srv")

    assert result.code == 2
    assert str(other) in result.err
    assert "srv" in other.read_text(encoding="utf-8")


@pytest.mark.proves("mcp.lazy")
def test_the_sdk_is_loaded_by_the_first_use_of_a_server_and_not_before() -> None:
    program = """
import sys
import ymera.app.mcp_servers, ymera.tools.mcp_client, ymera.cli.commands.mcp
heavy = {"mcp", "mcp_types", "httpx2", "anyio", "jsonschema"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.proves("cli.mcp")
def test_a_server_that_does_not_start_leaves_stdout_empty(ymera: CommandLine) -> None:
    ymera("mcp", "add", "dead", "--", sys.executable, "-c", "raise SystemExit(3)")
    result = ymera("mcp", "tools", "dead", "--json")
    assert (result.code, result.out) == (1, "")
    assert "exit code 3" in result.err
    assert "MachineError" not in result.err


@pytest.mark.proves("cli.mcp")
@pytest.mark.parametrize("given", ["[" * 60_000, "[1]", "{"])
def test_arguments_that_are_no_object_are_refused(ymera: CommandLine, given: str) -> None:
    ymera("mcp", "add", "srv", "--", sys.executable, GOOD)
    result = ymera("mcp", "call", "srv__add", "--arguments", given)
    assert (result.code, result.out) == (2, "")
    assert "--arguments" in result.err


@pytest.mark.proves("cli.mcp")
def test_a_missing_program_is_named_without_a_class_of_ours(ymera: CommandLine) -> None:
    ymera("mcp", "add", "absent", "--", "no-such-program-at-all")
    result = ymera("mcp", "tools", "absent")
    assert result.code == 1
    assert "no program 'no-such-program-at-all'" in result.err
    assert "MachineError" not in result.err
