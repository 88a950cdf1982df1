"""Apps that a test makes, each closed at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ymera.app import App

__all__ = ["Create", "creating"]

Create = Callable[..., App]
"""Makes an app of the environment; keyword arguments are settings, `a__b` for `a.b`."""


@asynccontextmanager
async def creating() -> AsyncIterator[Create]:
    """Yield what makes apps; close them at the end."""
    apps: list[App] = []

    def created(**flags: object) -> App:
        apps.append(App.create(flags={k.replace("__", "."): v for k, v in flags.items()}))
        return apps[-1]

    yield created
    for app in apps:
        await app.close()
