"""Embeddings of Gemini, both directions: `POST {base}/v1beta/models/{model}:batchEmbedContents`."""

from __future__ import annotations

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
from ymera.wire.gemini.upstream_request import path as chat_path

__all__ = ["CALLER", "UPSTREAM"]

_MOST_INPUTS = 100


class _Part(msgspec.Struct):
    text: str = ""


class _Content(msgspec.Struct):
    parts: list[_Part] = []


class _One(msgspec.Struct, rename="camel"):
    model: str = ""
    content: _Content = msgspec.field(default_factory=_Content)
    output_dimensionality: int | None = None


class _Request(msgspec.Struct):
    requests: list[_One]


class _Values(msgspec.Struct):
    values: list[float] = []


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None


class _Answer(msgspec.Struct, rename="camel"):
    embeddings: list[_Values] = []
    usage_metadata: _Usage | None = None


_request = msgspec.json.Decoder(_Request)
_answer = msgspec.json.Decoder(_Answer)


def encode_request(request: EmbeddingRequest, upstream_id: str) -> bytes:
    """Return the body.

    Raises:
        Unsupported: more texts than Gemini takes at once; sent in parts they would be several
            calls of a daily allowance.
    """
    if len(request.inputs) > _MOST_INPUTS:
        raise Unsupported(
            f"`input` holds {len(request.inputs):,} texts; Gemini takes {_MOST_INPUTS} at once.",
            hint="Send them in several requests.",
            param="input",
        )
    model = f"models/{upstream_id}"
    common: dict[str, object] = {"model": model}
    if request.dimensions is not None:
        common["outputDimensionality"] = request.dimensions
    each = [{**common, "content": {"parts": [{"text": text}]}} for text in request.inputs]
    return encode_body({"requests": each})


def decode_answer(body: bytes, wanted: int, secrets: tuple[str, ...]) -> EmbeddingAnswer:
    """Return the vectors of an answer; see `DecodeEmbeddings`."""
    try:
        wire = _answer.decode(body)
        vectors = tuple(pack(each.values) for each in wire.embeddings)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise no_vectors() from error
    usage = wire.usage_metadata
    tokens = None if usage is None else usage.prompt_token_count
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
        requests = _request.decode(body).requests
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            "The request has the wrong shape.",
            hint="Send `requests`, each with `model` and `content`.",
            param="requests",
        ) from error
    inputs = tuple("".join(part.text for part in each.content.parts) for each in requests)
    if not inputs or "" in inputs:
        raise InvalidRequest(
            "`requests` is empty, or holds one without text.",
            hint="Send at least one text, and no empty one.",
            param="requests",
        )
    return EmbeddingRequest(
        model=requests[0].model.removeprefix("models/"),
        inputs=inputs,
        dimensions=requests[0].output_dimensionality,
    )


def encode_answer(answer: EmbeddingAnswer, request: EmbeddingRequest, model: str) -> bytes:
    """Return the answer; Gemini does not name the model in it. Unknown usage is left out."""
    fields: dict[str, object] = {
        "embeddings": [{"values": unpack(vector)} for vector in answer.vectors]
    }
    if answer.usage is not None:
        fields["usageMetadata"] = {"promptTokenCount": answer.usage.input_tokens}
    return msgspec.json.encode(fields)


def _model_path(upstream_id: str) -> str:
    """Return the path of a model as chat has it, without what is to be done."""
    return chat_path(upstream_id, False).rpartition(":")[0]


UPSTREAM = EmbeddingDialect(
    dialect=Dialect.GEMINI,
    path=lambda upstream_id: f"{_model_path(upstream_id)}:batchEmbedContents",
    encode_request=encode_request,
    decode_answer=decode_answer,
)

CALLER = EmbeddingCaller(
    dialect=Dialect.GEMINI, decode_request=decode_request, encode_answer=encode_answer
)
