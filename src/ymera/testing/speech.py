"""How a vendor writes an answer: its dialect's codec, then the vendor's own ways on top."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import msgspec

from ymera.core.answer import (
    ChatAnswer,
    Finish,
    UsageReport,
)
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.testing.scripted import events_of
from ymera.testing.vendors import PLAIN, Habits, Reasoning, UsagePlace
from ymera.wire.codec import AnswerHead, CallerDialect
from ymera.wire.dialects import caller_dialect

__all__ = ["Piece", "Voice", "voice_of"]

_encode = msgspec.json.encode
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,6})?")
_Json = dict[str, object]


class Piece(msgspec.Struct, frozen=True):
    """What is sent for one event of a streamed answer.

    Attributes:
        data: the bytes, possibly none.
        event: whether it is one of the answer's events; the end and comments are not.
        says: whether it holds something of the answer.
        finishes: whether it says why the model stopped.
    """

    data: bytes
    event: bool = False
    says: bool = False
    finishes: bool = False


class Voice:
    """One vendor in one dialect.

    Args:
        dialect: its codec.
        habits: the vendor's ways; only those of the OpenAI dialect differ.
        cost_usd: what `usage.cost` says, where the vendor says it at all.
    """

    def __init__(
        self, dialect: CallerDialect, habits: Habits = PLAIN, *, cost_usd: float = 0.0
    ) -> None:
        self.dialect = dialect
        self.habits = habits
        self._cost_usd = cost_usd
        self._own_ways = dialect.dialect is Dialect.OPENAI_CHAT

    def whole(self, answer: ChatAnswer, head: AnswerHead) -> bytes:
        """Return the body of a plain answer."""
        body = self.dialect.encode_answer(self._tagged(answer), head)
        if not self._own_ways:
            return body
        said = _object(msgspec.json.decode(body))
        for choice in _objects(said.get("choices")):
            message = _object(choice.get("message"))
            self._rename(message)
            content = message.get("content")
            if self.habits.bare_numbers and isinstance(content, str):
                message["content"] = _as_number(content)
        if (usage := said.get("usage")) is not None:
            said["usage"] = self._with_cost(_object(usage))
        return _encode(said)

    def pieces(self, answer: ChatAnswer, head: AnswerHead) -> Iterator[Piece]:
        """Yield a streamed answer, piece by piece."""
        encoder = self.dialect.stream_encoder(head)
        events = events_of(self._tagged(answer), streamed=True)
        if self._own_ways and self.habits.comment:
            yield Piece(self.habits.comment)
        for event in events:
            data = encoder.encode(event)
            yield Piece(
                self._restyled(data, answer.usage) if self._own_ways else data,
                event=True,
                says=not isinstance(event, UsageReport | Finish),
                finishes=isinstance(event, Finish),
            )
        yield Piece(self._ending(encoder.end()))

    def _tagged(self, answer: ChatAnswer) -> ChatAnswer:
        tags = self._own_ways and self.habits.reasoning is Reasoning.TAGS
        if not tags or not answer.reasoning:
            return answer
        text = f"<think>\n{answer.reasoning}\n</think>\n\n{answer.text}"
        return msgspec.structs.replace(answer, text=text, reasoning="")

    def _rename(self, said: _Json) -> None:
        if "reasoning_content" in said and self.habits.reasoning is Reasoning.FIELD:
            said["reasoning"] = said.pop("reasoning_content")

    def _with_cost(self, usage: _Json) -> _Json:
        return {**usage, "cost": self._cost_usd} if self._says_cost else usage

    @property
    def _says_cost(self) -> bool:
        return self.habits.says_cost or self._cost_usd > 0

    def _restyled(self, data: bytes, usage: Usage | None) -> bytes:
        if not data:
            return data
        chunk = _object(msgspec.json.decode(data.removeprefix(b"data: ").strip()))
        for choice in _objects(chunk.get("choices")):
            self._rename(_object(choice.get("delta")))
            if choice.get("finish_reason") is not None and usage is not None:
                self._last_chunk(chunk, usage)
        return b"data: " + _encode(chunk) + b"\n\n"

    def _last_chunk(self, chunk: _Json, usage: Usage) -> None:
        """Put the usage where this vendor puts it on the last chunk, if it does."""
        counts = self._with_cost(
            {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
                "total_tokens": usage.total_tokens,
                "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
                "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            }
        )
        match self.habits.usage:
            case UsagePlace.LAST:
                chunk["usage"] = counts
            case UsagePlace.GROQ:
                chunk["x_groq"] = {"id": "req_sim", "usage": counts}
            case UsagePlace.ASKED:
                pass

    def _ending(self, data: bytes) -> bytes:
        """Leave out the usage chunk where the last one had it; say the cost where it is said."""
        if not self._own_ways:
            return data
        kept = []
        for event in data.split(b"\n\n"):
            payload = event.removeprefix(b"data: ")
            if b'"usage":{' in payload:
                if self.habits.usage is UsagePlace.LAST:
                    continue
                chunk = _object(msgspec.json.decode(payload))
                chunk["usage"] = self._with_cost(_object(chunk["usage"]))
                kept.append(b"data: " + _encode(chunk))
                continue
            kept.append(event)
        return b"\n\n".join(kept)


def voice_of(dialect: Dialect, habits: Habits = PLAIN, *, cost_usd: float = 0.0) -> Voice | None:
    """Return a vendor's voice in a dialect; None while nobody here can be asked in it."""
    try:
        return Voice(caller_dialect(dialect), habits, cost_usd=cost_usd)
    except (ImportError, AttributeError):
        return None


def _as_number(text: str) -> object:
    found: object = msgspec.json.decode(text) if _NUMBER.fullmatch(text) else text
    return found


def _object(value: object) -> _Json:
    return cast("_Json", value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[_Json]:
    return [_object(each) for each in value] if isinstance(value, list) else []
