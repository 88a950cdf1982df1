"""A child process that is only told of."""

from __future__ import annotations

from pathlib import Path

from ymera.providers.local_process import LocalProcess
from ymera.providers.local_settings import LocalSettings


class FakeProcess(LocalProcess):
    """Alive until `dead` is set or it is stopped; answers nothing."""

    def __init__(self, path: Path, settings: LocalSettings) -> None:
        self.path = path
        self.settings = settings
        self.dead = False
        self.base_url = "http://127.0.0.1:1/prefix/v1"
        self.key = "key"
        self.pid = 0

    @property
    def alive(self) -> bool:
        return not self.dead

    def wait_ready(self) -> None:
        pass

    def wait_gone(self, timeout_s: float) -> bool:
        return self.dead

    def stop(self) -> None:
        self.dead = True

    def last_words(self) -> str:
        return "it was ended by SIGKILL"
