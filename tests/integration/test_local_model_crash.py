"""Children that die, and parents that do."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.support import local_model
from tests.support.weights import weights_of
from ymera.core.answer import TextDelta
from ymera.core.chat import (
    ChatRequest,
    Message,
    Role,
    Sampling,
    TextPart,
)
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Model
from ymera.core.ports import Deadlines
from ymera.providers.local import LocalProvider
from ymera.providers.local_process import LocalProcess
from ymera.providers.local_settings import LocalSettings
from ymera.providers.local_supervisor import LocalSupervisor
from ymera.providers.pull import model_path, pull
from ymera.providers.transport import HttpTransport

SETTINGS = LocalSettings(context_tokens=512, slots=1)
WAIT_S = 60

PARENT = """
import os, sys, time
from pathlib import Path
from ymera.providers.local_process import LocalProcess
from ymera.providers.local_settings import LocalSettings
child = LocalProcess.launch(Path(sys.argv[1]), LocalSettings(context_tokens=256, slots=1))
child.wait_ready()
copy = os.fork() if sys.argv[2] == "fork" else 0
if copy or sys.argv[2] != "fork":
    print(child.pid, copy, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def models_dir() -> Path:
    return local_model.pulled()


@pytest.fixture(scope="module")
def model() -> Model:
    return local_model.model()


def request_to(model: Model, prompt: str, max_tokens: int) -> ChatRequest:
    return ChatRequest(
        model=model.id,
        messages=(Message(role=Role.USER, content=(TextPart(prompt),)),),
        sampling=Sampling(max_tokens=max_tokens),
        stream=True,
    )


async def answer_of(provider: LocalProvider, model: Model) -> str:
    async with asyncio.timeout(WAIT_S):
        stream = provider.stream(request_to(model, "hi", 4), model, Deadlines())
        events = [event async for batch in stream for event in batch]
        return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.proves("local.crash-isolated")
async def test_a_child_killed_mid_answer_ends_that_answer_and_the_next_one_works(
    models_dir: Path, model: Model
) -> None:
    children: list[LocalProcess] = []

    def launch(path: Path, settings: LocalSettings) -> LocalProcess:
        children.append(LocalProcess.launch(path, settings))
        return children[-1]

    transport = HttpTransport()
    supervisor = LocalSupervisor(SETTINGS, launch=launch)
    provider = LocalProvider("local", models_dir, transport, SETTINGS, supervisor=supervisor)

    async def kill_at_the_first_word() -> None:
        request = request_to(model, "Count from 1 to 10000.", 400)
        async with asyncio.timeout(WAIT_S):
            async for _ in provider.stream(request, model, Deadlines()):
                os.kill(children[0].pid, signal.SIGKILL)

    try:
        with pytest.raises(ProviderError, match=r"stopped in the middle.*SIGKILL") as caught:
            await kill_at_the_first_word()
        assert caught.value.kind is ProviderErrorKind.TRANSIENT
        assert caught.value.retryable

        assert await answer_of(provider, model)
        assert len(children) == 2
    finally:
        await provider.close()
        await transport.close()
    assert [child.alive for child in children] == [False, False]


async def test_a_damaged_file_is_a_clear_error_and_soon_is_not_tried_again(
    models_dir: Path, model: Model, tmp_path: Path
) -> None:
    assert model.weights is not None
    with model_path(model.weights, models_dir).open("rb") as file:
        head = file.read(1_000_000)
    damaged = msgspec.structs.replace(model, weights=weights_of(head))
    (tmp_path / "tiny.gguf").write_bytes(head)
    pull(weights_of(head), tmp_path)
    transport = HttpTransport()
    provider = LocalProvider("local", tmp_path, transport, SETTINGS)

    said: list[str] = []
    for _ in range(4):
        with pytest.raises(ProviderError) as caught:
            await answer_of(provider, damaged)
        said.append(caught.value.message)
        assert caught.value.hint
    await provider.close()
    await transport.close()

    assert all("could not be started" in message for message in said[:3])
    assert "failed to load model" in said[0]
    assert "ended 3 times within 60 seconds" in said[3]
    assert not any(str(tmp_path) in message for message in said)


@contextmanager
def a_parent(path: Path, kind: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a process that has a child of ours; yields it and the child's process id."""
    command = [sys.executable, "-c", PARENT, str(path), kind]
    copy = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            child, copy = (int(number) for number in parent.stdout.readline().split())
            yield parent, child
        finally:
            parent.kill()
            if copy:
                os.kill(copy, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watches a process that is not ours")
@pytest.mark.proves("local.on-demand")
@pytest.mark.parametrize("kind", ["plain", "fork"])
def test_a_child_ends_with_its_parent_even_when_that_is_killed(
    models_dir: Path, model: Model, kind: str
) -> None:
    """The second kind forks, so that a copy of the parent holds the child's stdin open."""
    assert model.weights is not None
    with a_parent(model_path(model.weights, models_dir), kind) as (parent, child):
        watched = os.pidfd_open(child)
        try:
            os.kill(parent.pid, signal.SIGKILL)
            ended, _, _ = select.select([watched], [], [], 20)
        finally:
            os.close(watched)

    assert ended, f"process {child} outlived its parent"
