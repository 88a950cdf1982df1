"""A real `ymera serve` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

READY_WITHIN_S = 60
STOPPED_WITHIN_S = 30
SCRIPTED = {
    "YMERA_LOCAL__ENABLED": "false",
    "YMERA_PROVIDERS__STAGE__KIND": "scripted",
    "YMERA_PROVIDERS__STAGE__MODELS": '["actor"]',
}
"""Settings under which the shipped double is the only model, `stage/actor`."""


@dataclass
class RunningServer:
    """Where it listens, its process, and what it wrote to stderr so far."""

    url: str
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOPPED_WITHIN_S)


@contextmanager
def serving(settings: Mapping[str, str] = SCRIPTED, *args: str) -> Iterator[RunningServer]:
    """Run the server on a free port of loopback with these variables; stop it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ymera", "serve", "--port", "0", *args],
        env={**os.environ, **settings},
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    lines: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if "listens on" in line:
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        ready.wait(READY_WITHIN_S)
        found = re.search(r"http://\S+?:\d+", "".join(lines))
        assert found, f"the server did not start: {''.join(lines)}"
        yield RunningServer(found[0], process, lines)
    finally:
        if process.poll() is None and not _stops(process):
            process.kill()
        reader.join(STOPPED_WITHIN_S)
        if process.stderr is not None:
            process.stderr.close()


def _stops(process: subprocess.Popen[str]) -> bool:
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        return False
    return True
