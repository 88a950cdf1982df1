"""Starting the servers of this folder, and looking after their processes."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ymera.tools.mcp_pids import started_at
from ymera.tools.mcp_spec import McpServerSpec

HERE = Path(__file__).parent
WITHIN_S = 30.0


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def good(**changes: object) -> McpServerSpec:
    """Return the well-behaved server."""
    return _spec(changes, str(HERE / "good.py"))


def odd(kind: str, *args: str, **changes: object) -> McpServerSpec:
    """Return a server that misbehaves."""
    return _spec(changes, str(HERE / "odd.py"), kind, *args)


def _spec(changes: dict[str, object], *args: str) -> McpServerSpec:
    import msgspec

    spec = McpServerSpec(name="srv", command=sys.executable, args=args, call_timeout_s=20.0)
    return msgspec.structs.replace(spec, **changes)


def is_running(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    return started_at(pid) is not None


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; the test fails when it takes too long."""
    async with asyncio.timeout(WITHIN_S):
        while not holds():  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(0.01)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def good_over_http(port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the well-behaved server on loopback; give its address and its process."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(HERE / "good.py"), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        deadline = time.monotonic() + WITHIN_S
        while not _listens(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        process.kill()
        process.wait()
