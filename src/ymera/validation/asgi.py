"""Asks our own server in process, so that no port is needed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ymera.server.asgi import Server

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.server.http import Message, Scope

__all__ = ["get"]


async def get(app: App, path: str) -> tuple[int, bytes]:
    """Return status and body of a GET request to the server of `app`."""
    status, body = 0, b""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            body += message.get("body", b"")

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }
    await asyncio.wait_for(Server(app)(scope, receive, send), timeout=30)
    return status, body
