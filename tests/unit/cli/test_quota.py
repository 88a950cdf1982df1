"""`ymera quota`."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from tests.support.command_line import CommandLine
from ymera.cli.commands.quota import _duration
from ymera.config.paths import locate_data_dir
from ymera.core.quota import MeterState, PoolKey, QuotaMetric, QuotaWindow
from ymera.storage.quota import SqlQuotaStore
from ymera.storage.records import SqlRecordStore

GROQ = PoolKey("groq", "account", "groq/openai/gpt-oss-20b")
Row = dict[str, object]


def rows(ymera: CommandLine, *args: str) -> list[Row]:
    found: list[Row] = msgspec.json.decode(ymera("quota", "--json", *args).out)
    return found


def use(requests: int) -> None:
    now = datetime.now(UTC)
    at_us = int(now.timestamp() * 1_000_000)
    records = SqlRecordStore(locate_data_dir(None).records)
    used = MeterState(
        pool=GROQ,
        metric=QuotaMetric.REQUESTS,
        window=QuotaWindow.DAY,
        uses=((at_us, requests),),
    )
    SqlQuotaStore(records).add([used], now)
    records.close()


@pytest.mark.proves("cli.quota")
def test_each_limit_of_what_can_be_called_is_shown_with_what_is_left(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_" + "x" * 20)
    use(250)
    found = rows(ymera)
    assert {row["pool"]["provider"] for row in found} == {"groq"}  # type: ignore[index]
    (day,) = [
        row
        for row in found
        if row["pool"]["model"] == GROQ.model  # type: ignore[index]
        and (row["metric"], row["window"]) == ("requests", "day")
    ]
    assert (day["limit"], day["used"], day["left"]) == (1_000, 250, 750)
    assert day["source"] == "documented"
    assert 0 < float(str(day["price"])) < 1
    lines = [line for line in ymera("quota").out.splitlines() if str(GROQ.model) in line]
    (shown,) = [line for line in lines if "requests/day" in line]
    assert "750 of 1,000" in shown
    assert "h" in shown.split("750 of 1,000")[1]
    assert "documented 80%" in shown


@pytest.mark.proves("cli.quota")
def test_providers_that_cannot_be_called_are_shown_with_all_only(ymera: CommandLine) -> None:
    assert rows(ymera) == []
    assert "--all" in ymera("quota").err
    everything = rows(ymera, "--all")
    providers = {row["pool"]["provider"] for row in everything}  # type: ignore[index]
    assert {"groq", "google", "openrouter", "cohere"} <= providers
    google = rows(ymera, "--all", "--provider", "google")
    assert {row["pool"]["provider"] for row in google} == {"google"}  # type: ignore[index]


def test_a_limit_that_is_not_published_says_so(ymera: CommandLine) -> None:
    result = ymera("quota", "--all", "--provider", "siliconflow")
    assert "?" in result.out
    assert "not published" in result.err


def test_an_unknown_provider_is_an_error(ymera: CommandLine) -> None:
    result = ymera("quota", "--provider", "nobody")
    assert result.code == 2
    assert "nobody" in result.err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h"), (-5, "0 s")],
)
def test_times_are_told_in_two_units(seconds: float, text: str) -> None:
    assert _duration(seconds) == text
