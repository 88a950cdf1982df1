"""Token counts.

This dialect's `input_tokens` leaves out what was read from the prompt cache and what was written
to it; `core.Usage.input_tokens` is all of the prompt. Only this file knows of the difference.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ymera.core.answer import UsageReport
from ymera.core.usage import Usage

__all__ = ["UsageReader", "wire_usage"]


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    cost: Decimal | None = None
    """In USD, from hosts that tell; the vendor itself does not."""


_decode = msgspec.json.Decoder(_Usage).decode


class UsageReader:
    """Puts together what an answer says of its usage, in one place or in several.

    Counts of a later report are totals and replace those of an earlier one; a report leaves out
    what it has nothing new to say about.
    """

    def __init__(self) -> None:
        self._input: int | None = None
        self._output: int | None = None
        self._cached = 0
        self._created = 0
        self._thinking = 0
        self._cost_usd: Decimal | None = None

    def take(self, raw: msgspec.Raw, *, beginning: bool = False) -> None:
        """Take in the `usage` of one event; one that makes no sense is as good as none.

        Args:
            raw: as it came.
            beginning: what it says of the output is no total: nothing was written yet.
        """
        if bytes(raw) in {b"", b"null"}:
            return
        try:
            wire = _decode(raw)
        except msgspec.DecodeError:
            return
        self._input = _count(wire.input_tokens, self._input)
        self._cached = _count(wire.cache_read_input_tokens, self._cached) or 0
        self._created = _count(wire.cache_creation_input_tokens, self._created) or 0
        if beginning:
            return
        if wire.cost is not None and wire.cost.is_finite() and wire.cost >= 0:
            self._cost_usd = wire.cost
        self._output = _count(wire.output_tokens, self._output)
        if wire.output_tokens_details is not None:
            thinking = wire.output_tokens_details.thinking_tokens
            self._thinking = _count(thinking, self._thinking) or 0

    def report(self) -> UsageReport | None:
        """Return the usage so far; None (unknown, not 0) until both sides were told.

        What the call cost is believed without them, too: then the counts are 0.
        """
        if self._input is None or self._output is None:
            return None if self._cost_usd is None else UsageReport(Usage(), self._cost_usd)
        usage = Usage(
            input_tokens=self._input + self._cached + self._created,
            output_tokens=self._output,
            cached_tokens=self._cached,
            reasoning_tokens=self._thinking,
        )
        return UsageReport(usage, self._cost_usd)


def _count(new: int | None, old: int | None) -> int | None:
    return old if new is None or new < 0 else new


def wire_usage(usage: Usage | None) -> dict[str, object]:
    """Return `usage` as this dialect writes it; unknown counts are null, never 0.

    What was written to the cache is part of the input here, for nothing tells it apart.
    """
    if usage is None:
        return {"input_tokens": None, "output_tokens": None}
    cached = min(usage.cached_tokens, usage.input_tokens)
    return {
        "input_tokens": usage.input_tokens - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
