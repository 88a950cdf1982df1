"""What a newcomer sees: a real model on this machine answers, at no cost, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.support.command_line import run_process
from tests.support.server import RunningServer, serving


@pytest.fixture(autouse=True)
def real_model(small_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(small_model_dir))


@pytest.mark.proves("cli.hello-world", "cli.local-model-hint", "local.answers", "cli.streams-apart")
def test_a_hello_world_function_is_written_and_the_model_is_named() -> None:
    done = run_process("--traceback", "Create a Python hello world function", "--explain")
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, err
    assert "def " in out
    assert "Answered by local/smollm2-135m" in err
    assert "cost $0." in err
    hint = err.splitlines()[-1]
    assert hint.startswith("local/smollm2-135m is a 98 MB model on this machine.")
    assert "ymera models pull qwen2.5-coder-0.5b" in hint
    assert "GROQ_API_KEY" in hint


@pytest.mark.proves("cli.models", "pull.idempotent")
def test_pulling_the_model_again_fetches_nothing() -> None:
    done = run_process("models", "pull")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"on this machine already" in done.stderr


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with serving({}) as running:
        yield running


@pytest.mark.proves("server.openai-sdk")
def test_the_official_sdk_talks_with_the_embedded_model(server: RunningServer) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        plain = client.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": "Write a Python hello world function"}],
            max_tokens=60,
        )
        assert plain.model == "local/smollm2-135m"
        assert "def" in (plain.choices[0].message.content or "")
        assert plain.usage is not None
        assert plain.usage.completion_tokens > 5
        stream = client.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": "Write a Python hello world function"}],
            max_tokens=60,
            stream=True,
            extra_headers={"cache-control": "no-cache"},
        )
        pieces = [c.choices[0].delta.content or "" for c in stream if c.choices]
        assert "".join(pieces) == plain.choices[0].message.content
        assert len(pieces) > 10
    assert server.stop() == 0
