"""Files below one directory: listed and opened so that nothing outside can be reached."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from ymera.tools.builtin import ToolFailed

__all__ = ["FilesBelow"]

_MAX_ENTRIES = 2000
_MAX_DEPTH = 8
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe must not keep us waiting for its writer
_BY_DESCRIPTOR = os.open in os.supports_dir_fd
_SKIPPED = frozenset({"node_modules", "__pycache__"})


class FilesBelow:
    """Text files below `root`; hidden files, symbolic links and devices are out of reach.

    Args:
        root: an existing directory.
        max_bytes: larger files are read up to here.
    """

    def __init__(self, root: Path, *, max_bytes: int = 1_000_000) -> None:
        self.root = root
        self._max_bytes = max_bytes

    def names(self) -> list[str]:
        """Return files as `folder/name`, sorted; at most 2,000, at most 8 folders deep."""
        found: list[str] = []
        waiting = [("", 0)]
        while waiting and len(found) < _MAX_ENTRIES:
            folder, depth = waiting.pop()
            for name, is_folder in self._entries(folder):
                path = f"{folder}/{name}" if folder else name
                if not is_folder:
                    found.append(path)
                elif depth + 1 < _MAX_DEPTH:
                    waiting.append((path, depth + 1))
        return sorted(found[:_MAX_ENTRIES])

    def read(self, path: str, *, max_bytes: int | None = None) -> str:
        """Return a file's text.

        Args:
            path: as `names` gives it.
            max_bytes: read no further; None: as far as all files are read.

        Raises:
            ToolFailed: outside the root, hidden, a link, no plain file, or no text.
        """
        parts = self._parts(path)
        try:
            descriptor = self._open(parts)
        except OSError as error:
            reason = "a link or no such file" if error.errno is None else error.strerror
            raise ToolFailed(f"{path[:200]!r} cannot be read: {reason}.") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ToolFailed(f"{path[:200]!r} is no plain file.")
        with os.fdopen(descriptor, "rb") as file:
            limit = self._max_bytes if max_bytes is None else min(max_bytes, self._max_bytes)
            data = file.read(limit + 1)
        return _text(data[:limit], path, cut=len(data) > limit)

    def _parts(self, path: str) -> tuple[str, ...]:
        if "\x00" in path or "\\" in path:
            raise ToolFailed("A path has folders parted by / and no other signs of that kind.")
        inside = PurePosixPath(path)
        if inside.is_absolute():
            try:
                inside = inside.relative_to(PurePosixPath(self.root.as_posix()))
            except ValueError:
                raise ToolFailed(f"{path[:200]!r} is not below the readable folder.") from None
        parts = inside.parts
        if not parts or ".." in parts:
            raise ToolFailed(f"{path[:200]!r} is not below the readable folder.")
        if any(part.startswith(".") for part in parts):
            raise ToolFailed("Hidden files are not read.")
        return parts

    def _open(self, parts: tuple[str, ...]) -> int:
        flags = os.O_RDONLY | _NO_FOLLOW | _NO_WAIT | getattr(os, "O_BINARY", 0)
        if not _BY_DESCRIPTOR:
            return self._open_by_name(parts, flags)
        # Folder by folder, each held open: nobody can swap one for a link in between.
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts[:-1]:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW, dir_fd=folder)
                os.close(folder)
                folder = below
            return os.open(parts[-1], flags, dir_fd=folder)
        finally:
            os.close(folder)

    def _open_by_name(self, parts: tuple[str, ...], flags: int) -> int:
        path = self.root.joinpath(*parts)
        if path.resolve(strict=True) != self.root.resolve().joinpath(*parts):
            raise OSError("a link")
        return os.open(path, flags)

    def _entries(self, folder: str) -> list[tuple[str, bool]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return [
                    (entry.name, entry.is_dir(follow_symlinks=False))
                    for entry in entries
                    if not entry.name.startswith(".")
                    and entry.name not in _SKIPPED
                    and (
                        entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
                    )
                ]
        except OSError:
            return []


def _text(data: bytes, path: str, *, cut: bool) -> str:
    if b"\x00" in data:
        raise ToolFailed(f"{path[:200]!r} is no text file.")
    try:
        return data.decode("utf-8-sig", "ignore" if cut else "strict")
    except UnicodeDecodeError:
        raise ToolFailed(f"{path[:200]!r} is no text file in UTF-8.") from None
