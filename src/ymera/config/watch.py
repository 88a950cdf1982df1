"""Live reload: notices edited files and loads them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ymera.config.files import FileStamp, file_stamp
from ymera.config.load import Loaded

__all__ = ["Watcher"]


class Watcher:
    """Loads the settings again when a file has changed, appeared or gone.

    It neither sleeps nor starts a thread: whoever owns it calls `poll` from time to time, which
    costs one `stat` per file.

    Args:
        loader: loads the settings; called once at once.
        stat: returns what identifies a file's content, None where there is none.

    Raises:
        ConfigError: the first load failed.

    Attributes:
        loaded: the newest settings that loaded well.
    """

    def __init__(
        self,
        loader: Callable[[], Loaded],
        stat: Callable[[Path], FileStamp | None] = file_stamp,
    ) -> None:
        self._loader = loader
        self._stat = stat
        self.loaded = loader()
        self._seen = self._stamps_read()

    def poll(self) -> Loaded | None:
        """Return new settings if a file changed, else None.

        Raises:
            ConfigError: the edit is broken. `loaded` stays as it was, and the error is raised once:
                the next poll returns None until the file changes again.
        """
        now = {path: self._stat(path) for path in self._seen}
        if now == self._seen:
            return None
        self._seen = now
        self.loaded = self._loader()
        # Stamps taken just before each read: an edit during the load is seen by the next poll.
        self._seen = self._stamps_read()
        return self.loaded

    def _stamps_read(self) -> dict[Path, FileStamp | None]:
        return {file.path: file.stamp for file in self.loaded.files}
