"""Tokens and money."""

from __future__ import annotations

from decimal import Decimal

import msgspec

__all__ = ["Price", "Usage", "cost_usd"]

_PER_MILLION = Decimal(1_000_000)


_MOST_TOKENS = 10**12


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one call as the upstream counted them.

    Attributes:
        input_tokens: all prompt tokens, cached ones included.
        output_tokens: all generated tokens, reasoning ones included.
        cached_tokens: part of `input_tokens` read from the upstream's prompt cache.
        reasoning_tokens: part of `output_tokens` spent on hidden reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens

    @property
    def is_believable(self) -> bool:
        """Whether a call can have had so many; no store has to hold more."""
        counts = (
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.reasoning_tokens,
        )
        return min(counts) >= 0 and max(counts) <= _MOST_TOKENS


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """List price in USD per million tokens; None = not known (never the same as 0)."""

    input_usd_per_mtok: Decimal | None = None
    output_usd_per_mtok: Decimal | None = None


def cost_usd(usage: Usage | None, price: Price) -> Decimal | None:
    """Return what a call costs at `price`, or None when usage or price is unknown.

    Cached tokens are charged at the full input price: an upper bound, since discounts differ by
    vendor.
    """
    if price.input_usd_per_mtok == 0 and price.output_usd_per_mtok == 0:
        return Decimal(0)
    if usage is None or price.input_usd_per_mtok is None or price.output_usd_per_mtok is None:
        return None
    return (
        usage.input_tokens * price.input_usd_per_mtok
        + usage.output_tokens * price.output_usd_per_mtok
    ) / _PER_MILLION
