"""The clock, anywhere."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ymera.tools.builtin import ToolFailed
from ymera.tools.builtin.current_time import make

pytestmark = pytest.mark.proves("tools.clock")

NOW = datetime(2031, 7, 4, 22, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("UTC", "Friday, 4 July 2031, 22:30:05"),
        ("Asia/Tokyo", "Saturday, 5 July 2031, 07:30:05"),
        ("Tokyo", "Saturday, 5 July 2031, 07:30:05"),
        ("new york", "Friday, 4 July 2031, 18:30:05"),
        ("", "22:30:05"),
    ],
)
async def test_it_tells_date_weekday_and_time_of_a_zone_or_city(zone: str, told: str) -> None:
    assert told in await make(lambda: NOW).run({"zone": zone})


async def test_without_a_zone_it_is_utc() -> None:
    assert "2031-07-04T22:30:05+00:00" in await make(lambda: NOW).run({})


@pytest.mark.parametrize("zone", ["Atlantis", "../../etc/localtime", "Europe/../UTC", "\x00"])
async def test_an_unknown_zone_is_a_failure_in_words(zone: str) -> None:
    with pytest.raises(ToolFailed, match="no time zone"):
        await make(lambda: NOW).run({"zone": zone})


async def test_a_misspelt_zone_is_told_the_nearest() -> None:
    with pytest.raises(ToolFailed, match="Europe/Berlin"):
        await make(lambda: NOW).run({"zone": "Berlinn"})


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("What's the date today?", "clock:UTC"),
        ("What time is it in Lima?", "clock:America/Lima"),
        ("What time is it in New York right now?", "clock:America/New_York"),
        ("What time is it in Entenhausen?", None),
        ("What is the project called now?", None),
        ("Which was the latest release?", None),
    ],
)
async def test_it_brings_the_time_only_to_questions_about_it(
    question: str, source: str | None
) -> None:
    context = make(lambda: NOW).context
    assert context is not None

    assert [item.source for item in await context(question)] == ([source] if source else [])
