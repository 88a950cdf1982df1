"""One life of one MCP server: a task of its own owns the SDK's client, callers send through it.

The SDK's client must be left by the task that entered it, and where an HTTP server dies it cancels
that whole task. So nobody else's task may be the owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ymera.tools.mcp_ending import ConnectionLost, is_loss, reason, start_failure
from ymera.tools.mcp_process import McpChild, running_child
from ymera.tools.mcp_sdk import load_sdk
from ymera.tools.mcp_spec import McpServerSpec

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client import Transport
    from mcp.client.session import ClientRequestContext, IncomingMessage
    from mcp_types import ElicitRequestParams, ElicitResult

__all__ = ["McpConnection"]

T = TypeVar("T")

_STOP_WITHIN_S = 8.0


class McpConnection:
    """A server that is starting, serves, or has ended; made in the event loop that uses it.

    Args:
        spec: the server.
        environ: where named variables and the bearer token are looked up.
        state_dir: where its process id and its scratch home stand.
        started_s: now, by the clock of whoever asks for it.
        legacy: whether it is known to speak the older protocol; spares asking.
        on_over: told once when it has ended, with whether it did so by itself.
        on_tools_changed: told when the server says that its tools changed.

    Attributes:
        loop: the event loop it belongs to.
        started_s: as given.
        why: what is known of its end, for the user; empty before.
    """

    def __init__(
        self,
        spec: McpServerSpec,
        environ: Mapping[str, str],
        state_dir: Path,
        *,
        started_s: float,
        legacy: bool,
        on_over: Callable[[McpConnection, bool], None],
        on_tools_changed: Callable[[], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._spec = spec
        self._environ = environ
        self._state_dir = state_dir
        self.started_s = started_s
        self._legacy = legacy
        self._on_over = on_over
        self._on_tools_changed = on_tools_changed
        self._ready: asyncio.Future[Client] = self.loop.create_future()
        self._ready.add_done_callback(_look_at)
        self._closing = asyncio.Event()
        self._over = asyncio.Event()
        self._leaving = False
        self._child: McpChild | None = None
        self._users = 0
        self._idle: asyncio.TimerHandle | None = None
        self._sent: set[asyncio.Future[Any]] = set()
        self.why = ""
        self.start_ran_out = False  # it used up all the time it had to start
        self._version = ""
        self._task = asyncio.create_task(self._own(), name=f"mcp-{spec.name}")

    @property
    def usable(self) -> bool:
        """Whether it starts or serves; False once it ends."""
        return not (self._closing.is_set() or self._leaving or self._dying)

    @property
    def served(self) -> bool:
        """Whether it ever was ready for requests."""
        ready = self._ready
        return ready.done() and not ready.cancelled() and ready.exception() is None

    @property
    def pid(self) -> int | None:
        """Process id of the child; None before it started, and for HTTP."""
        return self._child.pid if self._child else None

    @property
    def speaks_legacy(self) -> bool:
        """Whether it turned out to speak the protocol with a handshake."""
        from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

        return self._version in HANDSHAKE_PROTOCOL_VERSIONS

    @property
    def junk_lines(self) -> int:
        """Lines of its output that were no messages."""
        return self._child.junk_lines if self._child else 0

    async def client(self) -> Client:
        """Wait until it serves.

        Raises:
            MachineError: it does not start.
        """
        # Shielded: a caller who gives up does not take the start from the others.
        return await asyncio.shield(self._ready)

    async def request(self, send: Callable[[Client], Awaitable[T]], timeout_s: float) -> T:
        """Send one request; when the caller is cancelled, so is the request.

        Raises:
            ConnectionLost: the server ended meanwhile.
            TimeoutError: no answer in time; the server stays usable.
            MachineError: it does not start.
            Exception: what the SDK raises for an answer that is an error.
        """
        self._users += 1
        self._stop_idling()
        try:
            return await self._exchange(send, await self.client(), timeout_s)
        finally:
            self._users -= 1
            self._start_idling()

    async def _exchange(
        self, send: Callable[[Client], Awaitable[T]], client: Client, timeout_s: float
    ) -> T:
        work = asyncio.ensure_future(send(client))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({work, over}, timeout=timeout_s, return_when="FIRST_COMPLETED")
            if work.done() and not self._is_lost(work):
                return work.result()
            if work.done():
                # Its death is known a moment before what is known of it.
                ending = self._leaving or self._dying
                await asyncio.wait({over}, timeout=_STOP_WITHIN_S if ending else 0)
            if work.done() or over.done():
                self._closing.set()
                raise ConnectionLost
            raise TimeoutError
        finally:
            over.cancel()
            if not work.done():
                work.cancel()  # tells the server too
                self._sent.add(work)
                work.add_done_callback(self._forget)

    def _is_lost(self, work: asyncio.Future[Any]) -> bool:
        if work.cancelled():
            return True
        error = work.exception()
        # The SDK's word for a client that was left meanwhile is a bare RuntimeError.
        return is_loss(error) or (isinstance(error, RuntimeError) and not self.usable)

    @property
    def _dying(self) -> bool:
        return self._over.is_set() or (self._child is not None and self._child.gone.is_set())

    def _forget(self, work: asyncio.Future[Any]) -> None:
        self._sent.discard(work)
        _look_at(work)

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _start_idling(self) -> None:
        if self._users == 0 and self._spec.unload_after_s is not None and self.usable:
            self._stop_idling()
            self._idle = self.loop.call_later(self._spec.unload_after_s, self._closing.set)

    async def stop(self) -> None:
        """End it and wait until its child is gone."""
        self._closing.set()
        self._stop_idling()
        _, pending = await asyncio.wait({self._task}, timeout=_STOP_WITHIN_S)
        if pending:
            self._task.cancel()
            if self._child is not None:
                self._child.kill()
            await asyncio.wait({self._task}, timeout=_STOP_WITHIN_S)

    def abandon(self) -> None:
        """End it from another event loop than its own, which may be closed already."""
        if self._child is not None and not self._over.is_set():
            self._child.kill()
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._closing.set)

    async def _own(self) -> None:
        """Be the task that enters and leaves the client."""
        failure: BaseException | None = None
        try:
            async with asyncio.timeout(self._spec.start_timeout_s) as deadline:
                await self._live(deadline)
        except BaseException as error:
            failure = error
            if not self._ready.done():
                self.start_ran_out = isinstance(error, TimeoutError)
                self._ready.set_exception(
                    start_failure(self._spec, self._environ, self._child, error)
                )
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # ours; one that the SDK raised is only how it says that the server died
        finally:
            by_itself = not self._closing.is_set()
            self.why = reason(self._spec, self._environ, self._child, failure)
            self._stop_idling()
            if not self._ready.done():
                self._ready.set_exception(
                    start_failure(self._spec, self._environ, self._child, None)
                )
            self._over.set()
            self._on_over(self, by_itself)

    async def _live(self, deadline: asyncio.Timeout) -> None:
        await asyncio.to_thread(load_sdk)  # half a second that nobody else shall wait for
        from mcp import Client
        from mcp_types import Implementation

        async with (
            self._transport() as transport,
            Client(
                transport,
                mode="legacy" if self._legacy else "auto",
                read_timeout_seconds=self._spec.start_timeout_s,
                elicitation_callback=_decline,
                message_handler=self._hear,
                client_info=Implementation(name="ymera", version="0"),
            ) as client,
        ):
            deadline.reschedule(None)
            self._version = client.protocol_version
            self._ready.set_result(client)
            self._start_idling()
            try:
                await self._until_over()
            finally:
                self._leaving = True  # from here on the client takes no more requests

    async def _until_over(self) -> None:
        waits = [asyncio.create_task(self._closing.wait())]
        if self._child is not None:
            waits.append(asyncio.create_task(self._child.gone.wait()))
        try:
            await asyncio.wait(waits, return_when="FIRST_COMPLETED")
        finally:
            for wait in waits:
                wait.cancel()

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[Transport]:
        if self._spec.command is not None:
            async with running_child(self._spec, self._environ, self._state_dir) as child:
                self._child = child
                yield child.transport()
        else:
            from ymera.tools.mcp_http import http_transport

            async with http_transport(self._spec, self._environ) as transport:
                yield transport

    async def _hear(self, message: IncomingMessage) -> None:
        from mcp_types import ToolListChangedNotification

        if isinstance(message, ToolListChangedNotification):
            self._on_tools_changed()


async def _decline(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Answer a server that wants to ask the user something: nobody is asked."""
    from mcp_types import ElicitResult

    return ElicitResult(action="decline")


def _look_at(future: asyncio.Future[Any]) -> None:
    """Take note of a failure nobody may be waiting for."""
    if not future.cancelled():
        future.exception()
