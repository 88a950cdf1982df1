"""Request hints in headers (`x-ymera-*`): what OpenAI's dialect has no field for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import msgspec

from ymera.core.chat import ChatRequest
from ymera.core.errors import InvalidRequest
from ymera.core.task import TaskComplexity, TaskType
from ymera.routing.policies import ALIASES

__all__ = ["with_header_hints"]

_NAMES = frozenset(
    {
        b"cache-control",
        b"x-ymera-complexity",
        b"x-ymera-no-store",
        b"x-ymera-prefer",
        b"x-ymera-private",
        b"x-ymera-task-type",
        b"x-ymera-tools",
    }
)
_TRUE, _FALSE = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})
_Word = TypeVar("_Word", bound=StrEnum)


def with_header_hints(request: ChatRequest, fields: Mapping[bytes, bytes]) -> ChatRequest:
    """Return `request` with the hints its headers carry; their names are in lower case.

    Raises:
        InvalidRequest: a hint with an unknown value.
    """
    if _NAMES.isdisjoint(fields):
        return request
    hints = request.hints
    text = {name.decode(): fields[name].decode("latin-1") for name in _NAMES & fields.keys()}
    if "no-cache" in text.get("cache-control", "").lower():
        hints = msgspec.structs.replace(hints, fresh=True)
    if "x-ymera-task-type" in text:
        hints = msgspec.structs.replace(hints, task_type=_word(TaskType, text, "x-ymera-task-type"))
    if "x-ymera-complexity" in text:
        word = _word(TaskComplexity, text, "x-ymera-complexity")
        hints = msgspec.structs.replace(hints, complexity=word)
    if "x-ymera-private" in text:
        hints = msgspec.structs.replace(hints, private=_flag(text, "x-ymera-private"))
    if "x-ymera-no-store" in text:
        hints = msgspec.structs.replace(hints, no_store=_flag(text, "x-ymera-no-store"))
    if "x-ymera-tools" in text:
        names = tuple(name.strip() for name in text["x-ymera-tools"].split(",") if name.strip())
        hints = msgspec.structs.replace(hints, use_tools=names)
    model = _preferred(text.get("x-ymera-prefer"), request.model)
    return msgspec.structs.replace(request, hints=hints, model=model)


def _preferred(dial: str | None, model: str) -> str:
    """A dial turns an alias; a request that names one model keeps it."""
    if dial is None or model not in ALIASES:
        return model
    if dial not in ALIASES:
        raise InvalidRequest(
            f"Unknown value {dial!r} in header x-ymera-prefer.",
            hint=f"One of: {', '.join(ALIASES)}.",
            param="x-ymera-prefer",
        )
    return dial


def _word(kind: type[_Word], text: dict[str, str], name: str) -> _Word:
    try:
        return kind(text[name].lower())
    except ValueError:
        raise InvalidRequest(
            f"Unknown value {text[name]!r} in header {name}.",
            hint=f"One of: {', '.join(kind)}.",
            param=name,
        ) from None


def _flag(text: dict[str, str], name: str) -> bool:
    value = text[name].lower()
    if value not in _TRUE | _FALSE:
        raise InvalidRequest(
            f"Header {name} must be true or false, not {text[name]!r}.", param=name
        )
    return value in _TRUE
