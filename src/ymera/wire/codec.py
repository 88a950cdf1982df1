"""What a dialect offers: to ask upstreams in it, and to answer callers in it.

Each dialect's package holds one or both as `UPSTREAM` and `CALLER`; clients, server and simulator
know dialects by these alone (`ymera.wire.dialects` finds them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ymera.core.answer import ChatAnswer, ChatEvent
from ymera.core.chat import ChatRequest
from ymera.core.errors import ProviderError, YmeraError
from ymera.core.model import Dialect, Quirk

__all__ = [
    "AnswerHead",
    "CallerDialect",
    "DecodeError",
    "EncodeRequest",
    "EncodedRequest",
    "Framing",
    "StreamDecoder",
    "StreamEncoder",
    "UpstreamDialect",
]


class Framing(StrEnum):
    """How a streamed answer is cut into pieces."""

    SSE = "text/event-stream"
    NDJSON = "application/x-ndjson"


@dataclass(frozen=True, kw_only=True)
class EncodedRequest:
    """The body for an upstream, and what of the request it could not say, one sentence each."""

    body: bytes
    losses: tuple[str, ...] = ()


class StreamDecoder(Protocol):
    """Turns the pieces of one streamed answer into events.

    Attributes:
        finished: `Finish` was given out; only usage may still follow. A stream that ends before
            is broken.
        done: the dialect's last word came: read no further. Stays False where there is none.
    """

    finished: bool
    done: bool

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Return the events of one piece: the data of a server-sent event, or one line.

        Raises:
            ProviderError: the upstream reports a failure, or this is not its dialect.
        """


class EncodeRequest(Protocol):
    """Writes a request for an upstream."""

    def __call__(
        self, request: ChatRequest, upstream_id: str, flags: frozenset[Quirk]
    ) -> EncodedRequest:
        """Return the body.

        Args:
            request: what to ask, streamed or not as it says.
            upstream_id: the exact id the upstream knows the model by.
            flags: the host's and the model's.

        Raises:
            InvalidRequest: a string holds half of a surrogate pair, so it has no UTF-8 form.
        """


class DecodeError(Protocol):
    """Reads a failed call's answer."""

    def __call__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        now: datetime,
        secrets: Iterable[str] = (),
    ) -> ProviderError:
        """Return what it means; `secrets` must not appear in its message."""


@dataclass(frozen=True, kw_only=True)
class UpstreamDialect:
    """How an upstream is asked.

    Attributes:
        dialect: its name.
        framing: of streamed answers.
        path: takes upstream id and whether the answer is streamed; returns what follows the
            endpoint's base URL, with a slash in front.
        encode_request: writes the body.
        decode_answer: reads a whole answer with status 2xx; `Finish` and usage come last. Raises
            ProviderError.
        stream_decoder: makes the decoder of one streamed answer; takes the secrets.
        decode_error: reads any other status.
    """

    dialect: Dialect
    framing: Framing
    path: Callable[[str, bool], str]
    encode_request: EncodeRequest
    decode_answer: Callable[[bytes, tuple[str, ...]], list[ChatEvent]]
    stream_decoder: Callable[[tuple[str, ...]], StreamDecoder]
    decode_error: DecodeError


@dataclass(frozen=True, kw_only=True)
class AnswerHead:
    """What an answer says of itself.

    Attributes:
        id: name of the request, `req_` and hexadecimal digits; dialects put their prefix instead.
        created: Unix time in whole seconds.
        model: what answered.
        request: what was asked.
        elapsed_s: seconds since it arrived, asked when they are written; None: not said.
    """

    id: str
    created: int
    model: str
    request: ChatRequest
    elapsed_s: Callable[[], float] | None = None


class StreamEncoder(Protocol):
    """Turns events into the bytes of a streamed answer.

    `encode` for each event, then `end` once; or `error` when the answer breaks off, and then
    nothing more: a broken stream never looks complete.
    """

    def encode(self, event: ChatEvent) -> bytes:
        """Return what is sent for one event, possibly nothing; whatever opens the answer first."""

    def end(self) -> bytes:
        """Return what closes the answer; an error when it never finished."""

    def error(self, error: YmeraError) -> bytes:
        """Return what tells the caller, in the middle of an answer, what went wrong."""


@dataclass(frozen=True, kw_only=True)
class CallerDialect:
    """How a caller asks us.

    Attributes:
        dialect: its name.
        framing: of streamed answers.
        decode_request: reads a body. Raises InvalidRequest (`param` names the field), Unsupported.
        encode_answer: writes a whole answer.
        stream_encoder: makes the encoder of one streamed answer.
        encode_error: writes an error; its status is `error.http_status`.
    """

    dialect: Dialect
    framing: Framing
    decode_request: Callable[[bytes], ChatRequest]
    encode_answer: Callable[[ChatAnswer, AnswerHead], bytes]
    stream_encoder: Callable[[AnswerHead], StreamEncoder]
    encode_error: Callable[[YmeraError], bytes]
