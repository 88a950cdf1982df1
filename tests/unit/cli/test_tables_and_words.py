"""What people read: tables, numbers with nouns, and scores as sums."""

from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine
from tests.support.routing import model, task
from ymera.cli import output
from ymera.cli.explain import plan_lines
from ymera.core.route import Candidate, Exclusion, ExclusionReason, RoutePlan, RoutePolicy

HEADER = ("MODEL", "STATE")
ROWS = [("a/b", "ready"), ("c/dd", "No key for C: set C_KEY, or name another model.")]


def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> list[str]:
    monkeypatch.setattr(output, "stdout_is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    output.echo_table(HEADER, ROWS)
    return capsys.readouterr().out.splitlines()


@pytest.mark.proves("cli.narrow")
def test_a_last_cell_that_does_not_fit_goes_on_below_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(capsys, monkeypatch, 30)
    assert lines == [
        "MODEL  STATE",
        "a/b    ready",
        "c/dd   No key for C: set",
        "       C_KEY, or name another",
        "       model.",
    ]
    assert printed(capsys, monkeypatch, 80)[2:] == [f"c/dd   {ROWS[1][1]}"]
    assert printed(capsys, monkeypatch, 20)[2:] == [f"c/dd   {ROWS[1][1]}"]  # no room to wrap in


@pytest.mark.proves("cli.narrow")
def test_into_a_pipe_every_row_is_one_line_without_a_header(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    output.echo_table(HEADER, ROWS)
    assert capsys.readouterr().out.splitlines() == ["a/b   ready", f"c/dd  {ROWS[1][1]}"]
    output.echo_table(HEADER, [])
    assert capsys.readouterr().out == ""


@pytest.mark.proves("cli.explain")
def test_a_plan_shows_what_lowers_a_score_as_a_difference_and_exclusions_in_words() -> None:
    plan = RoutePlan(
        profile=task(),
        policy=RoutePolicy(),
        candidates=(
            Candidate(
                model=model("a/b"),
                score=0.5,
                terms={"quality": 0.6, "experience": -0.1},
                reason="Best.",
            ),
        ),
        exclusions=(Exclusion(model_id="c/d", reason=ExclusionReason.NO_KEY, detail="No key."),),
    )
    _, candidate, left_out = plan_lines(plan)
    assert "score 0.500 = 0.600 quality - 0.100 experience" in candidate
    assert left_out == "Left out: 1 without a key."


@pytest.mark.proves("cli.connect")
def test_connect_alone_names_the_clients(bare: CommandLine) -> None:
    result = bare("connect")
    assert result.code == 2
    assert "Missing argument 'CLIENT'. Choose from: claude-code, codex, aider" in result.err


@pytest.mark.proves("cli.keys")
def test_no_provider_is_guessed_from_a_name_that_is_like_none(bare: CommandLine) -> None:
    assert "`ymera keys list --all` names all." in bare("keys", "set", "nope").err
    assert "Did you mean 'mistral'?" in bare("keys", "set", "mistrall").err
