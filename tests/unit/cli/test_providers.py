"""`ymera providers`, and further keys with `ymera keys`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.support.command_line import CommandLine
from tests.support.hosted import Hosted, hosting, say
from ymera.app.cooling import CoolingFile
from ymera.config.paths import DataPaths
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.routing.health import HealthTable
from ymera.testing import Fault

KEY = "gsk_" + "Ab3dEf6hIj9kLm2n"
SECOND = "gsk_" + "Zz9yXx8wVv7uTt6s"


def rows(ymera: CommandLine, *args: str) -> dict[str, dict[str, object]]:
    listed = msgspec.json.decode(ymera(*args, "--json").out)
    return {row["provider"]: row for row in listed}


@pytest.fixture
def host() -> Iterator[Hosted]:
    with hosting(lambda _: say("ready"), faults={"dear": Fault.COSTS}) as hosted:
        yield hosted


@pytest.mark.proves("cli.providers")
def test_providers_that_can_be_called_are_listed_with_masked_keys(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    monkeypatch.setenv("GROQ_API_KEY_2", SECOND)
    listed = rows(ymera, "providers")
    assert listed.keys() == {"groq", "stage"}
    groq = listed["groq"]
    assert (groq["state"], groq["keys"]) == ("ready", ["gsk_***", "gsk_***"])
    assert isinstance(groq["free_models"], int)
    assert groq["free_models"] > 0
    result = ymera("providers")
    assert "groq" in result.out
    assert "providers list --all" in result.err
    assert KEY not in result.out + result.err
    assert SECOND not in result.out + result.err
    everything = rows(ymera, "providers", "list", "--all")
    assert len(everything) > 20
    assert "CEREBRAS_API_KEY" in str(everything["cerebras"]["detail"])


@pytest.mark.proves("cli.cooling")
def test_what_a_running_server_does_not_ask_for_a_while_is_shown(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    health, now = HealthTable(), datetime.now(UTC)
    used_up = ProviderError("429", kind=ProviderErrorKind.QUOTA_DAY, retry_after_s=3600)
    health.failed("groq/openai/gpt-oss-20b", "groq", "GROQ_API_KEY", used_up, now)

    async def serve() -> None:
        file = CoolingFile(DataPaths(tmp_path / "data").cooling, health, now=lambda: now)
        file.note()
        assert file.writing is not None
        await file.writing

    asyncio.run(serve())
    cooling = rows(ymera, "providers")["groq"]["cooling"]
    assert isinstance(cooling, list)
    assert [row["model_id"] for row in cooling] == ["groq/openai/gpt-oss-20b"]
    shown = ymera("providers").err
    assert "does not ask groq/openai/gpt-oss-20b [GROQ_API_KEY] until" in shown
    assert KEY not in shown
    assert "rests 1 models" in ymera("quota").err


@pytest.mark.proves("cli.providers", "money.closed-stays")
def test_a_provider_that_billed_is_shown_closed_and_opened_by_hand(
    ymera: CommandLine, host: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in host.settings("shop", models='["dear"]').items():
        monkeypatch.setenv(name, value)
    dear = ymera("providers", "test", "shop")
    assert dear.code == 0
    assert "cost $0.01" in dear.out
    shop = rows(ymera, "providers")["shop"]
    assert shop["state"] == "closed"
    assert shop["closed_since"]
    assert "shop/dear is listed as free, but its provider reported a cost of $0.01" in str(
        shop["detail"]
    )
    refused = ymera("ask", "--model", "shop/dear", "hi")
    assert refused.code == 5
    assert "ymera providers open shop" in refused.err
    assert len(host.asked) == 1
    assert "open again" in ymera("providers", "open", "shop").err
    assert rows(ymera, "providers")["shop"]["state"] == "ready"
    assert "was not closed" in ymera("providers", "open", "shop").err


@pytest.mark.proves("cli.providers")
def test_a_provider_is_tested_with_one_real_call(
    ymera: CommandLine, host: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in host.settings("shop").items():
        monkeypatch.setenv(name, value)
    told = msgspec.json.decode(ymera("providers", "test", "shop", "--json").out)
    assert (told["provider"], told["answer"], told["cost_usd"]) == ("shop", "ready", "0")
    (asked,) = host.asked
    assert asked.sampling.max_tokens == 32


@pytest.mark.parametrize(
    ("args", "code", "hint"),
    [
        (("test", "groq"), 5, "GROQ_API_KEY"),
        (("open", "grok"), 2, "'groq'"),
        (("test", "nobody"), 2, "providers list"),
    ],
)
def test_what_cannot_be_done_says_what_can(
    ymera: CommandLine, args: tuple[str, ...], code: int, hint: str
) -> None:
    result = ymera("providers", *args)
    assert result.code == code
    assert hint in result.err


@pytest.mark.proves("keys.several", "cli.keys")
def test_further_keys_are_stored_listed_and_removed_by_their_number(ymera: CommandLine) -> None:
    for number, key in (("1", KEY), ("2", SECOND)):
        stored = ymera("keys", "set", "groq", "--number", number, "--no-test", stdin=key.encode())
        assert stored.code == 0
        assert ("Keys of one account share one quota" in stored.err) is (number == "2")
    listed = msgspec.json.decode(ymera("keys", "--json").out)
    assert [(row["provider"], row["number"], row["key"]) for row in listed] == [
        ("groq", 1, "gsk_***"),
        ("groq", 2, "gsk_***"),
    ]
    assert "groq #2  gsk_***" in ymera("keys").out
    assert rows(ymera, "providers")["groq"]["keys"] == ["gsk_***", "gsk_***"]
    assert ymera("keys", "remove", "groq", "--number", "2").code == 0
    assert len(msgspec.json.decode(ymera("keys", "--json").out)) == 1
    ymera("keys", "set", "groq", "--number", "9", "--no-test", stdin=SECOND.encode())
    assert "2 stored keys removed" in ymera("keys", "remove", "groq").err
    assert msgspec.json.decode(ymera("keys", "--json").out) == []


@pytest.mark.proves("keys.several")
@pytest.mark.parametrize("number", ["0", "10", "two"])
def test_a_provider_has_nine_keys_at_most(ymera: CommandLine, number: str) -> None:
    result = ymera("keys", "set", "groq", "--number", number, "--no-test", stdin=KEY.encode())
    assert result.code == 2


@pytest.mark.proves("keys.several", "keys.environment-wins")
def test_an_exported_further_variable_wins_over_the_stored_key_of_its_number(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY_2", SECOND)
    told = ymera("keys", "set", "groq", "--number", "2", "--no-test", "--json", stdin=KEY.encode())
    assert msgspec.json.decode(told.out)["shadowed_by"] == "GROQ_API_KEY_2"
    sources = [row["source"] for row in msgspec.json.decode(ymera("keys", "--json").out)]
    assert sources == ["environment: GROQ_API_KEY_2", "stored today"]
