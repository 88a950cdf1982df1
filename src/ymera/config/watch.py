"""Live reload: notices edited files and loads them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ymera.config.files import FileStamp, file_stamp
from ymera.config.load import Loaded
from ymera.core.errors import YmeraError

__all__ = ["Watcher"]


class Watcher:
    """Loads the settings again when a file has changed, appeared or gone.

    It neither sleeps nor starts a thread: whoever owns it calls `poll` from time to time, which
    costs one `stat` per file.

    Args:
        loader: loads the settings; called once at once.
        stat: returns what identifies a file's content, None where there is none.
        report: told of the error when an edit is broken, once per edit.

    Raises:
        YmeraError: the first load failed.

    Attributes:
        loaded: the newest settings that loaded well.
    """

    def __init__(
        self,
        loader: Callable[[], Loaded],
        stat: Callable[[Path], FileStamp | None] = file_stamp,
        report: Callable[[YmeraError], None] = lambda _error: None,
    ) -> None:
        self._loader = loader
        self._stat = stat
        self._report = report
        self.loaded = loader()
        self._seen = self._stamps_read()

    def poll(self) -> Loaded | None:
        """Return new settings if a file changed and loads well, else None.

        A broken edit keeps the old settings and is reported once.
        """
        now = {path: self._stat(path) for path in self._seen}
        if now == self._seen:
            return None
        self._seen = now
        try:
            self.loaded = self._loader()
        except YmeraError as error:
            self._report(error)
            return None
        # Stamps taken just before each read: an edit during the load is seen by the next poll.
        self._seen = self._stamps_read()
        return self.loaded

    def _stamps_read(self) -> dict[Path, FileStamp | None]:
        return {file.path: file.stamp for file in self.loaded.files}
