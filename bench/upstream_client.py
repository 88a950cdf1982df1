"""What an upstream HTTP client costs: CPU per request and per streamed chunk, memory, start.

Each variant is the same raw ASGI pass-through behind uvicorn (uvloop, httptools), one process on
core 0; a mock provider and a load generator (two C programs of a harness directory that is built
into a temporary folder and never copied here) run on core 1. Everything on 127.0.0.1, bounded.

    python bench/upstream_client.py --harness DIR [--variants a,b] [--rounds 3] [--seconds 2]

Read CPU first: it is process CPU time from /proc, threads included, so other users of the machine
disturb it little. Results that led to a decision stand in docs/decisions/0002.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Open = Callable[[bytes], Awaitable[tuple[int, str, AsyncIterator[bytes]]]]
_JSON_HEADERS = {"authorization": "Bearer sk-mock", "content-type": "application/json"}


# --- the pass-through, one opener per client -------------------------------------------------


async def _aiohttp(url: str) -> Open:
    import aiohttp

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=30),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )

    async def open_(body: bytes) -> tuple[int, str, AsyncIterator[bytes]]:
        answer = await session.post(url, data=body, headers=_JSON_HEADERS, allow_redirects=False)
        return answer.status, answer.headers["content-type"], answer.content.iter_any()

    return open_


async def _pyreqwest(url: str) -> Open:
    from datetime import timedelta

    from pyreqwest.client import ClientBuilder

    client = (
        ClientBuilder().no_proxy().follow_redirects(False).timeout(timedelta(seconds=30)).build()
    )

    async def open_(body: bytes) -> tuple[int, str, AsyncIterator[bytes]]:
        request = (
            client.post(url).headers(_JSON_HEADERS).body_bytes(body).streamed_read_buffer_limit(0)
        )
        context = request.build_streamed()
        answer = await context.__aenter__()

        async def chunks() -> AsyncIterator[bytes]:
            try:
                while (chunk := await answer.body_reader.read_chunk()) is not None:
                    yield bytes(chunk)
            finally:
                await context.__aexit__(None, None, None)

        return answer.status, answer.headers["content-type"], chunks()

    return open_


async def _transport(url: str) -> Open:
    from ymera.core.ports import Deadlines
    from ymera.providers.transport import HttpTransport

    transport, deadlines = HttpTransport(), Deadlines()

    async def open_(body: bytes) -> tuple[int, str, AsyncIterator[bytes]]:
        answer = await transport.post(url, _JSON_HEADERS, body, deadlines)

        async def chunks() -> AsyncIterator[bytes]:
            try:
                async for chunk in answer.chunks():
                    yield chunk
            finally:
                await answer.close()

        return answer.status, answer.headers["content-type"], chunks()

    return open_


async def _nothing(url: str) -> Open:
    del url

    async def one() -> AsyncIterator[bytes]:
        yield b"{}"

    async def open_(body: bytes) -> tuple[int, str, AsyncIterator[bytes]]:
        del body
        return 200, "application/json", one()

    return open_


CLIENTS = {
    "aiohttp": _aiohttp,
    "pyreqwest": _pyreqwest,
    "transport": _transport,
    "server-only": _nothing,
}


def make_app(client: str, url: str) -> Callable[..., Awaitable[None]]:
    """Return the raw ASGI pass-through over one client."""
    opened: list[Open] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        if scope["method"] == "GET":
            await _plain(send, b"ok")
            return
        if not opened:
            opened.append(await CLIENTS[client](url))
        status, kind, chunks = await opened[0](b"".join(parts))
        if "event-stream" not in kind:
            await _plain(send, b"".join([chunk async for chunk in chunks]), status, kind.encode())
            return
        head = [(b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


async def _plain(send: Any, body: bytes, status: int = 200, kind: bytes = b"text/plain") -> None:
    head = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def serve(client: str, port: int, upstream: int) -> None:
    """Serve the pass-through until killed."""
    uvicorn = importlib.import_module("uvicorn")
    uvicorn.run(
        make_app(client, f"http://127.0.0.1:{upstream}/v1/chat/completions"),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="error",
    )


# --- measuring ------------------------------------------------------------------------------


@dataclass
class Variant:
    """One running gateway and what was seen of it."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    ready_s: float
    ready_cpu_s: float
    seen: dict[str, list[float]] = field(default_factory=dict)

    def note(self, phase: str, value: float) -> None:
        """Keep one figure."""
        self.seen.setdefault(phase, []).append(value)


def _cpu_us(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e3


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).read()
            return
        time.sleep(0.01)
    raise SystemExit(f"the server on port {port} did not start")


@contextlib.contextmanager
def _mock(tool: Path, *options: str) -> Iterator[int]:
    port = _free_port()
    process = subprocess.Popen(["taskset", "-c", "1", str(tool), "-p", str(port), *options])
    try:
        _wait_ready(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _variant(name: str, harness: Path, upstream: int) -> Iterator[Variant]:
    port = _free_port()
    if name == "floor":
        script = [str(harness / "floor_proxy.py"), "--port", str(port)]
        script += ["--upstream", f"127.0.0.1:{upstream}"]
    else:
        script = [__file__, "--serve", name, "--port", str(port), "--upstream", str(upstream)]
    started = time.monotonic()
    process = subprocess.Popen(["taskset", "-c", "0", sys.executable, *script])
    try:
        _wait_ready(port, process)
        variant = Variant(
            name, process, port, time.monotonic() - started, _cpu_us(process.pid) / 1e6
        )
        variant.note("rss_start_mb", _rss_mb(process.pid))
        yield variant
    finally:
        process.kill()
        process.wait()


def _load(tool: Path, variant: Variant, *options: str) -> tuple[dict[str, Any], float]:
    command = ["taskset", "-c", "1", str(tool), "-p", str(variant.port), *options]
    before = _cpu_us(variant.process.pid)
    out = subprocess.run(command, capture_output=True, check=True, timeout=120)
    return json.loads(out.stdout), _cpu_us(variant.process.pid) - before


def _phase(tool: Path, variant: Variant, name: str, options: list[str], per_request: int) -> None:
    result, cpu_us = _load(tool, variant, *options)
    if result["bad"] or result["neterr"] or not result["done_all"]:
        raise SystemExit(f"{variant.name}, {name}: {result}")
    variant.note(name, cpu_us / (result["done_all"] * per_request))
    variant.note("rss_load_mb", _rss_mb(variant.process.pid))


def _import_s(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    return statistics.median(runs)


def measure(harness: Path, names: list[str], rounds: int, seconds: float) -> None:
    """Build the tools, run all variants interleaved, print one line each."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        tools = {}
        for name in ("mock_upstream", "gwload"):
            tools[name] = Path(folder) / name
            source = str(harness / f"{name}.c")
            subprocess.run(["cc", "-O2", "-w", "-o", str(tools[name]), source], check=True)
        load = tools["gwload"]
        fast = stack.enter_context(_mock(tools["mock_upstream"], "-n", "64"))
        slow = stack.enter_context(_mock(tools["mock_upstream"], "-n", "50", "-i", "20000"))
        quick = [stack.enter_context(_variant(name, harness, fast)) for name in names]
        paced = [
            stack.enter_context(_variant(name, harness, slow))
            for name in names
            if name != "server-only"
        ]
        for variant in (
            quick + paced
        ):  # imports and first connections are not the price of a request
            _load(load, variant, "-c", "8", "-d", "0.5", "-w", "0")
        timed = ["-d", str(seconds), "-w", "0"]
        for _ in range(rounds):
            for variant in quick:
                _phase(load, variant, "json_us", ["-c", "32", *timed], 1)
                if variant.name != "server-only":
                    _phase(load, variant, "sat_chunk_us", ["-c", "16", "-s", *timed], 64)
            for variant in paced:
                # A stream takes about one second.
                _phase(load, variant, "paced_chunk_us", ["-c", "8", "-s", "-d", "4", "-w", "0"], 50)
        _report(quick, paced)


def _report(quick: list[Variant], paced: list[Variant]) -> None:
    for variant in quick:
        twin = next((other for other in paced if other.name == variant.name), None)
        seen = {**variant.seen, **({"paced_chunk_us": twin.seen["paced_chunk_us"]} if twin else {})}
        figures = "  ".join(
            f"{name} {statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"
            for name, values in seen.items()
        )
        ready = f"ready {variant.ready_s:.2f} s, CPU {variant.ready_cpu_s:.2f} s"
        print(f"{variant.name:12} {figures}  {ready}")
    for module in ("aiohttp", "pyreqwest.client"):
        with contextlib.suppress(subprocess.CalledProcessError):
            print(f"import {module}: {_import_s(module) * 1e3:.0f} ms")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--harness", type=Path)
    parser.add_argument("--variants", default="floor,server-only,aiohttp,pyreqwest,transport")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--serve", choices=sorted(CLIENTS))
    parser.add_argument("--port", type=int)
    parser.add_argument("--upstream", type=int)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port, options.upstream)
    elif options.harness is None:
        parser.error("--harness DIR is needed: the folder with mock_upstream.c and gwload.c")
    else:
        measure(options.harness, options.variants.split(","), options.rounds, options.seconds)


if __name__ == "__main__":
    main()
