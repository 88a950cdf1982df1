"""Embeddings of the Ollama dialect, both directions: `POST {host}/api/embed`."""

from __future__ import annotations

import msgspec

from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest, pack, unpack
from ymera.core.errors import InvalidRequest, ProviderError, ProviderErrorKind
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.embedding import (
    EmbeddingCaller,
    EmbeddingDialect,
    encode_body,
    no_vectors,
    require_count,
)

__all__ = ["CALLER", "UPSTREAM"]


class _Request(msgspec.Struct):
    model: str
    input: str | list[str]
    dimensions: int | None = None


class _Answer(msgspec.Struct):
    embeddings: list[list[float]] = []
    prompt_eval_count: int | None = None
    error: str | None = None


_request = msgspec.json.Decoder(_Request)
_answer = msgspec.json.Decoder(_Answer)


def encode_request(request: EmbeddingRequest, upstream_id: str) -> bytes:
    """Return the body; a text that is too long is refused by the server, not cut in silence."""
    fields: dict[str, object] = {
        "model": upstream_id,
        "input": request.inputs,
        "truncate": False,
    }
    if request.dimensions is not None:
        fields["dimensions"] = request.dimensions
    return encode_body(fields)


def decode_answer(body: bytes, wanted: int, secrets: tuple[str, ...]) -> EmbeddingAnswer:
    """Return the vectors of an answer; see `DecodeEmbeddings`."""
    try:
        wire = _answer.decode(body)
        vectors = tuple(pack(numbers) for numbers in wire.embeddings)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise no_vectors() from error
    if wire.error is not None:
        raise ProviderError(
            "The upstream reported an error instead of vectors.",
            kind=ProviderErrorKind.TRANSIENT,
        )
    tokens = wire.prompt_eval_count
    return EmbeddingAnswer(
        vectors=require_count(vectors, wanted),
        usage=None if tokens is None or tokens < 0 else Usage(input_tokens=tokens),
    )


def decode_request(body: bytes) -> EmbeddingRequest:
    """Return the request that a caller sent.

    Raises:
        InvalidRequest: not such a request, or without text.
    """
    try:
        wire = _request.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            "The request has the wrong shape.",
            hint="Send `model` and `input`, a string or a list of strings.",
            param="input",
        ) from error
    inputs = (wire.input,) if isinstance(wire.input, str) else tuple(wire.input)
    if not inputs or "" in inputs:
        raise InvalidRequest(
            "`input` is empty, or holds an empty text.",
            hint="Send at least one text, and no empty one.",
            param="input",
        )
    return EmbeddingRequest(model=wire.model, inputs=inputs, dimensions=wire.dimensions)


def encode_answer(answer: EmbeddingAnswer, request: EmbeddingRequest, model: str) -> bytes:
    """Return the answer; unknown usage is left out."""
    fields: dict[str, object] = {
        "model": model,
        "embeddings": [unpack(vector) for vector in answer.vectors],
        "total_duration": 1,
        "load_duration": 1,
    }
    if answer.usage is not None:
        fields["prompt_eval_count"] = answer.usage.input_tokens
    return msgspec.json.encode(fields)


UPSTREAM = EmbeddingDialect(
    dialect=Dialect.OLLAMA,
    path=lambda _upstream_id: "/api/embed",
    encode_request=encode_request,
    decode_answer=decode_answer,
)

CALLER = EmbeddingCaller(
    dialect=Dialect.OLLAMA, decode_request=decode_request, encode_answer=encode_answer
)
