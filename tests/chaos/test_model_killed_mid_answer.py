"""The native process dies in the middle of an answer: that answer ends, the server does not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.support.server import RunningServer, serving

pytestmark = [pytest.mark.chaos, pytest.mark.proves("local.crash-isolated", "server.error-dialect")]


@pytest.fixture
def server(small_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(small_model_dir))
    with serving({}) as running:
        yield running


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in found]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find the child")
def test_a_killed_model_ends_one_answer_with_an_error_and_the_next_one_works(
    server: RunningServer,
) -> None:
    ask = {
        "model": "auto",
        "messages": [{"role": "user", "content": "Count from one to five hundred."}],
        "stream": True,
    }
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        stream = client.chat.completions.create(**ask, max_tokens=1500)  # type: ignore[call-overload]
        next(stream)
        (child,) = children_of(server.process.pid)
        os.kill(child, signal.SIGKILL)
        with pytest.raises(openai.APIError, match="stopped in the middle"):
            for _ in stream:
                pass
        again = client.chat.completions.create(**ask, max_tokens=8)  # type: ignore[call-overload]
        assert list(again)[-1].choices[0].finish_reason == "length"
        (new_child,) = children_of(server.process.pid)
    assert new_child != child
    assert server.process.poll() is None
    assert server.stop(signal.SIGTERM) == 0
    assert not Path(f"/proc/{new_child}").exists()
    assert "Traceback" not in "".join(server.lines)
