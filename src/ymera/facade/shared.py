"""The one `App` behind every `get_*()` accessor of this process."""

from __future__ import annotations

import threading

from ymera.app import App

__all__ = ["forget_shared_app", "shared_app"]

_lock = threading.Lock()
_app: App | None = None


def shared_app() -> App:
    """Return the process's app, built from files and environment at the first call.

    Raises:
        ConfigError: a setting is wrong.
        CatalogError: the bundled catalogue is damaged.
        MachineError: the data directory cannot be used.
    """
    global _app  # noqa: PLW0603 - the accessors promise one object per process
    with _lock:
        if _app is None:
            _app = App.create()
        return _app


async def forget_shared_app() -> None:
    """Close the process's app; the next accessor builds a new one (for tests and re-loading)."""
    global _app
    with _lock:
        app, _app = _app, None
    if app is not None:
        await app.close()
