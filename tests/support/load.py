"""Callers that keep a server busy and write down what each of their requests came to.

Plain sockets: a client library would take more of the machine than the server it asks.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from urllib.parse import urlsplit

import msgspec

__all__ = ["Heard", "Kind", "Load", "run_load"]

ANSWER_WITHIN_S = 60
CANCELLED = "cancelled"
POPULAR = 20
"""Prompts that are asked again and again, so that the cache has something to do."""


class Kind(StrEnum):
    """What a caller does."""

    FRESH = "a question nobody asked before"
    POPULAR = "a question that was asked before"
    STREAM = "a streamed question"
    BROKEN = "a model that fails"
    CUT = "a streaming model that breaks off"
    UNKNOWN = "a model that does not exist"
    EMPTY = "an empty prompt"
    GONE = "a caller that hangs up in the middle of the answer"


WEIGHTS = {
    Kind.FRESH: 35,
    Kind.POPULAR: 20,
    Kind.STREAM: 22,
    Kind.BROKEN: 5,
    Kind.CUT: 4,
    Kind.UNKNOWN: 5,
    Kind.EMPTY: 4,
    Kind.GONE: 5,
}
MODELS = {
    Kind.FRESH: "stage/actor",
    Kind.POPULAR: "stage/actor",
    Kind.STREAM: "stage/understudy",
    Kind.BROKEN: "shaky/broken",
    Kind.CUT: "shaky/cut",
    Kind.UNKNOWN: "stage/nobody",
    Kind.EMPTY: "stage/actor",
    Kind.GONE: "shaky/stalls",
}
STREAMED = frozenset({Kind.STREAM, Kind.CUT, Kind.GONE})


@dataclass(frozen=True)
class Heard:
    """One request as its caller saw it end; `model` and `error` are None where there was none."""

    kind: Kind
    model: str | None
    error: str | None
    cached: bool = False


@dataclass
class Load:
    """What all callers heard, by request id, and what they could make nothing of."""

    heard: dict[str, Heard] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, of: str) -> Counter[str]:
        """Return how often each value of a field of `Heard` occurs, None left out."""
        values = (getattr(each, of) for each in self.heard.values())
        return Counter(str(value) for value in values if value is not None)


class _Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]


class _ErrorBody(msgspec.Struct):
    code: str


class _Body(msgspec.Struct):
    error: _ErrorBody | None = None


async def run_load(url: str, *, callers: int, seconds: float, seed: int = 0) -> Load:
    """Let `callers` ask without a pause for so many seconds, then finish what they began."""
    load = Load()
    started = time.monotonic()
    until = started + seconds
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    await asyncio.gather(
        *(
            _Caller(parts.hostname, parts.port, load, f"{seed}-{number}").ask_until(until)
            for number in range(callers)
        )
    )
    load.seconds = time.monotonic() - started
    return load


class _Caller:
    """One caller with one connection, opened again where it was closed."""

    def __init__(self, host: str, port: int, load: Load, name: str) -> None:
        self._address = host, port
        self._load = load
        self._rng = random.Random(name)
        self._kinds = self._draw()
        self._prompts = (f"caller {name}, question {n}" for n in count())
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask_until(self, until: float) -> None:
        while time.monotonic() < until:
            kind = next(self._kinds)
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await self._ask(kind)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self._load.strange.append(f"{kind}: {type(error).__name__}: {error}")
                await self._hang_up()
        await self._hang_up()

    def _draw(self) -> Iterator[Kind]:
        while True:
            yield from self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=100)

    async def _ask(self, kind: Kind) -> None:
        if self._connection is None:
            self._connection = await asyncio.open_connection(*self._address)
        reader, writer = self._connection
        writer.write(_request(kind, self._prompt(kind)))
        answer = await _read_head(reader)
        if kind is Kind.GONE and answer.status == 200:
            await _read_chunk(reader)  # the first event; no more will come
            await self._hang_up()
            self._note(answer, kind, CANCELLED)
            return
        body = await _read_body(reader, answer)
        self._note(answer, kind, _error_in(body, answer))

    def _prompt(self, kind: Kind) -> str:
        if kind is Kind.EMPTY:
            return " "
        return (
            f"popular {self._rng.randrange(POPULAR)}"
            if kind is Kind.POPULAR
            else next(self._prompts)
        )

    def _note(self, answer: _Answer, kind: Kind, error: str | None) -> None:
        headers = answer.headers
        id_ = headers.get("x-request-id", "")
        if not id_ or id_ in self._load.heard:
            self._load.strange.append(f"{kind}: {answer.status} with request id {id_!r}")
            return
        cached = headers.get("x-ymera-cache") == "hit"
        self._load.heard[id_] = Heard(kind, headers.get("x-ymera-model"), error, cached)

    async def _hang_up(self) -> None:
        if self._connection is not None:
            _, writer = self._connection
            self._connection = None
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def _request(kind: Kind, prompt: str) -> bytes:
    body = msgspec.json.encode(
        {
            "model": MODELS[kind],
            "messages": [{"role": "user", "content": prompt}],
            "stream": kind in STREAMED,
        }
    )
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


async def _read_head(reader: asyncio.StreamReader) -> _Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return _Answer(int(first.split(" ")[1]), headers)


async def _read_body(reader: asyncio.StreamReader, answer: _Answer) -> bytes:
    if "content-length" in answer.headers:
        return await reader.readexactly(int(answer.headers["content-length"]))
    pieces = []
    while piece := await _read_chunk(reader):
        pieces.append(piece)
    return b"".join(pieces)


async def _read_chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


def _error_in(body: bytes, answer: _Answer) -> str | None:
    """Return the code of the error that the answer is or ends in."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        *_, last = (event for event in body.split(b"\n\n") if event)
        return None if last == b"data: [DONE]" else _code(last.removeprefix(b"data: "))
    return None if answer.status == 200 else _code(body)


def _code(body: bytes) -> str:
    error = msgspec.json.decode(body, type=_Body).error
    return "no error object" if error is None else error.code
