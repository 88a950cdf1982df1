"""`ymera ask` and `ymera chat` over the scripted double."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.support.command_line import CommandLine, Result, run_process
from ymera.cli.main import main
from ymera.testing import Simulator


@pytest.mark.proves("cli.ask", "cli.streams-apart")
def test_a_question_is_answered_on_stdout_and_nothing_else_is(ymera: CommandLine) -> None:
    assert ymera("Say hello") == Result(0, "You asked: Say hello\n", "")
    assert ymera("ask", "Say hello") == Result(0, "You asked: Say hello\n", "")


@pytest.mark.proves("cli.ask")
def test_stdin_is_appended_to_the_prompt(ymera: CommandLine) -> None:
    assert ymera("Sum up", stdin=b"a\nb\n").out == "You asked: Sum up\n\na\nb\n"
    assert ymera("ask", stdin=b"only stdin").out == "You asked: only stdin\n"


@pytest.mark.proves("cli.ask")
def test_streaming_prints_the_same_answer(ymera: CommandLine) -> None:
    assert ymera("Say hello", "--stream").out == ymera("Say hello", "--no-stream").out


@pytest.mark.proves("cli.explain")
@pytest.mark.parametrize("how", ["--stream", "--no-stream"])
def test_explain_says_which_model_why_and_what_it_cost(ymera: CommandLine, how: str) -> None:
    result = ymera("Say hello", "--explain", how)
    assert result.out == "You asked: Say hello\n"
    assert "1. stage/actor" in result.err
    assert "Left out:" in result.err
    assert "Answered by stage/actor" in result.err
    assert "cost $0" in result.err


@pytest.mark.proves("cli.explain")
def test_explain_shows_the_decision_and_not_what_its_own_answer_has_taught(
    ymera: CommandLine,
) -> None:
    before = ymera("route", "Say hello").out.splitlines()[1]
    told = ymera("Say hello", "--explain").err.splitlines()
    assert before in told
    assert ymera("route", "Say hello").out.splitlines()[1] != before  # it has learned by now


@pytest.mark.proves("cli.json")
def test_json_holds_answer_model_cost_and_route(ymera: CommandLine) -> None:
    result = ymera("Say hello", "--json", "--task-type", "chat", "--complexity", "simple")
    found = msgspec.json.decode(result.out)
    assert found.pop("latency_s") >= 0
    assert found.pop("request_id").startswith("req_")
    route = found.pop("route")
    assert [each["model"] for each in route["candidates"]] == ["stage/actor"]
    assert (route["task"]["type"], route["task"]["complexity"]) == ("chat", "simple")
    assert found == {
        "answer": "You asked: Say hello",
        "model": "stage/actor",
        "provider": "stage",
        "cost_usd": "0",
        "usage": {
            "input_tokens": 2,
            "output_tokens": 4,
            "cached_tokens": 0,
            "reasoning_tokens": 0,
        },
        "tools": [],
        "context": [],
    }


@pytest.mark.proves("cli.empty-prompt", "cli.exit-codes")
@pytest.mark.parametrize("prompt", [[], [""], ["  \n"]])
def test_an_empty_prompt_is_a_usage_error(ymera: CommandLine, prompt: list[str]) -> None:
    result = ymera("ask", *prompt)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Error: The prompt is empty.\n  ")


@pytest.mark.proves("cli.invalid-utf8")
def test_text_on_stdin_that_is_not_utf8_is_a_usage_error(ymera: CommandLine) -> None:
    result = ymera("ask", stdin=b"caf\xe9")
    assert (result.code, result.out) == (2, "")
    assert "UTF-8" in result.err


@pytest.mark.proves("cli.invalid-utf8")
def test_an_argument_that_is_not_utf8_is_a_usage_error() -> None:
    done = run_process("ask", b"caf\xe9")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.proves("engine.size-limit", "cli.exit-codes")
def test_a_prompt_over_the_limit_is_refused_at_once(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_SECURITY__MAX_INPUT_LENGTH", "10")
    for result in (ymera("ask", "x" * 11), ymera("ask", stdin=b"x" * 1000)):
        assert (result.code, result.out) == (2, "")
        assert "10" in result.err
        assert "max_input_length" in result.err


@pytest.mark.proves("cli.unknown-model")
def test_an_unknown_model_names_the_nearest(ymera: CommandLine) -> None:
    result = ymera("hi", "--model", "gemini-3.8-flahs")
    assert (result.code, result.out) == (2, "")
    assert "gemini-3.8-flash" in result.err
    assert "'fast'" in ymera("hi", "--model", "fasst").err


@pytest.mark.proves("cli.json")
def test_with_json_a_failure_is_json_on_stderr(ymera: CommandLine) -> None:
    result = ymera("hi", "--json", "--model", "nope")
    error = msgspec.json.decode(result.err)["error"]
    assert (result.code, result.out) == (2, "")
    assert error["code"] == "model_not_found"
    assert error["request_id"].startswith("req_")
    assert error["hint"]


@pytest.mark.proves("cli.no-model", "cli.exit-codes")
def test_without_model_and_key_the_error_names_both_ways_out(bare: CommandLine) -> None:
    result = bare("hello there")
    assert (result.code, result.out) == (5, "")
    assert "ymera models pull" in result.err
    assert "_KEY" in result.err
    assert len(result.err.splitlines()) == 2


@pytest.mark.proves("cli.exit-codes")
async def test_a_refused_key_is_exit_code_4(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Simulator(keys=frozenset({"another"})) as simulator:
        for name, value in {
            "YMERA_LOCAL__ENABLED": "false",
            "YMERA_PROVIDERS__MINE__BASE_URL": simulator.base_url,
            "YMERA_PROVIDERS__MINE__KEY_ENV": "MINE_KEY",
            "YMERA_PROVIDERS__MINE__MODELS": '["sim-small"]',
            "YMERA_PROVIDERS__MINE__FREE": "true",
            "MINE_KEY": "sk-refused",
        }.items():
            monkeypatch.setenv(name, value)
        done = await asyncio.to_thread(run_process, "ask", "hi")
    assert (done.returncode, done.stdout) == (4, b"")
    message, hint = done.stderr.decode().splitlines()
    assert "401" in message
    assert hint
    assert b"sk-refused" not in done.stderr


@pytest.mark.proves("data.unwritable", "cli.exit-codes")
def test_a_file_in_place_of_the_data_directory_is_exit_code_1(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("YMERA_DATA_DIR", str(tmp_path / "taken"))
    result = ymera("hi")
    assert (result.code, result.out) == (1, "")
    assert "a file is in the way" in result.err
    assert "YMERA_DATA_DIR" in result.err


@pytest.mark.proves("config.broken-file", "cli.exit-codes")
def test_a_broken_configuration_file_is_exit_code_2(
    ymera: CommandLine, clean_environment: Path
) -> None:
    (clean_environment / "ymera.toml").write_text("[models\n")
    result = ymera("hi")
    assert (result.code, result.out) == (2, "")
    assert "ymera.toml" in result.err
    assert "line 1" in result.err


def test_a_bug_is_one_line_without_a_traceback(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ymera.app import App

    def broken(**_: object) -> App:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(App, "create", broken)
    result = ymera("hi")
    assert result.code == 1
    assert result.err.splitlines()[0] == "Error: Ymera met a bug: ZeroDivisionError: oh"
    with pytest.raises(ZeroDivisionError):
        main(["--traceback", "hi"])
    with pytest.raises(ZeroDivisionError):
        main(["--traceback", "ask", "hi"])


@pytest.mark.proves("cli.chat")
def test_a_conversation_goes_on_until_its_end(ymera: CommandLine) -> None:
    result = ymera("chat", "--system", "Be brief.", stdin=b"one\n\ntwo\n/exit\nthree\n")
    assert result == Result(0, "You asked: one\nYou asked: two\n", "")


@pytest.mark.proves("cli.chat")
def test_a_turn_knows_the_turns_before_it(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ymera.app import App
    from ymera.testing.scripted import ScriptedProvider

    provider = ScriptedProvider()
    create = App.create
    monkeypatch.setattr(App, "create", lambda: create(providers={"stage": provider}))
    ymera("chat", "--system", "Be brief.", stdin=b"one\ntwo\n")
    turns = [[(m.role.value, m.text) for m in request.messages] for request in provider.requests]
    first = [("system", "Be brief."), ("user", "one")]
    assert turns == [first, [*first, ("assistant", "You asked: one"), ("user", "two")]]


@pytest.mark.proves("cli.chat", "cli.invalid-utf8")
def test_a_conversation_that_is_not_utf8_is_a_usage_error(ymera: CommandLine) -> None:
    result = ymera("chat", stdin=b"one\ncaf\xe9\n")
    assert (result.code, result.out) == (2, "You asked: one\n")
    assert "The text on stdin is not valid UTF-8." in result.err


@pytest.mark.proves("cli.chat", "engine.size-limit")
def test_an_endless_line_of_a_conversation_is_refused_before_it_is_read(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_SECURITY__MAX_INPUT_LENGTH", "10")
    result = ymera("chat", stdin=b"x" * 1000)
    assert (result.code, result.out) == (2, "")
    assert "The text on stdin is over the limit of 10 characters." in result.err
