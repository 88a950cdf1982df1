"""Structured output is checked before it leaves.

A request with a response format gets JSON that fits it, or the next candidate is asked. JSON that
is only broken (a fence around it, a comma too many, single quotes) is repaired, and the attempt
says so.

A streamed answer is held back until it is checked, so it arrives in one piece. It streams where the
model is known to keep to a schema by itself: then its end is checked, and a bad one is an error.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import msgspec

from ymera.core.answer import (
    ChatEvent,
    Finish,
    FinishReason,
    LimitsSeen,
    RequestAdapted,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.chat import ChatRequest, ResponseFormat
from ymera.core.errors import ProviderError, ProviderErrorKind, ProviderErrorScope
from ymera.core.model import Model

__all__ = ["REPAIRED", "checked", "fitted"]

_T = TypeVar("_T")
REPAIRED = "The answer's JSON was repaired."

_REPAIRABLE_CHARS = 32_768
_REPAIRABLE_DEPTH = 60
_AT_ONCE_CHARS = 4096
"""Longer texts are checked in a thread: other requests are not to wait for it."""
_LIBRARY = "jsonschema"
"""Nor for the first import of the library."""
_MOST_CHARS = 8_000_000
_BEGINNING = re.compile(
    r"""[\[{]\s*(?:["'\[\]{}\d-]|true|false|null|True|False|None|\w+["']?\s*:)"""
)


def checked(
    batches: AsyncIterator[Sequence[ChatEvent]], request: ChatRequest, model: Model
) -> AsyncIterator[Sequence[ChatEvent]]:
    """Return the events, in batches, of an answer that fits what `request` asks for.

    Without a response format to check they are the very same. What the provider says of limits and
    losses is never held back.

    Args:
        batches: of one upstream call.
        request: what was asked.
        model: of whom.

    Raises:
        ProviderError: (while reading) the answer does not fit and cannot be repaired.
    """
    wanted = request.response_format
    if wanted is None or not wanted.checked:
        return batches
    if request.stream and model.json_schema is True:
        return _watched(batches, wanted)
    return _held(batches, wanted)


async def _held(
    batches: AsyncIterator[Sequence[ChatEvent]], wanted: ResponseFormat
) -> AsyncIterator[Sequence[ChatEvent]]:
    held: list[ChatEvent] = []
    text = _Text()
    try:
        async for batch in batches:
            for event in batch:
                text.add(event)
                if isinstance(event, RequestAdapted | LimitsSeen):
                    yield (event,)
                else:
                    held.append(event)
        mended: str | None = None
        if text.is_json_due:
            fits, repaired = await _aside(
                text.joined, lambda said: fitted(said, wanted, cut=text.cut)
            )
            mended = fits if repaired else None
    except ProviderError:
        if held:  # what was used counts, and that there was an answer at all
            used = [event for event in held if isinstance(event, UsageReport)]
            yield (used[-1] if used else TextDelta(""),)
        raise
    if mended is not None:
        yield (RequestAdapted((REPAIRED,)),)
        held = _with_text(held, mended)
    if held:
        yield held


async def _watched(
    batches: AsyncIterator[Sequence[ChatEvent]], wanted: ResponseFormat
) -> AsyncIterator[Sequence[ChatEvent]]:
    text = _Text()
    async for batch in batches:
        for at, event in enumerate(batch):
            text.add(event)
            if isinstance(event, Finish) and text.is_json_due and not text.cut:
                problem = await _aside(text.joined, lambda said: _problem(said, wanted))
                if problem is not None:
                    if at:
                        yield batch[:at]
                    raise _misfit(problem)
        yield batch


class _Text:
    """What an answer says, and whether that has to be JSON."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._chars = 0
        self._calls = False
        self._finish: FinishReason | None = None

    def add(self, event: ChatEvent) -> None:
        match event:
            case TextDelta():
                self._pieces.append(event.text)
                self._chars += len(event.text)
                if self._chars > _MOST_CHARS:
                    raise _misfit("it is too long to be checked")
            case ToolCallDelta():
                self._calls = True
            case Finish():
                self._finish = self._finish or event.reason

    @property
    def joined(self) -> str:
        return "".join(self._pieces)

    @property
    def cut(self) -> bool:
        return self._finish is FinishReason.LENGTH

    @property
    def is_json_due(self) -> bool:
        """Whether the model meant to give the answer; who reads it finds out about a broken one."""
        ended = self._finish not in {None, FinishReason.CONTENT_FILTER}
        return ended and not self._calls and self._chars > 0


def _with_text(events: list[ChatEvent], text: str) -> list[ChatEvent]:
    first = next(at for at, event in enumerate(events) if isinstance(event, TextDelta))
    before, after = events[:first], events[first:]
    return [*before, TextDelta(text), *(each for each in after if not isinstance(each, TextDelta))]


async def _aside(text: str, check: Callable[[str], _T]) -> _T:
    if len(text) <= _AT_ONCE_CHARS and _LIBRARY in sys.modules:
        return check(text)
    return await asyncio.to_thread(check, text)


def fitted(text: str, wanted: ResponseFormat, *, cut: bool = False) -> tuple[str, bool]:
    """Return the JSON that fits `wanted`, and whether it had to be repaired.

    Args:
        text: what the model wrote.
        wanted: any JSON object, or JSON that fits a schema. Regular expressions and formats in a
            schema are not tried: they come from callers and could run for ever.
        cut: whether the model was stopped before its end. Such an answer is not repaired: what
            is missing would be made up.

    Raises:
        ProviderError: it does not fit.
    """
    problem = _problem(text, wanted)
    if problem is None:
        return text, False
    if cut:
        raise _misfit("it was cut before its end")
    mended = _mended(text)
    if mended is None or _problem(mended, wanted) is not None:
        raise _misfit(problem)
    return mended, True


def _problem(text: str, wanted: ResponseFormat) -> str | None:
    """Return what is wrong with `text`, or None."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "it is not valid JSON"
    if wanted.schema is None:
        return None if isinstance(value, dict) else "it is no JSON object"
    from ymera.tools.schemas import value_problem

    try:
        problem = value_problem(bytes(wanted.schema), value)
    except ValueError:  # the caller's schema is none, and the model has answered all the same
        return None
    return None if problem is None else "it does not fit its schema"


def _mended(text: str) -> str | None:
    """Return `text` as valid JSON; None when it is none, or most of it would be lost."""
    begun = _BEGINNING.search(text)
    if begun is None or len(text) > _REPAIRABLE_CHARS or _depth(text) > _REPAIRABLE_DEPTH:
        return None
    from json_repair import repair_json

    span = text[begun.start() : max(text.rfind("}"), text.rfind("]")) + 1] or text[begun.start() :]
    try:
        value: object = repair_json(text[begun.start() :], return_objects=True)
        mended = msgspec.json.encode(value).decode()
    except (ValueError, TypeError, RecursionError):
        return None
    kept = 2 * len(mended) >= len("".join(span.split()))
    return mended if kept and isinstance(value, dict | list) else None


def _depth(text: str) -> int:
    """Return how deep brackets are nested, those in strings counted too."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _misfit(problem: str) -> ProviderError:
    return ProviderError(
        f"The model's answer is not what was asked for: {problem}.",
        kind=ProviderErrorKind.BAD_ANSWER,
        scope=ProviderErrorScope.REQUEST,
        hint="Ask another model, or make the schema simpler.",
    )
