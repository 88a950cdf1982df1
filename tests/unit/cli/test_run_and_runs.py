"""`ymera run` and `ymera runs` over the scripted double and an agent of the user's own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from tests.support.command_line import CommandLine, run_on_terminal
from tests.support.runs import POET, give_agent
from tests.support.server import SCRIPTED


@pytest.fixture(autouse=True)
def agents() -> None:
    give_agent(Path(os.environ["XDG_CONFIG_HOME"]))


def run_id_in(text: str) -> str:
    found = re.search(r"run_[0-9a-f]+", text)
    assert found, text
    return found[0]


@pytest.mark.proves("cli.run", "cli.streams-apart")
def test_the_result_goes_to_stdout_and_the_phases_to_stderr(ymera: CommandLine) -> None:
    result = ymera(
        "run", "--agent", "poet", "the sea", "-p", "metre=iambic", "--strategy", "multi_model"
    )
    assert result.code == 0
    assert result.out.startswith("You asked: Polish: ")
    assert "You asked: Plan a iambic poem about the sea" in result.out
    for line in ("run started", "plan: started", "draft: done (stage/actor", "run done"):
        assert line in result.err
    assert "cost $0" in result.err


@pytest.mark.proves("cli.run")
def test_json_holds_the_whole_run(ymera: CommandLine) -> None:
    result = ymera("run", "-a", "poet", "the sea", "--strategy", "single_model", "--json")
    found = msgspec.json.decode(result.out)
    assert (found["state"], found["strategy_type"], found["cost_usd"]) == (
        "done",
        "single_model",
        "0",
    )
    assert found["result"] == "You asked: One poem about the sea"
    assert [each["state"] for each in found["phases"].values()] == ["done"]


@pytest.mark.proves("cli.run")
def test_a_failed_phase_is_named_and_the_exit_code_is_1(ymera: CommandLine) -> None:
    give_agent(
        Path(os.environ["XDG_CONFIG_HOME"]),
        text=POET.replace(
            "retries = 0", 'retries = 0\noutput = { kind = "code", language = "python" }'
        ),
    )
    result = ymera("run", "-a", "poet", "the sea", "--strategy", "multi_model")
    assert result.code == 1
    assert result.out == "You asked: Plan a free poem about the sea\n"
    assert "'draft' failed" in result.err
    assert "ymera runs resume run_" in result.err


@pytest.mark.proves("cli.run")
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-a", "nobody", "x"], "nobody"),
        (["-a", "poet", "x", "-p", "metre"], "NAME=VALUE"),
        (["-a", "poet", "x", "-p", "metre=a", "-p", "metre=b"], "twice"),
        (["-a", "poet", "x", "-p", "rhyme=yes"], "rhyme"),
        (["-a", "poet", "   "], "empty"),
        (["-a", "poet", "x", "--max-calls", "0"], "calls"),
        (["-a", "poet", "x", "--max-calls", "2", "--strategy", "multi_model"], "calls"),
        (["-a", "poet", "x", "--max-usd", "much"], "money"),
        (["-a", "poet", "x", "y"], "one argument"),
    ],
)
def test_what_cannot_be_begun_is_refused_before_any_call(
    ymera: CommandLine, args: list[str], words: str
) -> None:
    result = ymera("run", *args)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert ymera("runs", "--json").out == "[]\n"


@pytest.mark.proves("cli.runs")
def test_runs_are_listed_shown_resumed_and_removed(ymera: CommandLine) -> None:
    assert ymera("runs").err.startswith("No runs yet")
    run_id = run_id_in(ymera("run", "-a", "poet", "the sea", "--strategy", "multi_model").err)
    assert run_id in ymera("runs", "list").out
    assert msgspec.json.decode(ymera("runs", "--json").out)[0]["run_id"] == run_id

    shown = ymera("runs", "show", run_id).out
    assert re.search(r"draft +done +stage/actor +\d+ +\d+\.\d +\$0", shown)
    assert "why: " in shown
    whole = msgspec.json.decode(ymera("runs", "show", run_id, "--json").out)
    assert list(whole["phases"]) == ["plan", "draft", "polish"]

    again = ymera("runs", "resume", run_id, "--from", "polish")
    assert again.code == 0
    assert "kept: plan, draft" in again.err
    assert "plan: started" not in again.err
    assert ymera("runs", "resume", run_id).code == 2
    assert ymera("runs", "cancel", run_id).err == f"The run {run_id} is done.\n"

    assert ymera("runs", "remove", run_id).code == 0
    gone = ymera("runs", "show", run_id)
    assert (gone.code, gone.out) == (2, "")
    assert run_id in gone.err


@pytest.mark.proves("cli.runs", "runs.private")
def test_a_private_run_says_that_nothing_is_kept(ymera: CommandLine) -> None:
    done = ymera("run", "-a", "poet", "the sea", "--private", "--strategy", "single_model")
    assert "cannot be resumed" in done.err
    run_id = run_id_in(done.err)
    assert "kept in memory only" in ymera("runs", "show", run_id).out
    assert "memory only" in ymera("runs", "resume", run_id).err


def test_a_terminal_sees_a_table_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SCRIPTED, "TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    written = run_on_terminal("run", "-a", "poet", "the sea", "--strategy", "multi_model").decode()
    assert "\x1b[" in written
    assert "polish" in written
    assert "You asked: Polish" in written


@pytest.mark.proves("cli.interrupt", "runs.resume")
def test_ctrl_c_leaves_the_run_and_says_how_to_carry_it_on(ymera: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls and never answers
        host = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ymera",
                "run",
                "-a",
                "poet",
                "the sea",
                "--strategy",
                "multi_model",
            ],
            env={
                **os.environ,
                "YMERA_LOCAL__ENABLED": "false",
                "YMERA_PROVIDERS__STAGE__KIND": "openai-chat",
                "YMERA_PROVIDERS__STAGE__BASE_URL": host,
                "YMERA_PROVIDERS__STAGE__KEYLESS": "true",
                "YMERA_PROVIDERS__STAGE__FREE": "true",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            told = process.stderr.read()
            assert process.wait(30) == 130
            assert process.stdout.read() == ""
        watchdog.cancel()
        connection.close()
    run_id = run_id_in(told)
    assert f"ymera runs resume {run_id}" in told
    assert "Traceback" not in told
    resumed = ymera("runs", "resume", run_id)
    assert resumed.code == 0
    assert resumed.out.startswith("You asked: Polish")


@pytest.mark.proves("cli.run")
@pytest.mark.parametrize("amount", ["nan", "sNaN", "inf", "much"])
def test_what_is_no_amount_of_money_is_no_budget(ymera: CommandLine, amount: str) -> None:
    begun = ymera("run", "-a", "poet", "the sea", "--max-usd", amount)
    assert (begun.code, begun.out) == (2, "")
    assert "no amount of money" in begun.err
    assert ymera("runs", "resume", "run_x", "--max-usd", amount).code == 2


@pytest.mark.proves("cli.run")
def test_a_run_is_not_resumed_with_less_than_nothing(ymera: CommandLine) -> None:
    result = ymera("runs", "resume", "run_x", "--max-usd=-1")
    assert (result.code, result.out) == (2, "")
    assert "at least 0" in result.err


@pytest.mark.proves("cli.runs")
def test_a_list_of_less_than_one_run_is_refused(ymera: CommandLine) -> None:
    result = ymera("runs", "list", "--limit", "-1", "--json")
    assert (result.code, result.out) == (2, "")
