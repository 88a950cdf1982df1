"""Small files to pull, and the places they come from: wheels made on the spot, a loopback hub."""

from __future__ import annotations

import hashlib
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from ymera.core.model import HubFile, LocalWeights, WeightsSource, WheelMember

CONTENT = bytes(range(256)) * 4096  # 1 MiB
HUB_SOURCE = HubFile(repo="owner/tiny", file="tiny model.gguf")


def weights_of(content: bytes, source: WeightsSource = HUB_SOURCE) -> LocalWeights:
    return LocalWeights(
        filename="tiny.gguf",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        licence="Apache-2.0",
        source=source,
    )


def make_wheel(directory: Path, name: str, content: bytes) -> WheelMember:
    """Write the wheel `name` 1.0 with one data file; return how the catalogue would name it."""
    info = f"{name}-1.0.dist-info"
    path = directory / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{name}/model.bin", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{info}/RECORD", "")
    return WheelMember(
        requirement=f"{name}==1.0",
        wheel_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        member=f"{name}/model.bin",
        size_bytes=len(content),
    )


class Hub(msgspec.Struct, kw_only=True):
    """What a loopback hub serves and how it misbehaves.

    Attributes:
        content: the bytes of its one file.
        cuts: body bytes after which the next connections break, one per connection.
        status: answered instead of the file when set.
        heeds_ranges: False for a server that sends everything always.
        ranges: `Range` headers it got, empty for none.
        paths: what was asked for.
    """

    content: bytes = CONTENT
    cuts: list[int] = []
    status: int | None = None
    heeds_ranges: bool = True
    ranges: list[str] = []
    paths: list[str] = []
    url: str = ""


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """Serve `hub` on loopback; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, hub)

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)


def _answer(request: BaseHTTPRequestHandler, hub: Hub) -> None:
    asked = request.headers.get("Range", "")
    hub.ranges.append(asked)
    hub.paths.append(request.path)
    if hub.status is not None:
        request.send_error(hub.status)
        return
    found = re.fullmatch(r"bytes=(\d+)-", asked)
    start = int(found[1]) if found and hub.heeds_ranges else 0
    if start >= len(hub.content):
        request.send_error(416)
        return
    request.send_response(206 if start else 200)
    body = hub.content[start:]
    request.send_header("Content-Length", str(len(body)))
    if start:
        total = len(hub.content)
        request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
    request.end_headers()
    request.wfile.write(body[: hub.cuts.pop(0)] if hub.cuts else body)
