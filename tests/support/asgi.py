"""Calls an ASGI app in process: no socket, and the client can leave whenever a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ymera.server.asgi import Server
from ymera.server.http import Message, Scope

JSON_HEADERS = {"host": "127.0.0.1:8080", "content-type": "application/json"}


@dataclass
class Answer:
    """What the app sent, message by message."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """All pieces joined."""
        return b"".join(self.pieces)

    @property
    def error(self) -> dict[str, Any]:
        """The `error` object of an OpenAI-shaped body."""
        decoded: dict[str, Any] = msgspec.json.decode(self.body)["error"]
        return decoded


@dataclass
class Client:
    """One request at a time to a server; `leave` hangs up on the running one."""

    server: Server
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Answer = field(default_factory=Answer)

    async def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and return what came back."""
        sent = False

        async def receive() -> Message:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            await self.leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answer.status = message["status"]
                self.answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            elif message.get("body"):
                self.answer.pieces.append(message["body"])

        await asyncio.wait_for(self.server(_scope(method, path, headers), receive, send), 30)
        return self.answer


def _scope(method: str, path: str, headers: Mapping[str, str] | None) -> Scope:
    pairs = (JSON_HEADERS if headers is None else headers).items()
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("127.0.0.1", 8080),
        "client": ("127.0.0.1", 50000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs],
    }
