"""One child process that serves one model file; plain threads, so that no event loop owns it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.providers import local_child
from ymera.providers.local_settings import LocalSettings, default_threads

if TYPE_CHECKING:
    from ymera.providers.local_child import ChildStart

__all__ = ["LocalProcess"]

_STDERR_KEPT_BYTES = 8 * 1024
_STDERR_SHOWN_LINES = 4
_LOG_STAMP = re.compile(r"^[\d.]+ [A-Z] ")
_STOP_WITHIN_S = 5.0
_PASSED_ON = frozenset(
    {
        "HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR",
        "DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV",
    }
)  # fmt: skip
_PASSED_ON_PREFIXES = ("PYTHON", "COVERAGE_", "GGML_", "OMP_")


class LocalProcess:
    """A child that is loaded and serves; made by `launch`.

    Attributes:
        base_url: of its OpenAI dialect, on 127.0.0.1.
        key: bearer token every request must carry. Never log it.
        pid: process id.
    """

    def __init__(self, popen: subprocess.Popen[bytes], model_path: Path) -> None:
        self._popen = popen
        self._model_path = model_path
        self._gone = threading.Event()
        self._stderr = bytearray()
        self.base_url = ""
        self.key = ""
        self.pid = popen.pid
        threading.Thread(target=self._watch, name="ymera-local-stderr", daemon=True).start()

    @classmethod
    def launch(cls, model_path: Path, settings: LocalSettings) -> LocalProcess:
        """Start a child, wait until the model is loaded, and return it. Blocks.

        Raises:
            ProviderError: kind transient: the child did not get ready; says its last words.
        """
        start: ChildStart = {
            "model_path": str(model_path),
            "name": model_path.stem,
            "context_tokens": settings.context_tokens,
            "slots": settings.slots,
            "threads": settings.threads or default_threads(),
            "unload_after_s": -1 if settings.unload_after_s is None else settings.unload_after_s,
            "key": secrets.token_urlsafe(32),
            "prefix": "/" + secrets.token_urlsafe(16),
        }
        popen = subprocess.Popen(
            [sys.executable, "-P", local_child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
            start_new_session=True,  # Ctrl-C at the terminal is the parent's to handle
        )
        process = cls(popen, model_path)
        try:
            process._get_ready(start, settings.start_timeout_s)
        except BaseException:
            popen.kill()  # while loading it listens to nobody
            process.stop()
            raise
        return process

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._popen.poll() is None

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait until the process has ended; False when it still runs after `timeout_s`. Blocks."""
        return self._gone.wait(timeout_s)

    def stop(self) -> None:
        """End the process, gently at first, and wait for it. Blocks for some seconds at most."""
        with contextlib.suppress(OSError):
            _pipe(self._popen.stdin).close()
        try:
            self._popen.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
        self._gone.wait(_STOP_WITHIN_S)

    def last_words(self) -> str:
        """How the process ended, if it did, and the last lines it wrote to stderr."""
        # Callers of a server read this too: no paths of this machine.
        text = bytes(self._stderr).decode(errors="replace")
        text = text.replace(str(self._model_path), self._model_path.name)
        lines = [_LOG_STAMP.sub("", line).strip() for line in text.splitlines()]
        shown = [line for line in lines if line][-_STDERR_SHOWN_LINES:]
        return "; ".join([*_ending(self._popen.poll()), *shown]) or "it said nothing"

    def _get_ready(self, start: ChildStart, timeout_s: float) -> None:
        answers: list[bytes] = []
        reader = threading.Thread(target=lambda: answers.append(self._exchange(start)), daemon=True)
        reader.start()
        reader.join(timeout_s)
        name = start["name"]
        if not answers:
            raise ProviderError(
                f"The embedded model {name!r} was not loaded within {timeout_s:g} seconds.",
                kind=ProviderErrorKind.TRANSIENT,
                hint="Allow it more time, or choose a smaller model.",
            )
        answer: dict[str, str] = json.loads(answers[0] or b"{}")
        if "url" not in answer:
            self._gone.wait(_STOP_WITHIN_S)
            said = [answer["error"]] if "error" in answer else []
            words = "; ".join([*said, self.last_words()])
            raise ProviderError(
                f"The embedded model {name!r} could not be started: {words}.",
                kind=ProviderErrorKind.TRANSIENT,
                hint="The file may be damaged (pull it again) or memory too small for it.",
            )
        self.base_url = answer["url"] + "/v1"
        self.key = start["key"]

    def _exchange(self, start: ChildStart) -> bytes:
        """Tell the child what to serve and return its one line; empty when it has died."""
        with _pipe(self._popen.stdout) as stdout:
            with contextlib.suppress(BrokenPipeError):
                _pipe(self._popen.stdin).write((json.dumps(start) + "\n").encode())
            line = b""
            while not line.endswith(b"\n") and (piece := stdout.read(4096)):
                line += piece
            return line

    def _watch(self) -> None:
        """Keep the end of stderr, and notice (and reap) the end of the process."""
        with _pipe(self._popen.stderr) as stderr:
            while piece := stderr.read(4096):
                self._stderr += piece
                del self._stderr[:-_STDERR_KEPT_BYTES]
        self._popen.wait()
        _pipe(self._popen.stdin).close()
        self._gone.set()


def _environment() -> dict[str, str]:
    """The parent's environment without what native code has no need to know, such as keys."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }


def _ending(returncode: int | None) -> list[str]:
    if returncode is None:
        return []
    if returncode >= 0:
        return [f"it ended with exit code {returncode}"]
    try:
        return [f"it was ended by {signal.Signals(-returncode).name}"]
    except ValueError:
        return [f"it was ended by signal {-returncode}"]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    return cast("IO[bytes]", pipe)  # Popen was given PIPE for all three
