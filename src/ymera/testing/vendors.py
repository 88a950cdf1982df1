"""How vendors differ within their dialects: one row each; whoever has none is plain.

Facts come from the vendors' documentation and from what clients measured (the catalogue's rows say
which). Where neither shows a body word by word, the wording here is our own.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ymera.core.quota import QuotaMetric, QuotaWindow

__all__ = ["PLAIN", "Habits", "HeaderStyle", "Reasoning", "UsagePlace", "Words", "habits_of"]


class Reasoning(StrEnum):
    """Where the OpenAI dialect carries reasoning."""

    CONTENT = "reasoning_content"
    FIELD = "reasoning"
    TAGS = "think"
    """In the text, between `<think>` and `</think>`."""


class UsagePlace(StrEnum):
    """Where a streamed answer of the OpenAI dialect carries its usage."""

    ASKED = "asked"
    """In a chunk of its own, when `stream_options.include_usage` asked for it."""
    LAST = "last"
    """On the last chunk, asked for or not."""
    GROQ = "groq"
    """In `x_groq.usage` of the last chunk, and as ASKED."""


class HeaderStyle(StrEnum):
    """In which names and formats limits stand in an answer's head."""

    NONE = "none"
    OPENAI = "openai"
    """Requests of the day, tokens of the minute; resets are durations."""
    CEREBRAS = "cerebras"
    MISTRAL = "mistral"
    OPENROUTER = "openrouter"
    """On its own 429 alone; the reset is Unix time in milliseconds."""
    ANTHROPIC = "anthropic"
    MODELSCOPE = "modelscope"
    COHERE = "cohere"


class Words(StrEnum):
    """Whose error bodies."""

    OPENAI = "openai"
    GROQ = "groq"
    OPENROUTER = "openrouter"
    COHERE = "cohere"
    CLOUDFLARE = "cloudflare"
    MODELSCOPE = "modelscope"
    GOOGLE = "google"
    MISTRAL = "mistral"
    NVIDIA = "nvidia"
    HUGGING_FACE = "hugging-face"
    ZAI = "zai"


class OtherLimit(msgspec.Struct, frozen=True):
    """A limit that the catalogue's row holds in words only."""

    metric: QuotaMetric
    window: QuotaWindow
    amount: int


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor's ways.

    Attributes:
        reasoning, usage, headers, words: see the types.
        retry_after: whether a 429 says when to come back.
        comment: sent in front of a streamed answer.
        says_cost: `usage.cost` stands in every answer.
        bare_numbers: an answer that is a number comes as a JSON number.
        bad_key: HTTP status for a wrong key.
        units_per_call: of the vendor's own measure.
        limits: besides the row's.
    """

    reasoning: Reasoning = Reasoning.CONTENT
    usage: UsagePlace = UsagePlace.ASKED
    headers: HeaderStyle = HeaderStyle.NONE
    words: Words = Words.OPENAI
    retry_after: bool = True
    comment: bytes = b""
    says_cost: bool = False
    bare_numbers: bool = False
    bad_key: int = 401
    units_per_call: int = 0
    limits: tuple[OtherLimit, ...] = ()


PLAIN = Habits()

_HABITS = {
    "anthropic": Habits(
        headers=HeaderStyle.ANTHROPIC,
        limits=(  # a paid vendor publishes none: figures of our own, so that there are headers
            OtherLimit(QuotaMetric.REQUESTS, QuotaWindow.MINUTE, 50),
            OtherLimit(QuotaMetric.TOKENS, QuotaWindow.MINUTE, 50_000),
        ),
    ),
    "cerebras": Habits(headers=HeaderStyle.CEREBRAS, reasoning=Reasoning.FIELD),
    "cloudflare": Habits(
        words=Words.CLOUDFLARE,
        retry_after=False,
        bare_numbers=True,
        units_per_call=20,  # 10,000 neurons are said to last a few hundred chats
        limits=(OtherLimit(QuotaMetric.UNITS, QuotaWindow.DAY, 10_000),),
    ),
    "cohere": Habits(words=Words.COHERE, headers=HeaderStyle.COHERE, retry_after=False),
    "google": Habits(words=Words.GOOGLE, retry_after=False, bad_key=400),
    "groq": Habits(
        words=Words.GROQ,
        headers=HeaderStyle.OPENAI,
        reasoning=Reasoning.FIELD,
        usage=UsagePlace.GROQ,
    ),
    "huggingface": Habits(words=Words.HUGGING_FACE),
    "kilo": Habits(
        words=Words.OPENROUTER,
        reasoning=Reasoning.FIELD,
        limits=(OtherLimit(QuotaMetric.REQUESTS, QuotaWindow.HOUR, 200),),
    ),
    "mistral": Habits(
        words=Words.MISTRAL,
        headers=HeaderStyle.MISTRAL,
        usage=UsagePlace.LAST,
        limits=(  # what its headers showed in 2026-02
            OtherLimit(QuotaMetric.TOKENS, QuotaWindow.MINUTE, 50_000),
            OtherLimit(QuotaMetric.TOKENS, QuotaWindow.MONTH, 4_000_000),
        ),
    ),
    "codestral": Habits(words=Words.MISTRAL, usage=UsagePlace.LAST),
    "modelscope": Habits(words=Words.MODELSCOPE, headers=HeaderStyle.MODELSCOPE, retry_after=False),
    "nvidia": Habits(words=Words.NVIDIA, retry_after=False),
    "ollama": Habits(reasoning=Reasoning.FIELD),
    "ollama-cloud": Habits(reasoning=Reasoning.FIELD),
    "openai": Habits(headers=HeaderStyle.OPENAI),
    "openrouter": Habits(
        words=Words.OPENROUTER,
        headers=HeaderStyle.OPENROUTER,
        reasoning=Reasoning.FIELD,
        usage=UsagePlace.LAST,
        comment=b": OPENROUTER PROCESSING\n\n",
        says_cost=True,
    ),
    "sambanova": Habits(headers=HeaderStyle.OPENAI),
    "zai": Habits(words=Words.ZAI),
}


def habits_of(provider_id: str) -> Habits:
    """Return the ways of a provider."""
    return _HABITS.get(provider_id, PLAIN)
