"""The parent's side of a child process, with a child that speaks the protocol and loads nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.providers import local_child, local_process
from ymera.providers.local_process import LocalProcess
from ymera.providers.local_settings import LocalSettings

MODEL = Path("/models/tiny.gguf")
SETTINGS = LocalSettings(context_tokens=512, slots=3, threads=5, unload_after_s=None)
READY = """
    import json, os, sys
    start = json.loads(sys.stdin.readline())
    told = {"start": start, "argv": sys.argv, "environ": dict(os.environ)}
    with open(__file__ + ".told", "w") as file:
        json.dump(told, file)
    print(json.dumps({"url": "http://127.0.0.1:1" + start["prefix"]}), flush=True)
    sys.stdin.read()
"""


class Stub:
    """A stand-in for the child's program."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.launched: list[LocalProcess] = []

    def launch(self, program: str, settings: LocalSettings = SETTINGS) -> LocalProcess:
        self.path.write_text(textwrap.dedent(program), encoding="utf-8")
        process = LocalProcess.launch(MODEL, settings)
        self.launched.append(process)
        process.wait_ready()
        return process


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    path = tmp_path / "child.py"
    monkeypatch.setattr(local_child, "__file__", str(path))
    stub = Stub(path)
    yield stub
    for process in stub.launched:
        process.stop()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_ready_child_has_an_address_and_a_key(stub: Stub) -> None:
    process = stub.launch(READY)

    told = json.loads(Path(f"{stub.path}.told").read_text(encoding="utf-8"))
    start = told["start"]
    assert process.base_url == f"http://127.0.0.1:1{start['prefix']}/v1"
    assert process.key == start["key"]
    assert process.alive
    assert {name: start[name] for name in start if name not in {"key", "prefix"}} == {
        "model_path": "/models/tiny.gguf",
        "name": "tiny",
        "context_tokens": 512,
        "slots": 3,
        "threads": 5,
        "unload_after_s": -1,
    }


@pytest.mark.proves("local.port-locked")
def test_the_key_is_new_each_time_and_neither_argument_nor_environment(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-secret")
    first, second = stub.launch(READY), stub.launch(READY)

    told = json.loads(Path(f"{stub.path}.told").read_text(encoding="utf-8"))
    assert first.key != second.key
    assert len(second.key) >= 32
    assert second.key not in json.dumps([told["argv"], told["environ"]])
    assert "GROQ_API_KEY" not in told["environ"]


@pytest.mark.proves("local.on-demand")
def test_a_stopped_child_is_gone(stub: Stub) -> None:
    process = stub.launch(READY)

    process.stop()

    assert not process.alive
    assert not is_running(process.pid)
    assert process.last_words() == "it ended with exit code 0"
    process.stop()  # again does no harm


def test_a_child_that_does_not_stop_is_killed(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ymera.providers.local_process._STOP_WITHIN_S", 0.1)
    process = stub.launch(READY + "    import time\n    time.sleep(60)\n")

    process.stop()

    assert not is_running(process.pid)


@pytest.mark.proves("local.crash-isolated")
def test_last_words_tell_the_signal_and_the_end_of_stderr_without_paths(stub: Stub) -> None:
    said = "\\n".join(
        ["0.01.2 E early", *["0.01.3 E noise"] * 3, "0.01.4 E failed /models/tiny.gguf"]
    )
    process = stub.launch(
        f"import sys\nprint('{said}', file=sys.stderr)\n" + textwrap.dedent(READY)
    )

    os.kill(process.pid, signal.SIGKILL)

    assert process.wait_gone(10)
    assert process.last_words() == (
        "it was ended by SIGKILL; noise; noise; noise; failed tiny.gguf"
    )


def test_a_flood_on_stderr_is_read_and_bounded(stub: Stub) -> None:
    process = stub.launch(
        "import sys\nsys.stderr.write('x' * 1_000_000)\n" + textwrap.dedent(READY)
    )

    process.stop()

    assert len(process.last_words()) < 9000


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ('print(\'{"error": "no such thing"}\'); raise SystemExit(1)', "no such thing; it ended"),
        (
            "raise SystemExit('bad file')",
            "could not be started: it ended with exit code 1; bad file",
        ),
        ("import os; os.kill(os.getpid(), 11)", "it was ended by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 40)", "it was ended by signal 40"),
    ],
)
def test_a_child_that_fails_to_start_tells_why(stub: Stub, program: str, sentence: str) -> None:
    with pytest.raises(ProviderError, match="'tiny' could not be started") as caught:
        stub.launch(program)

    assert sentence in caught.value.message
    assert caught.value.kind is ProviderErrorKind.TRANSIENT
    assert caught.value.hint


def test_a_child_that_is_silent_is_given_up_and_gone(stub: Stub) -> None:
    program = (
        "import os, time\nopen(__file__ + '.pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )

    with pytest.raises(ProviderError, match=r"was not loaded within 2 seconds") as caught:
        stub.launch(program, LocalSettings(start_timeout_s=2.0))

    assert "local.start_timeout_seconds" in str(caught.value.hint)
    written = Path(f"{stub.path}.pid")
    assert written.exists()
    assert not is_running(int(written.read_text(encoding="ascii")))


@pytest.mark.proves("local.crash-isolated")
@pytest.mark.parametrize(
    "refusal", [OSError(errno.ENOMEM, "Cannot allocate memory"), ValueError("no such thing")]
)
def test_a_system_that_refuses_one_more_process_is_a_transient_error(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise refusal

    monkeypatch.setattr(subprocess, "Popen", refuse)

    with pytest.raises(ProviderError, match=r"could not be started: (Cannot|no)") as caught:
        LocalProcess.launch(MODEL, SETTINGS)

    assert caught.value.kind is ProviderErrorKind.TRANSIENT
    assert "memory" in str(caught.value.hint)


def test_a_child_nobody_can_watch_is_ended_and_told_as_not_started(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    spawned: list[subprocess.Popen[bytes]] = []
    spawn = local_process._spawn

    def noted() -> subprocess.Popen[bytes]:
        spawned.append(spawn())
        return spawned[-1]

    monkeypatch.setattr(local_process, "_spawn", noted)
    monkeypatch.setattr(threading.Thread, "start", refuse)

    with pytest.raises(ProviderError, match="could not be started: can't start new thread"):
        stub.launch(READY)

    assert [is_running(popen.pid) for popen in spawned] == [False]


@pytest.mark.proves("local.on-demand")
def test_a_child_stopped_while_it_loads_is_gone_at_once(stub: Stub) -> None:
    stub.path.write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    process = LocalProcess.launch(MODEL, SETTINGS)
    began = time.monotonic()

    process.stop()

    with pytest.raises(ProviderError, match="was stopped while it was being loaded") as caught:
        process.wait_ready()
    assert time.monotonic() - began < 4  # less than the grace a serving child gets
    assert not is_running(process.pid)
    assert caught.value.kind is ProviderErrorKind.TRANSIENT


def test_the_child_program_imports_nothing_of_ymera() -> None:
    source = Path(local_child.__file__).read_text(encoding="utf-8")
    assert "import ymera" not in source
    assert "from ymera" not in source
