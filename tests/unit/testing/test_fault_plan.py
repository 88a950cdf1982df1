"""Which calls go wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ymera.core.errors import ConfigError
from ymera.testing import Fault, FaultPlan, FaultRule


def struck(plan: FaultPlan, calls: int, provider: str = "groq", model: str = "m") -> list[object]:
    return [plan.next(provider, model) for _ in range(calls)]


@pytest.mark.proves("simulator.faults")
def test_a_rule_strikes_after_so_many_good_calls_and_so_often() -> None:
    plan = FaultPlan([FaultRule(fault=Fault.NO_CREDIT, after=2, times=1)])

    assert struck(plan, 5) == [None, None, Fault.NO_CREDIT, None, None]


@pytest.mark.proves("simulator.faults")
def test_a_rule_is_for_the_providers_and_models_it_names() -> None:
    plan = FaultPlan(
        [
            FaultRule(fault=Fault.GONE, provider="groq", model="openai/*"),
            FaultRule(fault=Fault.BROKEN, provider="google"),
        ]
    )

    assert plan.next("groq", "openai/gpt-oss-20b") is Fault.GONE
    assert plan.next("groq", "qwen/qwen3.8-27b") is None
    assert plan.next("google", "gemini-3.8-flash") is Fault.BROKEN


@pytest.mark.proves("simulator.faults")
def test_the_same_seed_gives_the_same_faults_in_the_shares_asked_for() -> None:
    shares = {Fault.MINUTE: 0.2, Fault.BROKEN: 0.1}

    first = struck(FaultPlan.mix(shares, seed=7), 5000)
    again = struck(FaultPlan.mix(shares, seed=7), 5000)
    other = struck(FaultPlan.mix(shares, seed=8), 5000)

    assert first == again != other
    counted = Counter(first)
    assert counted[Fault.MINUTE] / 5000 == pytest.approx(0.2, abs=0.02)
    assert counted[Fault.BROKEN] / 5000 == pytest.approx(0.1, abs=0.02)


def test_shares_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        FaultPlan.mix({Fault.BROKEN: 0.7, Fault.STALL: 0.4})
    assert set(struck(FaultPlan.mix({Fault.BROKEN: 0.5, Fault.STALL: 0.5}), 100)) == {
        Fault.BROKEN,
        Fault.STALL,
    }


@pytest.mark.proves("simulator.faults")
def test_rules_are_read_from_lines_of_json(tmp_path: Path) -> None:
    file = tmp_path / "faults.jsonl"
    file.write_text('# a comment\n{"fault": "402", "model": "a", "after": 1}\n\n')

    assert struck(FaultPlan.read(file), 2, model="a") == [None, Fault.NO_CREDIT]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"fault": "999"}', "Line 1"),
        ('{"fault": "402", "chance": 2}', "chance"),
        ('{"fault": "402", "wehn": 1}', "wehn"),
        ("not json", "Line 1"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    file = tmp_path / "faults.jsonl"
    file.write_text(line)

    with pytest.raises(ConfigError, match=complaint):
        FaultPlan.read(file)


def test_a_missing_file_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        FaultPlan.read(tmp_path / "nowhere")


def test_the_documentation_names_every_fault() -> None:
    text = (Path(__file__).parents[3] / "docs/simulator.md").read_text(encoding="utf-8")

    assert [fault for fault in Fault if f"`{fault.value}`" not in text] == []
