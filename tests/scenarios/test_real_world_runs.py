"""Tasks that take several phases, the way people give them: command line, server, own agents."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from tests.support.actors import capable
from tests.support.command_line import run_process
from tests.support.hosted import hosting, say
from tests.support.mcp_config import user_file
from tests.support.scenario import records, run_python, set_environment
from tests.support.server import serving
from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest, prompt_text

pytestmark = pytest.mark.proves("document.real-world")

MODELS = '["qwen3-coder-480b-a35b", "llama-3.2-1b-instruct"]'
REST = ("run", "--agent", "coding_agent", "Create a REST API", "-p", "language=python")


def run_id_in(stderr: bytes) -> str:
    """Return the id of the run that a command tells of."""
    found = re.search(rb"run_[0-9a-f]+", stderr)
    assert found, stderr.decode()
    return found[0].decode()


def ymera_json(*args: str) -> dict[str, object]:
    """Return what a reading command prints as JSON."""
    done = run_process(*args, "--json")
    assert done.returncode == 0, done.stderr.decode()
    decoded: dict[str, object] = json.loads(done.stdout)
    return decoded


@pytest.mark.proves("document.workflows", "document.scenario-phases")
def test_a_task_in_phases_prints_the_program_and_shows_what_each_phase_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hosting(capable) as host:
        set_environment(monkeypatch, host.only("stage", MODELS))
        done = run_process(*REST)
    assert done.returncode == 0, done.stderr.decode()
    tried = done.stdout.decode() + "print(read_book(create_book('Emma')))\n"
    assert run_python(tried) == "Emma\n"
    told = done.stderr.decode()
    assert "plan: started" in told
    assert "generate: done (stage/qwen3-coder-480b-a35b" in told
    shown = ymera_json("runs", "show", run_id_in(done.stderr))
    assert shown["state"] == "done"
    phases = shown["phases"]
    assert isinstance(phases, dict)
    for name in ("plan", "generate", "review"):
        phase = phases[name]
        assert phase["model"]
        assert phase["reason"]
        assert phase["spend"]["tokens"] > 0
        assert phase["spend"]["seconds"] > 0
        assert phase["spend"]["usd"] == "0"
    table = run_process("runs", "show", run_id_in(done.stderr)).stdout.decode()
    assert re.search(r"generate +done +stage/qwen3-coder-480b-a35b +\d+ +[\d.]+ +\$0", table)


@contextmanager
def waiting_generation() -> Iterator[tuple[threading.Event, threading.Event, list[str]]]:
    """Yield: the generation was asked for; it may answer; every prompt that came in."""
    asked, may_answer, prompts = threading.Event(), threading.Event(), list[str]()
    yield asked, may_answer, prompts
    may_answer.set()


def test_an_interrupted_task_is_carried_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with waiting_generation() as (asked, may_answer, prompts):

        def slow(request: ChatRequest) -> ChatAnswer:
            prompts.append(prompt_text(request))
            if "whole program" in prompts[-1]:
                asked.set()
                may_answer.wait(60)
            return capable(request)

        with hosting(slow) as host:
            set_environment(monkeypatch, host.only("stage", MODELS))
            process = subprocess.Popen(
                [sys.executable, "-m", "ymera", *REST],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            assert asked.wait(60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            may_answer.set()
            assert (process.returncode, out) == (130, b"")
            assert b"runs resume" in err
            assert b"Traceback" not in err
            before = list(prompts)
            resumed = run_process("runs", "resume", run_id_in(err))
    assert resumed.returncode == 0, resumed.stderr.decode()
    assert ast.parse(resumed.stdout.decode()).body
    again = prompts[len(before) :]
    assert again
    assert not any("short plan" in prompt for prompt in again)  # what was done is kept
    assert any("whole program" in prompt for prompt in again)


def test_an_agent_answers_by_its_name_like_a_model() -> None:
    with (
        hosting(capable) as host,
        serving(host.only("stage", MODELS)) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        assert "coding_agent" in [model.id for model in client.models.list()]
        question: list[openai.types.chat.ChatCompletionMessageParam] = [
            {"role": "user", "content": "Create a REST API"}
        ]
        plain = client.chat.completions.create(
            model="coding_agent", messages=question, metadata={"language": "python"}
        )
        assert ast.parse(plain.choices[0].message.content or "").body
        assert plain.usage is not None
        assert plain.usage.completion_tokens > 34  # of all phases, not of one
        stream = client.chat.completions.create(
            model="coding_agent", messages=question, stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert ast.parse(text).body
        with pytest.raises(openai.BadRequestError, match="lanugage"):
            client.chat.completions.create(
                model="coding_agent", messages=question, metadata={"lanugage": "python"}
            )
        with pytest.raises(openai.NotFoundError, match="coding_agnet"):
            client.chat.completions.create(model="coding_agnet", messages=question)
        assert server.stop() == 0


HAIKU = """\
description = "Writes a poem and counts its lines."

[parameters.season]
required = true

[single]
task_type = "text_generation"
prompt = "A poem about {{ task }} in {{ parameters.season }}."

[[phases]]
name = "images"
task_type = "text_generation"
prompt = "Three images for {{ task }} in {{ parameters.season }}."

[[phases]]
name = "poem"
task_type = "text_generation"
after = ["images"]
prompt = "Write a poem from these images: {{ artefacts.images }}"
"""


def own_agent(name: str, toml: str) -> Path:
    """Write an agent into the user's configuration directory."""
    path = user_file().parent / "agents" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(toml, encoding="utf-8")
    return path


def _poet(request: ChatRequest) -> ChatAnswer:
    if "Three images" in prompt_text(request):
        return say("A heron, a bridge, the first snow.")
    return say("On the bridge a heron,\nwaiting for nobody.")


def test_an_agent_of_ones_own_needs_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    own_agent("haiku_agent", HAIKU)
    with hosting(_poet) as host:
        set_environment(monkeypatch, host.only("stage", MODELS))
        done = run_process(
            "run", "-a", "haiku_agent", "a pond", "-p", "season=winter", "--strategy", "multi_model"
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.decode() == "On the bridge a heron,\nwaiting for nobody.\n"
        prompts = [prompt_text(request) for request in host.asked]
        assert prompts[0] == "Three images for a pond in winter."
        assert "the first snow" in prompts[1]
        missing = run_process("run", "-a", "haiku_agent", "a pond")
        assert missing.returncode == 2
        assert b"season" in missing.stderr
        assert len(host.asked) == 2


def test_a_mistake_in_ones_own_agent_is_named_with_file_line_and_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = HAIKU.replace('after = ["images"]', 'afer = ["images"]')
    path = own_agent("haiku_agent", broken)
    line = broken.splitlines().index('afer = ["images"]') + 1
    with hosting(_poet) as host:
        set_environment(monkeypatch, host.only("stage", MODELS))
        done = run_process("run", "-a", "haiku_agent", "a pond", "-p", "season=winter")
        listed = run_process("agents")
        assert host.asked == []
    assert (done.returncode, done.stdout) == (2, b"")
    told = done.stderr.decode()
    assert path.name in told
    assert f"line {line}" in told
    assert "afer" in told
    assert "after" in told
    assert listed.returncode == 2
    assert b"coding_agent" in listed.stdout  # the others are there all the same


def test_a_diff_on_stdin_is_reviewed_by_an_agent_in_a_script(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    diff = "--- a/pay.py\n+++ b/pay.py\n-    total += price\n+    total = price  # osprey\n"
    with hosting(capable) as host:
        set_environment(monkeypatch, host.only("stage", MODELS))
        done = run_process(
            "run", "-a", "code_review_agent", "Review this change", "--json", stdin=diff.encode()
        )
        assert done.returncode == 0, done.stderr.decode()
        told = [prompt_text(request) for request in host.asked]
    found = json.loads(done.stdout)
    assert (found["state"], found["cost_usd"]) == ("done", "0")
    assert found["successful_phases"] == len(found["phases"]) > 1
    assert any("osprey" in prompt for prompt in told)
    assert {row["agent"] for row in records()} == {"code_review_agent"}


def test_a_task_without_any_model_says_what_to_do() -> None:
    done = run_process(*REST)
    assert (done.returncode, done.stdout) == (1, b"")
    told = done.stderr.decode()
    assert "plan" in told
    assert "ymera models pull" in told
    assert "Traceback" not in told
    (run,) = json.loads(run_process("runs", "--json").stdout)
    assert run["state"] == "failed"
    assert os.fsencode(run["run_id"]) in done.stderr
