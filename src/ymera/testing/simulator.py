"""A loopback server that plays a provider of the OpenAI chat dialect.

Plain asyncio sockets, because half of its business is to break the rules of HTTP: to stall, to cut,
to lie. What it says comes from the same script form as `ScriptedProvider`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

import msgspec

from ymera.core.answer import (
    AnswerBuilder,
    ChatAnswer,
    UsageReport,
)
from ymera.core.chat import ChatRequest
from ymera.core.errors import YmeraError
from ymera.testing.faults import Fault, FaultAnswer, answer_for
from ymera.testing.scripted import events_of, useful_echo
from ymera.wire import openai_chat as wire
from ymera.wire.sse import sse_event

__all__ = ["Fault", "SeenRequest", "Simulator"]

_BODY_LIMIT_BYTES = 64 * 1024 * 1024
_HEAD_LIMIT_BYTES = 64 * 1024
_CREATED = 1_760_000_000
_DIED = b'{"error":{"message":"upstream died","code":502}}'
_EVENT_STREAM = "text/event-stream; charset=utf-8"

Answerer = Callable[[ChatRequest], ChatAnswer]


class SeenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes


class Simulator:
    """Runs while its `async with` block lasts.

    Args:
        answer: makes the answer of every model that has no fault.
        faults: what goes wrong, by model id as the caller names it; every such id and `models`
            are listed by `GET /v1/models`.
        models: ids that answer. Any other id answers too, unless it has a fault.
        keys: accepted bearer keys; empty accepts everything.
        pause: awaited between streamed pieces with their number from 0: a test's gate or clock.

    Attributes:
        base_url: up to and including `/v1`; set on entry.
        seen: every request, in order.
        connections: connections accepted so far.
        hang_ups: set for good once a caller has left in the middle of an answer.
    """

    def __init__(
        self,
        *,
        answer: Answerer = useful_echo,
        faults: Mapping[str, Fault] | None = None,
        models: tuple[str, ...] = ("sim-small", "sim-large"),
        keys: frozenset[str] = frozenset(),
        pause: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._answer = answer
        self._faults = dict(faults or {})
        self._models = models
        self._keys = keys
        self._pause = pause
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.base_url = ""
        self.seen: list[SeenRequest] = []
        self.connections = 0
        self.hang_ups = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=_HEAD_LIMIT_BYTES
        )
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    # --- one connection ----------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.connections += 1
        ahead: bytes | None = b""
        try:
            while ahead is not None:
                ahead = await self._one_request(ahead, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass  # by __aexit__; asyncio's own callback would complain about a cancelled handler
        finally:
            writer.close()

    async def _one_request(
        self, ahead: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Answer one request; return what was read of the next one, None to close.

        Args:
            ahead: what was read of this one already.
            reader: the rest of it.
            writer: takes the answer.
        """
        head = ahead + await reader.readuntil(b"\r\n\r\n")
        request_line, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        if length > _BODY_LIMIT_BYTES:
            return None
        body = await reader.readexactly(length)
        method, path = (*request_line.split(" "), "", "")[:2]
        self.seen.append(SeenRequest(path=path, headers=headers, body=body))
        # Reading on while answering is how a caller that leaves is noticed: it gets b"".
        watch = asyncio.ensure_future(reader.read(1))
        answering = asyncio.ensure_future(self._respond(method, path, headers, body, writer))
        try:
            await asyncio.wait({watch, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and watch.done() and not _bytes_of(watch):
                self.hang_ups.set()
                return None
            keep = await answering
            return _bytes_of(watch) if keep else None
        finally:
            answering.cancel()
            watch.cancel()
            await asyncio.gather(answering, watch, return_exceptions=True)

    async def _respond(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        writer: asyncio.StreamWriter,
    ) -> bool:
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if self._keys and key not in self._keys:
            return await _send_fault(writer, answer_for(Fault.UNAUTHORIZED))
        if method == "GET" and path == "/v1/models":
            ids = dict.fromkeys((*self._models, *self._faults))
            return await _send(writer, 200, wire.encode_models(ids, _CREATED))
        if method != "POST" or path != "/v1/chat/completions":
            return await _send_fault(writer, answer_for(Fault.GONE))
        try:
            request = wire.decode_request(body)
        except YmeraError as error:
            return await _send(writer, error.http_status, wire.encode_error(error))
        fault = self._faults.get(request.model)
        if fault is not None and (answer := answer_for(fault)).status is not None:
            return await _send_fault(writer, answer)
        return await self._chat(request, fault, writer)

    async def _chat(
        self, request: ChatRequest, fault: Fault | None, writer: asyncio.StreamWriter
    ) -> bool:
        if fault is Fault.SLOW_FIRST_BYTE:
            await asyncio.Event().wait()  # until the caller has had enough
        if fault is Fault.CUT_BEFORE_HEAD:
            return False
        answer = self._answer(request)
        if fault is Fault.MISSING_USAGE:
            answer = msgspec.structs.replace(answer, usage=None)
        if request.stream:
            return await self._stream(request, answer, fault, writer)
        if fault is Fault.ERROR_EVENT:
            return await _send(writer, 200, _DIED)
        body = wire.encode_answer(answer, id="chatcmpl-sim", created=_CREATED, model=request.model)
        if fault in {Fault.STALL, Fault.CUT_MID_STREAM}:
            writer.write(_head(200, "application/json", len(body)) + body[: len(body) // 2])
            await writer.drain()
            if fault is Fault.STALL:
                await asyncio.Event().wait()
            return False
        return await _send(writer, 200, body)

    async def _stream(
        self,
        request: ChatRequest,
        answer: ChatAnswer,
        fault: Fault | None,
        writer: asyncio.StreamWriter,
    ) -> bool:
        encoder = wire.StreamEncoder(
            "chatcmpl-sim", _CREATED, request.model, include_usage=request.include_usage
        )
        writer.write(_head(200, _EVENT_STREAM, None))
        built = AnswerBuilder()
        for number, event in enumerate(events_of(answer, streamed=True)):
            if self._pause is not None:
                await self._pause(number)
            built.add(event)
            _write_chunk(writer, encoder.encode(event))
            await writer.drain()
            if fault is Fault.STALL and not isinstance(event, UsageReport):
                await asyncio.Event().wait()
            if fault is Fault.CUT_MID_STREAM:
                return False
            if fault is Fault.ERROR_EVENT:
                _write_chunk(writer, sse_event(_DIED))
                break
        else:
            _write_chunk(writer, encoder.end())
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def _bytes_of(watch: asyncio.Future[bytes]) -> bytes:
    if not watch.done() or watch.exception() is not None:
        return b""
    return watch.result()


def _head(status: int, content_type: str, length: int | None, extra: str = "") -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return (
        f"HTTP/1.1 {status} Simulated\r\ncontent-type: {content_type}\r\n{framing}\r\n"
        f"x-request-id: sim\r\n{extra}\r\n"
    ).encode()


def _write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    if data:
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes) -> bool:
    # Head and body in one write: two would wait for each other (Nagle, delayed acknowledgement).
    writer.write(_head(status, "application/json", len(body)) + body)
    await writer.drain()
    return True


async def _send_fault(writer: asyncio.StreamWriter, fault: FaultAnswer) -> bool:
    extra = "".join(f"{name}: {value}\r\n" for name, value in fault.headers.items())
    head = _head(fault.status or 500, fault.content_type, len(fault.body), extra)
    writer.write(head + fault.body)
    await writer.drain()
    return True
