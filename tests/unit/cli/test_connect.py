"""`ymera connect`: what other programs are told, printed and written."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support.command_line import CommandLine
from ymera.cli.clients.table import CLIENTS
from ymera.routing.policies import ALIASES

URL = "http://127.0.0.1:8080"
CODEX = """\
# mine
model = "gpt-5" # the old one
approval_policy = "never"

# servers
[mcp_servers.files]
command = "files"
"""
SETTINGS = '{\n\t"theme": "dark",\n\t"env": {"KEEP": "1"},\n\t"hooks": {"a": [ 1,2 ]}\n}\n'
AIDER = "# mine\nmodel: gpt-4o  # the old one\nread:\n  - notes.md\nauto-commits: false\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the user a home of this test's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.proves("cli.connect")
@pytest.mark.parametrize("client", CLIENTS)
def test_it_prints_what_to_put_where_and_writes_nothing(
    bare: CommandLine, home: Path, client: str
) -> None:
    result = bare("connect", client)
    assert result.code == 0
    assert URL in result.out
    assert "Into /" in result.err
    assert not home.exists()
    told = json.loads(bare("connect", client, "--json").out)
    assert told["client"] == client
    assert told["url"] == URL
    assert not told["written"]
    assert not told["up_to_date"]
    assert told["model"] in ALIASES
    assert told["file"] in result.err


@pytest.mark.proves("cli.connect")
@pytest.mark.parametrize("client", CLIENTS)
def test_a_second_run_changes_nothing(bare: CommandLine, client: str) -> None:
    first = json.loads(bare("connect", client, "--write", "--json").out)
    path = Path(first["file"])
    written = path.read_bytes()
    assert first["written"]
    assert first["backup"] is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = bare("connect", client, "--write")
    assert second.code == 0
    assert "nothing was changed" in second.err
    assert path.read_bytes() == written
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.proves("cli.connect")
def test_claude_code_gets_its_variables_and_keeps_its_settings(
    bare: CommandLine, home: Path
) -> None:
    path = put(home / ".claude" / "settings.json", SETTINGS)
    path.chmod(0o640)
    result = bare("connect", "claude-code", "--write")
    assert result.code == 0
    settings = json.loads(path.read_text())
    assert settings["theme"] == "dark"
    assert settings["env"]["KEEP"] == "1"
    assert settings["env"]["ANTHROPIC_BASE_URL"] == URL
    assert settings["env"]["ANTHROPIC_MODEL"] == "auto"
    assert '\t"hooks": {"a": [ 1,2 ]}' in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    backup = path.with_name("settings.json.before-ymera")
    assert backup.read_text() == SETTINGS
    assert str(backup) in result.err


@pytest.mark.proves("cli.connect")
def test_codex_gets_a_provider_and_keeps_comments_and_tables(bare: CommandLine, home: Path) -> None:
    path = put(home / ".codex" / "config.toml", CODEX)
    assert bare("connect", "codex", "--write").code == 0
    text = path.read_text()
    found = tomllib.loads(text)
    assert (found["model"], found["model_provider"]) == ("auto", "ymera")
    assert found["model_providers"]["ymera"] == {
        "name": "Ymera",
        "base_url": f"{URL}/v1",
        "wire_api": "responses",
    }
    assert found["approval_policy"] == "never"
    assert found["mcp_servers"] == {"files": {"command": "files"}}
    for kept in (
        "# mine\n",
        'model = "auto" # the old one\n',
        "\n# servers\n[mcp_servers.files]\n",
    ):
        assert kept in text


@pytest.mark.proves("cli.connect")
def test_aider_gets_its_lines_and_keeps_the_others(bare: CommandLine, home: Path) -> None:
    path = put(home / ".aider.conf.yml", AIDER)
    assert bare("connect", "aider", "--write").code == 0
    found = yaml.safe_load(path.read_text())
    assert found == {
        "model": "openai/auto",
        "read": ["notes.md"],
        "auto-commits": False,
        "openai-api-base": f"{URL}/v1",
        "openai-api-key": "ymera",
        "weak-model": "openai/fast",
        "show-model-warnings": False,
    }
    assert path.read_text().startswith("# mine\nmodel: openai/auto  # the old one\n")


@pytest.mark.proves("cli.connect")
def test_another_address_takes_the_place_of_the_old_one(bare: CommandLine, home: Path) -> None:
    bare("connect", "codex", "--write")
    bare("connect", "codex", "--write", "--url", "https://box.example:9000/v1/")
    path = home / ".codex" / "config.toml"
    provider = tomllib.loads(path.read_text())["model_providers"]["ymera"]
    assert provider["base_url"] == "https://box.example:9000/v1"
    assert path.read_text().count("[model_providers.ymera]") == 1
    bare("connect", "codex", "--write", "--url", "http://127.0.0.1:1")
    names = sorted(each.name for each in path.parent.iterdir())
    assert names == [
        "config.toml",
        "config.toml.before-ymera",
        "config.toml.before-ymera.2",
    ]


@pytest.mark.proves("cli.connect")
def test_the_configured_address_is_taken(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_SERVER__PORT", "9191")
    assert "http://127.0.0.1:9191/v1" in bare("connect", "aider").out


@pytest.mark.proves("cli.connect")
def test_variables_that_move_a_clients_folder_are_followed(
    bare: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "elsewhere"))
    told = json.loads(bare("connect", "codex", "--write", "--json").out)
    assert told["file"] == str(tmp_path / "elsewhere" / "config.toml")
    assert Path(told["file"]).is_file()


@pytest.mark.proves("cli.connect-refusals")
@pytest.mark.parametrize(
    ("client", "name", "text"),
    [
        ("claude-code", ".claude/settings.json", '{"env": {},}'),
        ("claude-code", ".claude/settings.json", '{\n// a comment\n"env": {}}'),
        ("claude-code", ".claude/settings.json", '{"a": 1, "a": 2}'),
        ("claude-code", ".claude/settings.json", '{"env": "none"}'),
        ("claude-code", ".claude/settings.json", "[]"),
        ("codex", ".codex/config.toml", "model = "),
        ("codex", ".codex/config.toml", "model_providers = {}\n"),
        ("codex", ".codex/config.toml", 'a = """\nmodel = "x"\n"""\nmodel = "y"\n'),
        ("aider", ".aider.conf.yml", "model: |\n  gpt\n"),
        ("aider", ".aider.conf.yml", "{model: gpt}\n"),
        ("aider", ".aider.conf.yml", "model: a\nmodel: b\n"),
    ],
)
def test_a_file_that_cannot_be_edited_is_left_as_it_is(
    bare: CommandLine, home: Path, client: str, name: str, text: str
) -> None:
    path = put(home / name, text)
    result = bare("connect", client, "--write")
    assert result.code == 2
    assert str(path) in result.err
    assert path.read_text() == text
    assert [each.name for each in path.parent.iterdir() if each.is_file()] == [path.name]
    assert bare("connect", client).code == 0  # what to put there can still be told


@pytest.mark.proves("cli.connect-refusals")
def test_a_file_that_is_no_text_or_no_file_is_told(bare: CommandLine, home: Path) -> None:
    path = put(home / ".codex" / "config.toml", "")
    path.write_bytes(b'model = "\xff"')
    result = bare("connect", "codex", "--write")
    assert result.code == 2
    assert "UTF-8" in result.err
    (home / ".claude" / "settings.json").mkdir(parents=True)
    result = bare("connect", "claude-code", "--write")
    assert result.code == 2
    assert "settings.json" in result.err


@pytest.mark.proves("cli.connect-refusals")
def test_a_folder_that_cannot_be_written_leaves_the_file(
    bare: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(home / ".codex" / "config.toml", CODEX)

    def refuse(*_args: Any, **_more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    result = bare("connect", "codex", "--write")
    assert result.code == 1
    assert "No space left" in result.err
    assert path.read_text() == CODEX
    assert [each.name for each in path.parent.iterdir()] == ["config.toml"]


@pytest.mark.proves("cli.connect-refusals")
@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8080", "http://user:secret@host", "http://host/path", "http://h:99999", "ftp://h"],
)
def test_an_address_that_is_none_or_carries_a_password_is_refused(
    bare: CommandLine, home: Path, url: str
) -> None:
    result = bare("connect", "codex", "--write", "--url", url)
    assert result.code == 2
    assert "secret" not in result.err
    assert not home.exists()


@pytest.mark.proves("cli.connect")
def test_a_link_stays_a_link(bare: CommandLine, home: Path, tmp_path: Path) -> None:
    real = put(tmp_path / "dotfiles" / "config.toml", CODEX)
    link = home / ".codex" / "config.toml"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    assert bare("connect", "codex", "--write").code == 0
    assert link.is_symlink()
    assert "[model_providers.ymera]" in real.read_text()


@pytest.mark.proves("cli.connect")
def test_no_secret_of_the_environment_is_written(
    bare: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "sk-very-secret-0123456789")
    for client in CLIENTS:
        told = json.loads(bare("connect", client, "--write", "--json").out)
        assert "very-secret" not in Path(told["file"]).read_text()
        assert "very-secret" not in json.dumps(told)
