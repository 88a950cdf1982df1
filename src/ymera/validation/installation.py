"""The installation under validation: its settings and models, and a scratch place for the rest."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from ymera.app import App
from ymera.catalog.load import load as load_catalog
from ymera.config.load import Loaded, load_settings
from ymera.config.paths import DataPaths, locate_data_dir
from ymera.core.model import ProviderKind
from ymera.core.ports import ChatProvider
from ymera.engine.trace import Clock

__all__ = ["Installation"]


class Installation:
    """What the components of validation look at.

    They use the user's settings and pulled models. Everything they leave behind (records, audit
    lines, keys, runs) goes to `scratch`; no host is called, so nothing is spent or sent away.

    Args:
        environ: environment variables of this process.
        scratch: an empty directory that is removed afterwards.
    """

    def __init__(self, environ: Mapping[str, str], scratch: Path) -> None:
        self.environ = environ
        self.scratch = scratch
        self._apps = 0

    @cached_property
    def loaded(self) -> Loaded:
        """The user's settings.

        Raises:
            ConfigError: one of them is wrong.
        """
        return load_settings(environ=self.environ)

    @property
    def paths(self) -> DataPaths:
        """The user's data directory; nothing is written there."""
        return locate_data_dir(self.loaded.settings.data_dir, environ=self.environ)

    @property
    def models_dir(self) -> Path:
        """Where the user's embedded models lie."""
        return self.loaded.settings.local.models_dir or self.paths.models

    @asynccontextmanager
    async def app(
        self,
        *,
        flags: Mapping[str, object] = MappingProxyType({}),
        providers: Mapping[str, ChatProvider] = MappingProxyType({}),
        keys: Mapping[str, str] = MappingProxyType({}),
    ) -> AsyncGenerator[App, None]:
        """Give an app of the user's settings with a data directory of its own, and close it.

        Args:
            flags: settings that are to differ, by dotted key.
            providers: doubles by provider id; they alone stand for hosts.
            keys: variables of provider keys to pretend; every real one is hidden.

        Raises:
            ConfigError, CatalogError, MachineError: this installation cannot be started.
        """
        chosen = {**self._apart(), **flags}
        app = App(
            lambda: load_settings(flags=chosen, environ=self.environ),
            environ={**self._without_keys(), **keys},
            clock=Clock.system(),
            providers=providers,
        )
        try:
            yield app
        finally:
            await app.close()

    def directory(self, name: str) -> Path:
        """Return a new empty directory below the scratch directory."""
        self._apps += 1
        made = self.scratch / f"{self._apps}-{name}"
        made.mkdir(mode=0o700)
        return made

    def _apart(self) -> dict[str, object]:
        """Return the flags that keep validation away from the user's data and from any host."""
        flags: dict[str, object] = {
            "data_dir": str(self.directory("data")),
            "local.models_dir": str(self.models_dir),
            "keyless_consent": (),
            "runs.database_url_env": None,
        }
        catalog = load_catalog()
        for name in self.loaded.settings.providers:
            row = catalog.providers.get(name)
            if row is None or row.kind is not ProviderKind.EMBEDDED:
                flags[f"providers.{name}.enabled"] = False
        for name in self.loaded.settings.mcp.servers:
            flags[f"mcp.servers.{name}.enabled"] = False
        return flags

    def _without_keys(self) -> dict[str, str]:
        """Return the environment without what would let a host be called."""
        rows = load_catalog().providers.values()
        secret = {name for row in rows for name in (*row.key_env, *row.extra_env)}
        own = self.loaded.settings.providers.values()
        secret |= {each.key_env for each in own if each.key_env is not None}
        return {name: value for name, value in self.environ.items() if name not in secret}
