"""Embeddings of simulated models: the same text gets the same vector, in each dialect's shape."""

from __future__ import annotations

import base64
import hashlib
import math
import struct

import msgspec

from ymera.core.model import Dialect

__all__ = [
    "UNSAID_DIMS",
    "EmbedWish",
    "answer_embedding",
    "read_embedding",
    "tokens_of",
    "vector_of",
]

_Json = dict[str, object]
UNSAID_DIMS = 64
"""Length of vectors of models that the catalogue says nothing of."""
_MOST_DIMS = 16_384


class EmbedWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants embedded.

    Attributes:
        model: upstream id.
        texts: one vector is wanted for each.
        dimensions: their length; None for the model's own.
        base64: vectors as bytes (the OpenAI dialect alone).
        single: one vector is answered without a list around it (Gemini's `embedContent`).
    """

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    base64: bool = False
    single: bool = False


class _OpenAI(msgspec.Struct):
    model: str
    input: str | list[str]
    encoding_format: str | None = None
    dimensions: int | None = None


class _Text(msgspec.Struct):
    text: str = ""


class _Content(msgspec.Struct):
    parts: list[_Text] = []


class _Gemini(msgspec.Struct, rename="camel"):
    content: _Content = msgspec.field(default_factory=_Content)
    output_dimensionality: int | None = None


class _GeminiBatch(msgspec.Struct):
    requests: list[_Gemini] = []


def read_embedding(dialect: Dialect, body: bytes, *, model: str, single: bool) -> EmbedWish | None:
    """Return what is wanted; None when the body is of another shape.

    Args:
        dialect: the caller's.
        body: JSON.
        model: as the path names it, in Gemini's dialect.
        single: whether the path is Gemini's for one text.
    """
    try:
        if dialect is Dialect.GEMINI:
            return _gemini_wish(body, model, single=single)
        wish = msgspec.json.decode(body, type=_OpenAI)
    except msgspec.DecodeError:
        return None
    texts = (wish.input,) if isinstance(wish.input, str) else tuple(wish.input)
    packed = wish.encoding_format == "base64"
    return EmbedWish(model=wish.model, texts=texts, dimensions=wish.dimensions, base64=packed)


def _gemini_wish(body: bytes, model: str, *, single: bool) -> EmbedWish:
    if single:
        asked = [msgspec.json.decode(body, type=_Gemini)]
    else:
        asked = msgspec.json.decode(body, type=_GeminiBatch).requests
    texts = tuple("".join(part.text for part in each.content.parts) for each in asked)
    dims = next((each.output_dimensionality for each in asked), None)
    return EmbedWish(model=model, texts=texts, dimensions=dims, single=single)


def answer_embedding(dialect: Dialect, wish: EmbedWish, dims: int | None) -> bytes:
    """Return the body of the answer.

    Args:
        dialect: the caller's.
        wish: what is wanted.
        dims: the model's own length; None where it is not known.
    """
    length = min(wish.dimensions or dims or UNSAID_DIMS, _MOST_DIMS)
    vectors = [vector_of(text, length) for text in wish.texts]
    tokens = tokens_of(wish)
    encode = msgspec.json.encode
    match dialect:
        case Dialect.GEMINI if wish.single:
            return encode({"embedding": {"values": vectors[0]}})
        case Dialect.GEMINI:
            return encode({"embeddings": [{"values": vector} for vector in vectors]})
        case Dialect.OLLAMA:
            spent = {"total_duration": 1, "load_duration": 1, "prompt_eval_count": tokens}
            return encode({"model": wish.model, "embeddings": vectors, **spent})
    rows: list[_Json] = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _packed(vector) if wish.base64 else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode({"object": "list", "model": wish.model, "data": rows, "usage": usage})


def tokens_of(wish: EmbedWish) -> int:
    """Return the input tokens, counted in words."""
    return max(sum(len(text.split()) for text in wish.texts), 1)


def vector_of(text: str, length: int) -> list[float]:
    """Return a unit vector that depends on the text alone; its numbers fit 32 bits."""
    raw = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * length)
    values = [(low + 256 * high) / 65_535 - 0.5 for low, high in zip(*[iter(raw)] * 2, strict=True)]
    norm = math.sqrt(sum(value * value for value in values)) or 1.0
    exact = struct.pack(f"<{length}f", *(value / norm for value in values))
    return list(struct.unpack(f"<{length}f", exact))


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
