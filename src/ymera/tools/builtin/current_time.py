"""`current_time`: the date and time now, anywhere."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches

import msgspec

from ymera.core.tool import ContextItem, Tool, ToolEffect, Trust
from ymera.tools.builtin import BuiltinTool, ToolFailed, text_argument

__all__ = ["make"]

_TOOL = Tool(
    name="current_time",
    description="Tells the current date, weekday and time in a time zone.",
    parameters=msgspec.Raw(
        msgspec.json.encode(
            {
                "type": "object",
                "properties": {
                    "zone": {
                        "type": "string",
                        "description": "IANA time zone such as Europe/Berlin, or a city; "
                        "UTC when the question names no place.",
                    }
                },
                "additionalProperties": False,
            }
        )
    ),
    effect=ToolEffect.READ_ONLY,
    timeout_s=5.0,
    max_output_chars=400,
)

_CUES = re.compile(
    r"\b(time|clock|date|today|tonight|tomorrow|yesterday|weekday|what day|how late)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"[\w/]+")
_SOME_PLACE = re.compile(r"\b(?:in|at|for) (?!UTC|GMT)[A-Z]")
_MAX_CITY_WORDS = 3


def make(now: Callable[[], datetime]) -> BuiltinTool:
    """Return the tool.

    Args:
        now: returns the current time (aware).
    """

    async def describe() -> Tool:
        return _TOOL

    async def run(arguments: Mapping[str, object]) -> str:
        name = text_argument(arguments, "zone", "UTC").strip() or "UTC"
        zone, label = _zone(name)
        return _told(now().astimezone(zone), label)

    async def context(query: str) -> Sequence[ContextItem]:
        if _CUES.search(query) is None:
            return ()
        place = _place_in(query)
        if place is None:
            return ()
        zone, label = place
        told = _told(now().astimezone(zone), label)
        return (ContextItem(text=told, source=f"clock:{label}", trust=Trust.TOOL),)

    return BuiltinTool(describe=describe, run=run, context=context)


def _told(at: datetime, zone: str) -> str:
    day = f"{at:%A}, {at.day} {at:%B %Y}"
    return f"Now in {zone}: {day}, {at:%H:%M:%S} ({at.isoformat(timespec='seconds')})"


def _zone(name: str) -> tuple[tzinfo, str]:
    from zoneinfo import ZoneInfo

    if name.upper() in {"UTC", "GMT", "Z"}:
        return UTC, "UTC"
    known = _by_words()
    key = known.get(_words(name))
    if key is None:
        near = get_close_matches(_words(name), known, n=1)
        advice = f" Did you mean {known[near[0]]}?" if near else ""
        raise ToolFailed(f"There is no time zone {name[:60]!r}.{advice}")
    return ZoneInfo(key), key


def _place_in(query: str) -> tuple[tzinfo, str] | None:
    """Return the zone of the city a question names, UTC when it names none, None when unsure."""
    words = _NAME.findall(query)
    known = _by_words()
    for length in range(_MAX_CITY_WORDS, 0, -1):
        for start in range(len(words) - length + 1):
            run = words[start : start + length]
            key = known.get(_words(" ".join(run)))
            if key is not None and run[0][0].isupper():
                return _zone(key)
    return None if _SOME_PLACE.search(query) else (UTC, "UTC")


@functools.cache
def _by_words() -> dict[str, str]:
    """Return zones by their names and by their cities, in lower case."""
    from zoneinfo import available_timezones

    keys = sorted(available_timezones())
    cities = {_words(key.rpartition("/")[2]): key for key in reversed(keys) if "/" in key}
    return {**cities, **{_words(key): key for key in keys}}


def _words(name: str) -> str:
    return name.lower().replace("_", " ").strip()
