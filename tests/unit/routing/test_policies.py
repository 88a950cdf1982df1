from __future__ import annotations

from decimal import Decimal

import pytest

from ymera.core.route import RoutePolicy
from ymera.routing.policies import ALIASES, policy_for


def policy(name: str, *, prefer_free: bool = True, max_cost_usd: int = 0) -> RoutePolicy:
    budget = Decimal(max_cost_usd)
    found = policy_for(name, prefer_free=prefer_free, max_cost_usd=budget, max_retries=3)
    assert found is not None
    return found


def test_the_aliases_are_the_promised_ones() -> None:
    assert ALIASES == ("auto", "free", "fast", "best", "cheapest")
    assert [policy(name).name for name in ALIASES] == list(ALIASES)


def test_another_name_is_no_policy() -> None:
    assert policy_for("gpt", prefer_free=True, max_cost_usd=Decimal(0), max_retries=3) is None


@pytest.mark.proves("routing.never-spends", "document.cost-zero")
@pytest.mark.parametrize("name", ALIASES)
@pytest.mark.parametrize("prefer_free", [True, False])
def test_no_alias_spends_without_a_budget(name: str, prefer_free: bool) -> None:
    assert policy(name, prefer_free=prefer_free).max_cost_usd == 0
    assert policy(name, prefer_free=prefer_free, max_cost_usd=-1).max_cost_usd == 0


@pytest.mark.proves("routing.never-spends")
def test_free_spends_nothing_under_any_budget() -> None:
    assert policy("free", prefer_free=False, max_cost_usd=5) == policy("free")


def test_a_budget_is_passed_on_by_the_others() -> None:
    assert [policy(name, max_cost_usd=5).max_cost_usd for name in ALIASES] == [5, 0, 5, 5, 5]


def test_only_best_ranks_paid_models_among_free_ones_unless_asked() -> None:
    assert [policy(name).prefer_free for name in ALIASES] == [True, True, True, False, True]
    assert [policy(name, prefer_free=False).prefer_free for name in ALIASES] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_retries_are_further_candidates() -> None:
    assert policy("auto").max_candidates == 4
