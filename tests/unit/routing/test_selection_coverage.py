"""How a model is selected is shown from every side, by enough tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledger import claims_under

ASPECTS = {
    "task type": {"document.select-task-type", "routing.classify"},
    "complexity": {"document.select-complexity"},
    "key rotation": {"keys.rotation", "keys.next-on-failure"},
    "rate limits": {"document.select-rate-limit", "routing.limits", "engine.limits-learned"},
    "fallback": {"document.select-fallback", "engine.fallback", "engine.passed-over"},
}


@pytest.mark.proves("routing.selection")
def test_every_side_of_selecting_a_model_has_tests_and_all_together_fifteen() -> None:
    claims = claims_under(Path(__file__).parents[2])
    places: dict[str, set[str]] = {
        aspect: {place for id_, place in claims if id_ in ids} for aspect, ids in ASPECTS.items()
    }
    assert {aspect for aspect, found in places.items() if len(found) < 2} == set()
    assert len(set().union(*places.values())) >= 15, places
