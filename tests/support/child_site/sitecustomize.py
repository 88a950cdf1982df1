"""Imported by every Python child with this folder on PYTHONPATH: no network, missing packages.

`YMERA_TEST_REFUSED` names a file that takes a line for each host but loopback a child reached for;
the child gets what an unplugged machine would give. `YMERA_TEST_HIDE` names packages, separated by
commas, that are not installed as far as the child can tell.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

LOOPBACK = re.compile(r"^(127\.\d+\.\d+\.\d+|::1|localhost|0\.0\.0\.0|::|)$")
HIDDEN = frozenset(filter(None, os.environ.get("YMERA_TEST_HIDE", "").split(",")))
REFUSED = os.environ.get("YMERA_TEST_REFUSED")


def refuse_hosts(log: Path) -> None:
    """Let this process reach loopback only."""

    def check(host: object) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if isinstance(name, str) and not LOOPBACK.match(name):
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")
            raise ConnectionRefusedError(f"no network here: {name!r}")

    def guarded_connect(original: Any) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            check(address[0] if isinstance(address, tuple) else None)
            return original(self, address)

        return connect

    lookup = socket.getaddrinfo

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        check(host)
        return lookup(host, *args, **kwargs)

    for method in ("connect", "connect_ex"):
        setattr(socket.socket, method, guarded_connect(getattr(socket.socket, method)))
    socket.getaddrinfo = guarded_lookup


class Hiding:
    """Finds modules as Python does, but for the hidden ones."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return None for what is hidden."""
        if name.partition(".")[0] in HIDDEN:
            return None
        return PathFinder.find_spec(name, path, target)


if REFUSED:
    refuse_hosts(Path(REFUSED))
if HIDDEN:
    sys.meta_path[:] = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
