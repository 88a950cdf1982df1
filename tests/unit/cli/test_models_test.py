"""`models test`: explained without --live; with it, tiny requests whose outcomes are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.command_line import CommandLine, Result
from tests.support.vendors import changed, playing, pointed_at
from ymera.testing import Fault, FaultPlan, FaultRule

GEMMA = "google/gemma-4-31b-it:free"
NEW = "acme/rocket-1:free"
NEW_ID = f"openrouter/{NEW}"
QWEN = "groq/qwen/qwen3.8-27b"
SECOND = "simulated-other.1"


def rows(result: Result) -> list[dict[str, Any]]:
    return msgspec.json.decode(result.out, type=list[dict[str, Any]])


def truths(bare: CommandLine, model: str) -> dict[str, Any]:
    shown = bare("models", "show", model, "--json").out
    found: dict[str, Any] = msgspec.json.decode(shown)["truths"]
    return found


@pytest.mark.proves("models.live-test")
def test_without_live_it_says_what_would_be_asked_and_asks_nobody(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    with playing("groq") as vendors:
        pointed_at(vendors, monkeypatch, clean_environment)
        monkeypatch.setenv("SIMULATED_PROVIDERS_KEY_2", SECOND)
        trials = rows(bare("models", "test", QWEN, "--json"))
        said = bare("models", "test", QWEN)
        everything = rows(bare("models", "test", "--json"))
        assert vendors.simulator.seen == []
    assert [(each["key"], each["skipped"], each["cost_usd"]) for each in trials] == [
        ("SIMULATED_PROVIDERS_KEY", None, "0"),
        ("SIMULATED_PROVIDERS_KEY_2", None, "0"),
    ]
    assert "--live sends them" in said.err
    assert QWEN in {each["model"] for each in everything}
    assert not any("whisper" in each["model"] for each in everything)


@pytest.mark.proves("models.live-test")
def test_each_key_is_tried_and_its_outcome_kept_without_the_key(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    with playing("groq") as vendors:
        pointed_at(vendors, monkeypatch, clean_environment)
        monkeypatch.setenv("SIMULATED_PROVIDERS_KEY_2", "wrong-key-of-mine")
        result = bare("models", "test", QWEN, "--live", "--json")
        bodies = [msgspec.json.decode(each.body) for each in vendors.simulator.seen]
    assert result.code == 1
    verdicts = {each["key"]: each["verdict"] for each in rows(result)}
    assert verdicts == {
        "SIMULATED_PROVIDERS_KEY": "answers",
        "SIMULATED_PROVIDERS_KEY_2": "fails",
    }
    assert all(32 in body.values() for body in bodies)
    about = truths(bare, QWEN)
    assert about["has_answered"] is True
    assert about["may_auto_route"] is True
    assert len(about["answers"]) == 2
    learned = clean_environment.parent / "data" / "catalog" / "learned.json"
    assert b"wrong-key-of-mine" not in learned.read_bytes()
    assert "wrong-key-of-mine" not in result.out + result.err
    assert learned.stat().st_mode & 0o077 == 0
    assert "answered 20" in bare("models", "list").out
    listed = rows(bare("models", "list", "--json"))
    row = next(each for each in listed if each["id"] == QWEN)
    assert row["answers"]["SIMULATED_PROVIDERS_KEY"]["ok"] is True


@pytest.mark.proves("models.live-test", "catalog.three-truths")
def test_a_free_id_that_only_a_list_named_is_routed_to_once_it_has_answered(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    with playing("openrouter", catalog=changed("openrouter", like={NEW: GEMMA})) as vendors:
        pointed_at(vendors, monkeypatch, clean_environment)
        assert bare("catalog", "update", "--yes").code == 0
        assert truths(bare, NEW_ID)["may_auto_route"] is False
        assert NEW_ID in {each["model"] for each in rows(bare("models", "test", "--json"))}
        assert bare("models", "test", NEW_ID, "--live").code == 0
        about = truths(bare, NEW_ID)
        assert (about["has_answered"], about["may_auto_route"]) == (True, True)
        answered = bare("ask", "--model", NEW_ID, "hi")
    assert answered.code == 0
    assert f"{NEW_ID}  " in bare("models", "list").out
    assert NEW_ID not in bare("models", "list", "--listed").out


@pytest.mark.proves("models.live-test")
def test_a_model_that_no_key_reaches_is_benched_until_a_test_succeeds(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    faults = FaultPlan([FaultRule(fault=Fault.GONE, times=1)])
    with playing("groq", faults=faults) as vendors:
        pointed_at(vendors, monkeypatch, clean_environment)
        failed = bare("models", "test", QWEN, "--live", "--json")
        gone = truths(bare, QWEN)
        worked = bare("models", "test", QWEN, "--live", "--json")
        again = truths(bare, QWEN)
    assert (failed.code, rows(failed)[0]["gone"]) == (1, True)
    assert gone["may_auto_route"] is False
    assert "did not answer when it was tested" in gone["reason"]
    assert worked.code == 0, worked.out
    assert again["may_auto_route"] is True


@pytest.mark.proves("models.live-test")
@pytest.mark.parametrize("fault", [Fault.MINUTE, Fault.OVERLOADED])
def test_what_says_nothing_of_the_model_is_not_kept(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path, fault: Fault
) -> None:
    faults = FaultPlan([FaultRule(fault=fault)])
    with playing("groq", faults=faults) as vendors:
        pointed_at(vendors, monkeypatch, clean_environment)
        result = bare("models", "test", QWEN, "--live", "--json")
    assert (result.code, rows(result)[0]["verdict"]) == (1, "untested")
    assert truths(bare, QWEN)["has_answered"] is None


@pytest.mark.proves("models.live-test", "money.closed-stays")
def test_a_free_model_that_bills_for_its_test_fails_it_and_closes_its_provider(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    faults = FaultPlan([FaultRule(fault=Fault.COSTS)])
    lists = changed("openrouter", like={NEW: GEMMA})
    with playing("openrouter", catalog=lists, faults=faults) as vendors:
        pointed_at(vendors, monkeypatch, clean_environment)
        bare("catalog", "update", "--yes")
        dear = bare("models", "test", NEW_ID, "--live", "--json")
        asked = vendors.asked("/chat/completions")
        closed = bare("models", "test", f"openrouter/{GEMMA}", "--live", "--json")
        assert vendors.asked("/chat/completions") == asked == 1
    assert rows(dear)[0]["verdict"] == "fails"
    assert "reported a cost" in rows(dear)[0]["detail"]
    assert truths(bare, NEW_ID)["may_auto_route"] is False
    assert rows(closed)[0]["verdict"] == "untested"


@pytest.mark.proves("models.live-test")
def test_a_paid_model_is_asked_only_within_the_budget(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    with playing("deepseek") as vendors:
        pointed_at(vendors, monkeypatch, clean_environment)
        paid = "deepseek/deepseek-v4-pro"
        refused = rows(bare("models", "test", paid, "--live", "--json"))
        assert vendors.simulator.seen == []
        monkeypatch.setenv("YMERA_BUDGET__MAX_USD_PER_REQUEST", "0.01")
        allowed = rows(bare("models", "test", paid, "--live", "--json"))
    assert refused[0]["verdict"] == "untested"
    assert "No money may be spent" in refused[0]["detail"]
    assert allowed[0]["verdict"] == "answers"


def test_a_model_that_cannot_be_called_says_what_would_change_that(bare: CommandLine) -> None:
    (trial,) = rows(bare("models", "test", QWEN, "--json"))
    assert "GROQ_API_KEY" in trial["skipped"]
    assert bare("models", "test", "groq/nope", "--live").code == 2
