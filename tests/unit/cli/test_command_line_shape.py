"""What is a command, what is a prompt, what is a typing error."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from ymera.cli import main as cli


def run(*args: str) -> tuple[int, str, str]:
    """Run in this process: only for what needs neither model nor files."""
    runner = CliRunner()
    with runner.isolation() as (out, err, _):
        with pytest.raises(SystemExit) as stopped:
            cli.main(args)
        code = stopped.value.code
        return int(code or 0), out.getvalue().decode(), err.getvalue().decode()


@pytest.mark.proves("cli.help-groups")
def test_help_shows_the_commands_in_their_groups() -> None:
    code, out, _ = run("--help")
    assert code == 0
    positions = [out.index(word) for word in ("Everyday:", "ask", "serve", "Operate:", "doctor")]
    assert positions == sorted(positions)
    assert "Evaluate:" in out


@pytest.mark.proves("cli.version")
def test_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert run("--version") == (0, f"ymera, version {version('ymera')}\n", "")


@pytest.mark.proves("cli.mistyped-command", "cli.exit-codes")
@pytest.mark.parametrize(
    ("typed", "meant"), [("modles", "models"), ("serv", "serve"), ("Doctr", "doctor")]
)
def test_a_mistyped_command_is_an_error_with_a_suggestion(typed: str, meant: str) -> None:
    code, out, err = run(typed)
    assert (code, out) == (2, "")
    assert repr(meant) in err
    assert err.endswith("  See: ymera --help\n")
    assert "Traceback" not in err


@pytest.mark.proves("cli.mistyped-command")
def test_a_mistyped_command_with_arguments_is_an_error_too() -> None:
    code, out, err = run("modles", "list", "--json")
    assert (code, out) == (2, "")
    assert "'models'" in err


def test_an_unquoted_prompt_is_shown_how_to_quote() -> None:
    code, out, err = run("tell", "me", "more")
    assert (code, out) == (2, "")
    assert 'ymera "tell me more"' in err


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["hi"], ["ask", "hi"]),
        (["What is serve?"], ["ask", "What is serve?"]),
        (["--model", "fast", "hi"], ["ask", "--model", "fast", "hi"]),
        (["--traceback", "hi"], ["--traceback", "ask", "hi"]),
        (["models"], ["models"]),
        (["models", "list"], ["models", "list"]),
        (["--traceback", "models"], ["--traceback", "models"]),
        (["--version"], ["--version"]),
        ([], []),
    ],
)
@pytest.mark.proves("cli.ask")
def test_anything_that_is_no_command_is_a_prompt(args: list[str], expected: list[str]) -> None:
    assert cli._with_default_command(args) == expected


@pytest.mark.proves("cli.unknown-task-type")
def test_an_unknown_task_type_lists_the_valid_ones() -> None:
    code, out, err = run("ask", "hi", "--task-type", "poetry")
    assert (code, out) == (2, "")
    assert "'poetry'" in err
    assert "code_generation" in err


@pytest.mark.proves("cli.json")
def test_with_json_a_usage_error_is_json_on_stderr() -> None:
    import msgspec

    code, out, err = run("ask", "hi", "--json", "--complexity", "very")
    assert (code, out) == (2, "")
    error = msgspec.json.decode(err)["error"]
    assert error["code"] == "usage"
    assert "'very'" in error["message"]
