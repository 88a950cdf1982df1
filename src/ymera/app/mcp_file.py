"""Adding servers to, and removing them from, the user's own configuration file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ymera.config.files import read_table
from ymera.config.layers import LayerReader
from ymera.config.load import Loaded
from ymera.config.problems import raise_problems
from ymera.config.sources import Layer
from ymera.core.errors import ConfigError, MachineError
from ymera.tools.mcp_toml import with_server, without_server

__all__ = ["ServerFile"]


class ServerFile:
    """The file that `mcp add`, `remove` and `import` write.

    Args:
        path: a TOML file, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_user(cls, loaded: Loaded) -> ServerFile:
        """Return the user's `config.toml`."""
        return cls(next(file.path for file in loaded.files if file.layer is Layer.USER))

    def add(self, name: str, table: Mapping[str, str | bool | Sequence[str]]) -> None:
        """Add a server at the end of the file.

        Raises:
            ConfigError: the name is taken, a value is wrong, or the file cannot be edited.
            MachineError: the file cannot be written.
        """
        reader = LayerReader(Layer.USER, self.path.parent)
        reader.read_file(self.path, {"mcp": {"servers": {name: _plain(table)}}})
        raise_problems(reader.problems)
        self._write(with_server(self._text(), name, table))

    def remove(self, name: str) -> None:
        """Remove a server with its table and the tables below it.

        Raises:
            ConfigError: the file has none of that name, or cannot be edited.
            MachineError: the file cannot be written.
        """
        self._write(without_server(self._text(), name))

    def _text(self) -> str:
        if read_table(self.path) is None:  # tells in its own words what is wrong with it
            return ""
        # Not by `read_text`: its line ends are the user's too.
        return self.path.read_bytes().decode("utf-8-sig")

    def _write(self, text: str) -> None:
        """Replace the file at once: a reader sees the old one or the new one, never a half."""
        target = Path(os.path.realpath(self.path))  # a link to it stays a link
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=".ymera-config-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).chmod(mode)
                Path(name).replace(target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise MachineError(
                f"{self.path} cannot be written: {error.strerror or error}.",
                hint="Make it and its directory writable for your user.",
            ) from error


def _plain(table: Mapping[str, str | bool | Sequence[str]]) -> dict[str, object]:
    """Return the values as a file would hold them."""
    return {
        key: value if isinstance(value, str | bool) else list(value) for key, value in table.items()
    }


def checked_name(name: str) -> str:
    """Return a name that may stand before `__` and a tool's name.

    Raises:
        ConfigError: it holds `__` itself.
    """
    if "__" in name:
        raise ConfigError(
            f"{name!r} has __ in it, which separates server and tool.", hint="Use a single _ or -."
        )
    return name
