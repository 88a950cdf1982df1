"""A stdio server as a child process: messages by the line, junk survived, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ymera.core.errors import MachineError
from ymera.core.redaction import redact
from ymera.tools import mcp_pids
from ymera.tools.mcp_spec import MAX_MESSAGE_BYTES, McpServerSpec

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client import Transport
    from mcp.shared.message import SessionMessage

__all__ = ["McpChild", "child_environment", "running_child"]

_STDERR_KEPT_BYTES = 8 * 1024
_STDERR_SHOWN_LINES = 4
_STDERR_SHOWN_CHARS = 600
_EOF_WITHIN_S = 2.0
_TERM_WITHIN_S = 1.0
_KILL_WITHIN_S = 2.0
_POLL_S = 0.01
_SECRET_CHARS = 6
"""Values of handed-on variables from this length on are masked in what is shown."""
_NAMED_SECRET = re.compile(
    r"(?i)((?:token|passwd|pwd|credential)s?[\"']?\s*[:=]\s*[\"']?)[^\s\"']+"
)
_PASSED_ON = (
    "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR", "TZ",
    "APPDATA", "COMSPEC", "LOCALAPPDATA", "PATHEXT", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP",
)  # fmt: skip
"""What any program needs to start; everything else has to be named."""


def child_environment(
    spec: McpServerSpec, environ: Mapping[str, str], home: Path
) -> dict[str, str]:
    """Return a child's whole environment: what it needs to start, and what is named."""
    handed_on = {name: environ[name] for name in (*_PASSED_ON, *spec.env) if name in environ}
    return {"HOME": str(home)} | handed_on


class McpChild:
    """A running child. Belongs to one event loop.

    Attributes:
        gone: set once it no longer speaks: it ended, or closed its output.
        junk_lines: lines on its standard output that were no messages.
        pid: process id; it leads a process group of its own.
    """

    def __init__(self, process: Process, secrets: tuple[str, ...]) -> None:
        self._process = process
        self._secrets = secrets
        self._stderr = bytearray()
        self._complaint: str | None = None
        self.gone = asyncio.Event()
        self.junk_lines = 0
        self.pid = process.pid

    @asynccontextmanager
    async def streams(
        self,
    ) -> AsyncGenerator[
        tuple[
            MemoryObjectReceiveStream[SessionMessage | Exception],
            MemoryObjectSendStream[SessionMessage],
        ]
    ]:
        """The SDK's view of it: messages in, messages out."""
        import anyio
        from mcp.shared.message import SessionMessage

        to_us, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, from_us = anyio.create_memory_object_stream[SessionMessage](0)
        pumps = [
            asyncio.create_task(self._pump_out(to_us)),
            asyncio.create_task(self._pump_in(from_us)),
        ]
        try:
            yield incoming, outgoing
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for stream in (to_us, incoming, outgoing, from_us):
                stream.close()

    def transport(self) -> Transport:
        """Return what the SDK's client takes."""
        return self.streams()

    def last_words(self) -> str:
        """How it ended, if it did, and the last lines of its standard error, without secrets."""
        junk = f"{self.junk_lines} lines of its output were no messages" if self.junk_lines else ""
        parts = (self._complaint, _ending(self._process.returncode), junk, self.said())
        return "; ".join(part for part in parts if part)

    def said(self) -> str:
        """The last lines of its standard error, without secrets."""
        lines = bytes(self._stderr).decode(errors="replace").splitlines()
        shown = [line.strip() for line in lines if line.strip()][-_STDERR_SHOWN_LINES:]
        return self._without_secrets("; ".join(shown))[-_STDERR_SHOWN_CHARS:]

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = _NAMED_SECRET.sub(r"\1***", text)
        return redact("".join(char if char.isprintable() else " " for char in text))

    async def watch_stderr(self) -> None:
        """Keep the end of its standard error; it must never block on a full pipe."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 - started with a pipe
        while chunk := await stream.read(4096):
            self._stderr += chunk
            del self._stderr[:-_STDERR_KEPT_BYTES]

    async def _pump_out(self, to_us: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        try:
            async for line in self._lines():
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    self.junk_lines += 1
                    continue
                await to_us.send(SessionMessage(message))
        finally:
            self.gone.set()
            to_us.close()  # the session fails what it waits for

    async def _lines(self) -> AsyncGenerator[bytes]:
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - started with a pipe
        rest = bytearray()
        while chunk := await stream.read(65_536):
            rest += chunk
            if b"\n" in chunk:
                *lines, last = bytes(rest).split(b"\n")
                rest = bytearray(last)
                for line in lines:
                    if line.strip():
                        yield line
            if len(rest) > MAX_MESSAGE_BYTES:
                self._complaint = f"it sent a message of more than {MAX_MESSAGE_BYTES:,} bytes"
                return

    async def _pump_in(self, from_us: MemoryObjectReceiveStream[SessionMessage]) -> None:
        stream = self._process.stdin
        assert stream is not None  # noqa: S101 - started with a pipe
        async for item in from_us:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                stream.write(text.encode() + b"\n")
                await stream.drain()
            except OSError:  # it closed its input; what is pending fails when its output ends
                self.gone.set()
                return

    async def stop(self) -> None:
        """End it and all it started: end of input first, then signals to the whole group."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
            await self._exited(_EOF_WITHIN_S)
            if mcp_pids.end_group(self.pid, signal.SIGTERM):
                await self._group_gone(_TERM_WITHIN_S)
        finally:  # also when this very wait is cancelled
            self.kill()
            await self._exited(_KILL_WITHIN_S)
            self._close_pipes()

    def kill(self) -> None:
        """End the whole group at once; works from anywhere."""
        mcp_pids.end_group(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    async def _exited(self, within_s: float) -> None:
        # Not `Process.wait`: it waits for the pipes too, which a grandchild may hold open.
        await _until(lambda: self._process.returncode is not None, within_s)

    async def _group_gone(self, within_s: float) -> None:
        await _until(lambda: not mcp_pids.end_group(self.pid, 0), within_s)

    def _close_pipes(self) -> None:
        """Close its pipes, which a process that left the group may still hold."""
        close: object = getattr(getattr(self._process, "_transport", None), "close", None)
        if callable(close):
            with contextlib.suppress(PermissionError):
                close()


@asynccontextmanager
async def running_child(
    spec: McpServerSpec, environ: Mapping[str, str], state_dir: Path
) -> AsyncGenerator[McpChild]:
    """Start a server's program; it is ended when this is left.

    Raises:
        MachineError: it cannot be started.
    """
    home = state_dir / "home" / spec.name
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        env = child_environment(spec, environ, home)
        process = await asyncio.create_subprocess_exec(
            _program(spec, env.get("PATH")),
            *spec.args,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=env,
            cwd=spec.cwd,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its command line holds what none may"
        raise MachineError(
            f"The MCP server {spec.name!r} cannot be started: {reason}.",
            hint=f"Correct mcp.servers.{spec.name}.command, or its cwd.",
        ) from error
    secrets = tuple(env[n] for n in spec.env if len(env.get(n, "")) >= _SECRET_CHARS)
    child = McpChild(process, secrets)
    on_file = None
    stderr = asyncio.create_task(child.watch_stderr())
    try:
        on_file = mcp_pids.note(state_dir, spec.name, child.pid)
        yield child
    finally:
        try:
            await child.stop()
        finally:
            mcp_pids.forget(on_file)
            stderr.cancel()
            await asyncio.gather(stderr, return_exceptions=True)


def _program(spec: McpServerSpec, path: str | None) -> str:
    command = spec.command or ""
    found = shutil.which(command, path=path) if os.path.dirname(command) == "" else command  # noqa: PTH120
    if found is None:
        raise MachineError(
            f"The MCP server {spec.name!r} cannot be started: there is no program {command!r}.",
            hint=f"Install it, or correct mcp.servers.{spec.name}.command.",
        )
    return found


async def _until(holds: Callable[[], bool], within_s: float) -> None:
    """Wait until something holds that no event tells of, or the time is up."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while not holds() and loop.time() < until_s:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(_POLL_S)


def _ending(code: int | None) -> str | None:
    if code is None:
        return None
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"
