"""Embeddings of the OpenAI dialect, both directions: `POST {base}/embeddings`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Annotated, Literal

import msgspec

from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest, pack, unpack
from ymera.core.errors import InvalidRequest, Unsupported
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.embedding import (
    EmbeddingCaller,
    EmbeddingDialect,
    encode_body,
    no_vectors,
    require_count,
)
from ymera.wire.openai_chat.answer import read_usage
from ymera.wire.openai_chat.errors import decode_error_value

__all__ = ["CALLER", "UPSTREAM"]

_MOST_INPUTS = 2048
_NEVER_FORWARDED = frozenset({"api_base", "api_key", "base_url", "fallbacks", "provider", "route"})
"""As for chat: no caller chooses another address, key or host by a field."""
_NOTHING = msgspec.Raw()


class _Request(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=65_536)] | None = None
    encoding_format: Literal["float", "base64"] | None = None


class _Datum(msgspec.Struct):
    embedding: msgspec.Raw = _NOTHING
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Datum] = []
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


_request = msgspec.json.Decoder(_Request)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_answer = msgspec.json.Decoder(_Answer)
_usage = msgspec.json.Decoder(_Usage)
_numbers = msgspec.json.Decoder(list[float])
_string = msgspec.json.Decoder(str)


def decode_request(body: bytes) -> EmbeddingRequest:
    """Return the request that a caller sent.

    Raises:
        InvalidRequest: not JSON, or a field missing, of the wrong type or empty; `param` names it.
        Unsupported: tokens instead of text: every model has its own.
    """
    try:
        wire = _request.decode(body)
        fields = _fields.decode(body)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        param = place.rstrip("`") or (what.split("`")[1] if "missing" in what else None)
        raise InvalidRequest(
            f"The request has the wrong shape: {what[:1].lower()}{what[1:]}.",
            hint="Send `model` and `input`, a string or a list of strings.",
            param=param,
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            "The request body is not valid JSON in UTF-8.",
            hint="Send one JSON object encoded as UTF-8, with `model` and `input`.",
        ) from error
    return EmbeddingRequest(
        model=wire.model,
        inputs=_texts(wire.input),
        dimensions=wire.dimensions,
        as_base64=wire.encoding_format == "base64",
        extra={name: raw for name, raw in fields.items() if name not in _Request.__struct_fields__},
    )


def encode_answer(answer: EmbeddingAnswer, request: EmbeddingRequest, model: str) -> bytes:
    """Return the answer in the encoding the request asked for; unknown usage is null."""
    fields: dict[str, object] = {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": b64encode(vector).decode() if request.as_base64 else unpack(vector),
            }
            for index, vector in enumerate(answer.vectors)
        ],
        "model": model,
        "usage": None,
    }
    if answer.usage is not None:
        tokens = answer.usage.input_tokens
        fields["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode(fields)


def encode_request(request: EmbeddingRequest, upstream_id: str) -> bytes:
    """Return the body for an upstream; numbers are asked for, which every host can send."""
    fields: dict[str, object] = {
        name: raw for name, raw in request.extra.items() if name not in _NEVER_FORWARDED
    }
    fields |= {"model": upstream_id, "input": request.inputs, "encoding_format": "float"}
    if request.dimensions is not None:
        fields["dimensions"] = request.dimensions
    return encode_body(fields)


def decode_answer(body: bytes, wanted: int, secrets: tuple[str, ...]) -> EmbeddingAnswer:
    """Return the vectors of an answer, in either encoding; see `DecodeEmbeddings`."""
    try:
        wire = _answer.decode(body)
        if bytes(wire.error) not in {b"", b"null"}:
            raise decode_error_value(bytes(wire.error), secrets=secrets)
        placed = {
            place if datum.index is None else datum.index: _vector(bytes(datum.embedding))
            for place, datum in enumerate(wire.data)
        }
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise no_vectors() from error
    vectors = tuple(vector for _, vector in sorted(placed.items()))
    report = read_usage(wire.usage)  # for the cost; it wants more counts than there may be
    return EmbeddingAnswer(
        vectors=require_count(vectors, wanted),
        usage=_read_tokens(wire.usage),
        cost_usd=None if report is None else report.cost_usd,
    )


def _texts(wire: str | list[str | int | list[int]]) -> tuple[str, ...]:
    given = [wire] if isinstance(wire, str) else wire
    texts = tuple(each for each in given if isinstance(each, str))
    if len(texts) != len(given):
        raise Unsupported(
            "`input`: lists of tokens are not supported, since every model has tokens of its own.",
            hint="Send text: a string or a list of strings.",
            param="input",
        )
    if not texts or "" in texts:
        raise InvalidRequest(
            "`input` is empty, or holds an empty text.",
            hint="Send at least one text, and no empty one.",
            param="input",
        )
    if len(texts) > _MOST_INPUTS:
        raise InvalidRequest(
            f"`input` holds {len(texts):,} texts; {_MOST_INPUTS:,} are the most at once.",
            hint="Send them in several requests.",
            param="input",
        )
    return texts


def _vector(raw: bytes) -> bytes:
    if raw.startswith(b'"'):
        return b64decode(_string.decode(raw), validate=True)
    return pack(_numbers.decode(raw))


def _read_tokens(raw: msgspec.Raw) -> Usage | None:
    """Return the tokens; None when they are absent or make no sense."""
    if bytes(raw) in {b"", b"null"}:
        return None
    try:
        wire = _usage.decode(raw)
    except msgspec.DecodeError:
        return None
    tokens = wire.total_tokens if wire.prompt_tokens is None else wire.prompt_tokens
    return None if tokens is None or tokens < 0 else Usage(input_tokens=tokens)


UPSTREAM = EmbeddingDialect(
    dialect=Dialect.OPENAI_CHAT,
    path=lambda _upstream_id: "/embeddings",
    encode_request=encode_request,
    decode_answer=decode_answer,
)

CALLER = EmbeddingCaller(
    dialect=Dialect.OPENAI_CHAT, decode_request=decode_request, encode_answer=encode_answer
)
