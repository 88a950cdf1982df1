from __future__ import annotations

import pytest

from tests.support.routing import PAID, model
from ymera.core.errors import ConfigError
from ymera.core.route import Candidate, RoutePolicy
from ymera.routing.selectors import free_first, names, register, selector


def candidate(id: str, score: float, *, paid: bool = False) -> Candidate:
    facts = {"free": PAID} if paid else {}
    return Candidate(model=model(id, **facts), score=score, terms={"quality": score}, reason="")


CANDIDATES = [
    candidate("a/paid", 0.9, paid=True),
    candidate("b/low", 0.1),
    candidate("d/same", 0.5),
    candidate("c/same", 0.5),
]


def ids(policy: RoutePolicy) -> list[str]:
    return [each.model.id for each in free_first(CANDIDATES, policy)]


@pytest.mark.proves("routing.free-first")
def test_free_models_come_first_then_the_score_then_the_id() -> None:
    assert ids(RoutePolicy()) == ["c/same", "d/same", "b/low", "a/paid"]


def test_without_the_preference_the_score_decides() -> None:
    assert ids(RoutePolicy(prefer_free=False)) == ["a/paid", "c/same", "d/same", "b/low"]


def test_a_selector_is_found_by_name() -> None:
    assert selector("free_first") is free_first
    assert names() == ("free_first",)


def test_an_unknown_selector_is_a_configuration_error_that_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="'dice'") as caught:
        selector("dice")

    assert caught.value.hint == "Known: free_first."


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="free_first"):
        register("free_first")(free_first)
