"""Texts as vectors, in no vendor's dialect."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ymera.core.quota import LimitSeen
from ymera.core.usage import Usage

__all__ = ["EmbeddingAnswer", "EmbeddingRequest", "Embeddings", "pack", "unpack"]


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Texts to be embedded.

    Attributes:
        model: catalogue id, or the name that every host of the model shares.
        inputs: at least one text, none empty.
        dimensions: wanted length of the vectors; None leaves the model's own.
        as_base64: whether the caller reads base64 of packed floats instead of numbers.
        private: only models on own machines and hosts known not to train on free traffic.
        no_store: keep no text, whatever the configuration says.
        extra: fields this version does not know, by name, as encoded JSON; passed through to
            upstreams of the OpenAI dialect.
    """

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    as_base64: bool = False
    private: bool = False
    no_store: bool = False
    extra: dict[str, msgspec.Raw] = {}


class EmbeddingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One vector per text, in their order.

    Attributes:
        vectors: each a run of 32-bit floats, little-endian, which is what base64 holds on the wire
            and what vector stores take; `unpack` makes numbers of one.
        usage: tokens; None when the upstream does not say.
        cost_usd: what the upstream says it cost; None when it does not say.
        limits: what its headers say of the vendor's limits.
    """

    vectors: tuple[bytes, ...]
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    limits: tuple[LimitSeen, ...] = ()

    @property
    def dimensions(self) -> int:
        """Length of the vectors."""
        return len(self.vectors[0]) // 4 if self.vectors else 0


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """What `ai.embed` returns.

    Attributes:
        vectors: one per text, in their order.
        model: catalogue id of what made them; vectors of two models cannot be compared.
        usage: tokens; None when the upstream does not say.
        cost_usd: None when it is not known.
    """

    vectors: tuple[list[float], ...]
    model: str
    usage: Usage | None = None
    cost_usd: Decimal | None = None


def pack(numbers: Sequence[float]) -> bytes:
    """Return numbers as 32-bit floats, little-endian.

    Raises:
        OverflowError: one is too large for 32 bits.
    """
    return struct.pack(f"<{len(numbers)}f", *numbers)


def unpack(vector: bytes) -> list[float]:
    """Return the numbers of a packed vector, whose length is a multiple of 4."""
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))
