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

__all__ = ["LocalProcess", "refused_by_the_system"]

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
    """A child process; made by `launch`, of use after `wait_ready`.

    Attributes:
        base_url: of its OpenAI dialect, on 127.0.0.1; empty until it is ready.
        key: bearer token every request must carry. Never log it.
        pid: process id.
    """

    def __init__(
        self, popen: subprocess.Popen[bytes], start: ChildStart, start_timeout_s: float
    ) -> None:
        self._popen = popen
        self._model_path = Path(start["model_path"])
        self._start_timeout_s = start_timeout_s
        self._stopped = False
        self._gone = threading.Event()
        self._stderr = bytearray()
        self._answered = threading.Event()
        self._answer = b""
        self.base_url = ""
        self.key = start["key"]
        self.pid = popen.pid
        for work in (self._watch, lambda: self._exchange(start)):
            threading.Thread(target=work, name="ymera-local-child", daemon=True).start()

    @classmethod
    def launch(cls, model_path: Path, settings: LocalSettings) -> LocalProcess:
        """Start a child and return it while it loads the model.

        Raises:
            ProviderError: kind transient: the system refuses one more process or thread.
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
        popen = None
        try:
            popen = _spawn()
            return cls(popen, start, settings.start_timeout_s)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no thread to be had
            if popen is not None:
                with popen:
                    popen.kill()
            raise refused_by_the_system(model_path, error) from error

    def wait_ready(self) -> None:
        """Wait until the model is loaded. Blocks; a child that does not get there is ended.

        Raises:
            ProviderError: kind transient: it died, took too long or was stopped meanwhile.
        """
        in_time = self._answered.wait(self._start_timeout_s)
        answer: dict[str, str] = json.loads(self._answer or b"{}")
        if "url" in answer:
            self.base_url = answer["url"] + "/v1"
            return
        if in_time:
            self._gone.wait(_STOP_WITHIN_S)  # its last words are complete then
        stopped = self._stopped
        self.stop()
        raise self._start_failure(in_time, stopped, answer.get("error"))

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._popen.poll() is None

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait until the process has ended; False when it still runs after `timeout_s`. Blocks."""
        return self._gone.wait(timeout_s)

    def stop(self) -> None:
        """End the process and wait for it. Blocks for some seconds at most.

        One that serves is asked at first; one that still loads listens to nobody and is killed.
        """
        self._stopped = True
        if not self.base_url:
            self._popen.kill()
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

    def _start_failure(self, in_time: bool, stopped: bool, error: str | None) -> ProviderError:
        model = f"The embedded model {self._model_path.stem!r}"
        if stopped:
            message = f"{model} was stopped while it was being loaded."
            hint = "Ask again: it is started anew."
        elif not in_time:
            message = f"{model} was not loaded within {self._start_timeout_s:g} seconds."
            hint = "Raise local.start_timeout_seconds, or choose a smaller model."
        else:
            words = "; ".join([*([error] if error else []), self.last_words()])
            message = f"{model} could not be started: {words}."
            hint = "The file may be damaged (pull it again) or memory too small for it."
        return ProviderError(message, kind=ProviderErrorKind.TRANSIENT, hint=hint)

    def _exchange(self, start: ChildStart) -> None:
        """Tell the child what to serve and keep its one line; none when it dies first."""
        with _pipe(self._popen.stdout) as stdout:
            # A broken pipe: it died. A closed file (ValueError): it was stopped.
            with contextlib.suppress(OSError, ValueError):
                _pipe(self._popen.stdin).write((json.dumps(start) + "\n").encode())
            line = b""
            while not line.endswith(b"\n") and (piece := stdout.read(4096)):
                line += piece
        if line.endswith(b"\n"):
            self._answer = line
        self._answered.set()

    def _watch(self) -> None:
        """Keep the end of stderr, and notice (and reap) the end of the process."""
        with _pipe(self._popen.stderr) as stderr:
            while piece := stderr.read(4096):
                self._stderr += piece
                del self._stderr[:-_STDERR_KEPT_BYTES]
        self._popen.wait()
        _pipe(self._popen.stdin).close()
        self._gone.set()


def _spawn() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", local_child.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=_environment(),
        start_new_session=True,  # Ctrl-C at the terminal is the parent's to handle
    )


def refused_by_the_system(model_path: Path, error: Exception) -> ProviderError:
    """Return the error for a process or thread that cannot be had."""
    reason = getattr(error, "strerror", None) or str(error)
    return ProviderError(
        f"The embedded model {model_path.stem!r} could not be started: {reason}.",
        kind=ProviderErrorKind.TRANSIENT,
        hint="The machine may be short of memory or processes: end others, or ask a hosted model.",
    )


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
