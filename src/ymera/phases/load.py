"""The agents there are: the bundled ones, and the user's own, which win by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from ymera.core.errors import ConfigError, UnknownModel
from ymera.phases.agent_file import read_agent
from ymera.phases.types import AgentSpec
from ymera.routing.policies import ALIASES

__all__ = ["Agents", "Listed"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_MAX_BYTES = 1_048_576
_SHOWN = "agents"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An agent in the list.

    Attributes:
        name: of the agent.
        source: `bundled`, or the user's file.
        agent: None where the file is wrong.
        error: what is wrong with it.
    """

    name: str
    source: str
    agent: AgentSpec | None = None
    error: ConfigError | None = None


class Agents:
    """Finds agents by name. The user's files are read at each use, so that edits take effect.

    Args:
        user_dir: directory of the user's `*.toml`; None or a missing one: only bundled agents.
    """

    def __init__(self, user_dir: Path | None = None) -> None:
        self._user_dir = user_dir

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted({*_bundled(), *self._own()}))

    def source(self, name: str) -> str:
        """Return where an agent comes from: `bundled`, or the user's file."""
        own = self._own().get(name)
        return "bundled" if own is None else str(own)

    def get(self, name: str) -> AgentSpec:
        """Return an agent.

        Raises:
            UnknownModel: no agent is called so.
            ConfigError: its file is wrong; the message names file, line and key.
        """
        own = self._own().get(name)
        if own is not None:
            return _read_own(name, own)
        if name in _bundled():
            return _read_bundled(name)
        raise self._unknown(name)

    def list(self) -> tuple[Listed, ...]:
        """Return all agents, a broken file with what is wrong with it."""
        return tuple(map(self._listed, self.names()))

    def _listed(self, name: str) -> Listed:
        source = self.source(name)
        try:
            return Listed(name=name, source=source, agent=self.get(name))
        except ConfigError as error:
            return Listed(name=name, source=source, error=error)

    def _own(self) -> dict[str, Path]:
        if self._user_dir is None or not self._user_dir.is_dir():
            return {}
        try:
            paths = sorted(self._user_dir.glob("*.toml"))
            return {path.stem: path for path in paths if path.is_file()}  # no pipe to wait on
        except OSError as error:
            raise ConfigError(
                f"{self._user_dir} cannot be read: {error.strerror or error}.",
                hint="Make it readable for your user, or move it out of the way.",
            ) from error

    def _unknown(self, name: str) -> UnknownModel:
        near = get_close_matches(name, self.names(), n=3)
        hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else ""
        if not near:
            hint = f"Agents: {', '.join(self.names())}."
        return UnknownModel(f"No agent is called {name!r}.", hint=hint, param="agent")


def _read_own(name: str, path: Path) -> AgentSpec:
    where = f"{_SHOWN}/{path.name}"
    if not _NAME.fullmatch(name) or name in ALIASES:
        taken = "an alias already" if name in ALIASES else "no name for an agent"
        raise ConfigError(
            f"{path}: {name!r} is {taken}.",
            hint="Name the file with lower-case letters, digits, _ and -, such as my_agent.toml.",
        )
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8.", hint="Save the file as UTF-8.") from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}.",
            hint="Make it readable for your user, or move it out of the way.",
        ) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES:,} bytes.", hint="Shorten it.")
    return read_agent(name, text, where=where)


@lru_cache(maxsize=1)
def _bundled() -> tuple[str, ...]:
    folder = files("ymera.phases").joinpath("agents")
    names = (each.name for each in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@lru_cache(maxsize=64)
def _read_bundled(name: str) -> AgentSpec:
    file = files("ymera.phases").joinpath("agents", f"{name}.toml")
    return read_agent(name, file.read_text("utf-8"), where=f"{_SHOWN}/{name}.toml")
