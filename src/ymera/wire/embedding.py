"""What a dialect offers for embeddings.

`ymera.wire.<dialect>.embeddings` holds it as `UPSTREAM` (we ask) and `CALLER` (a caller asks us).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

import msgspec

from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest
from ymera.core.errors import InvalidRequest, ProviderError, ProviderErrorKind
from ymera.core.model import Dialect

__all__ = [
    "EMBEDDING_DIALECTS",
    "EmbeddingCaller",
    "EmbeddingDialect",
    "embedding_caller",
    "embedding_dialect",
    "encode_body",
    "no_vectors",
    "require_count",
]

EMBEDDING_DIALECTS: frozenset[Dialect] = frozenset(
    {Dialect.OPENAI_CHAT, Dialect.GEMINI, Dialect.OLLAMA}
)
"""What upstreams can be asked for vectors in; Anthropic has no such call."""


class DecodeEmbeddings(Protocol):
    """Reads a whole answer with status 2xx."""

    def __call__(self, body: bytes, wanted: int, secrets: tuple[str, ...]) -> EmbeddingAnswer:
        """Return the vectors.

        Args:
            body: the answer.
            wanted: how many texts were sent.
            secrets: never to appear in an error's message.

        Raises:
            ProviderError: it holds no such vectors, or an error instead.
        """


@dataclass(frozen=True, kw_only=True)
class EmbeddingDialect:
    """How an upstream is asked for vectors; its errors are those of the chat dialect.

    Attributes:
        dialect: its name.
        path: takes the upstream id; returns what follows the endpoint's base URL.
        encode_request: takes request and upstream id; returns the body. Raises Unsupported.
        decode_answer: reads the answer.
    """

    dialect: Dialect
    path: Callable[[str], str]
    encode_request: Callable[[EmbeddingRequest, str], bytes]
    decode_answer: DecodeEmbeddings


@dataclass(frozen=True, kw_only=True)
class EmbeddingCaller:
    """How a caller asks us for vectors.

    Attributes:
        dialect: its name.
        decode_request: reads a body. Raises InvalidRequest and Unsupported; `param` names the
            field.
        encode_answer: takes the answer, what was asked, and the name of the model that answered.
    """

    dialect: Dialect
    decode_request: Callable[[bytes], EmbeddingRequest]
    encode_answer: Callable[[EmbeddingAnswer, EmbeddingRequest, str], bytes]


def embedding_dialect(dialect: Dialect) -> EmbeddingDialect | None:
    """Return how upstreams of a dialect are asked for vectors; None when they cannot be."""
    if dialect not in EMBEDDING_DIALECTS:
        return None
    return cast("EmbeddingDialect", _module(dialect).UPSTREAM)


def embedding_caller(dialect: Dialect) -> EmbeddingCaller:
    """Return how callers of a dialect are answered; it is one of `EMBEDDING_DIALECTS`."""
    return cast("EmbeddingCaller", _module(dialect).CALLER)


def encode_body(fields: Mapping[str, object]) -> bytes:
    """Return a body as JSON.

    Raises:
        InvalidRequest: a string holds half of a surrogate pair, so it has no UTF-8 form.
    """
    try:
        return msgspec.json.encode(fields)
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            "The request holds text that is not valid Unicode (half of a surrogate pair).",
            hint="Remove or re-encode the broken characters.",
            param="input",
        ) from error


def no_vectors() -> ProviderError:
    """Return the error for an answer that is none."""
    return ProviderError(
        "The upstream sent an answer that holds no vectors.", kind=ProviderErrorKind.BAD_ANSWER
    )


def require_count(vectors: tuple[bytes, ...], wanted: int) -> tuple[bytes, ...]:
    """Return the vectors when there is one per text, all of one length.

    Raises:
        ProviderError: there is not.
    """
    lengths = {len(vector) for vector in vectors}
    if len(vectors) != wanted or len(lengths) != 1 or 0 in lengths or next(iter(lengths)) % 4:
        raise ProviderError(
            f"The upstream sent {len(vectors)} usable vectors for {wanted} texts.",
            kind=ProviderErrorKind.BAD_ANSWER,
        )
    return vectors


def _module(dialect: Dialect):  # type: ignore[no-untyped-def]
    return import_module(f"ymera.wire.{dialect.value.replace('-', '_')}.embeddings")
