"""What a phase may wish of the router: models to ask last, and less money."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tests.support.engine import ask
from tests.support.phases import RoutedStage
from tests.support.routing import PAID, model, task
from ymera.core.chat import RequestHints
from ymera.core.route import RoutePolicy
from ymera.core.task import TaskType
from ymera.core.usage import Price
from ymera.routing.plan import Snapshot, plan
from ymera.testing.scripted import ScriptedProvider

WHY = {"a/good": "failed its checks"}
GOOD = model("a/good", quality={"code": 0.9})
FAIR = model("b/fair", quality={"code": 0.6})
PRICE = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(1))
DEAR = model("c/dear", free=PAID, price=PRICE, quality={"code": 0.8})


@pytest.mark.proves("routing.avoid")
def test_a_model_to_avoid_is_asked_last_and_the_reason_says_why() -> None:
    found = plan(task(), Snapshot(models=(GOOD, FAIR)), RoutePolicy(avoid=WHY))
    assert [each.model.id for each in found.candidates] == ["b/fair", "a/good"]
    assert found.candidates[1].reason.endswith("Last: it failed its checks.")
    assert "failed" not in found.candidates[0].reason


@pytest.mark.proves("routing.avoid")
def test_a_model_to_avoid_is_asked_where_there_is_no_other() -> None:
    (only,) = plan(task(), Snapshot(models=(GOOD,)), RoutePolicy(avoid=WHY)).candidates
    assert only.reason.endswith("It failed its checks, but no other can be asked first.")


@pytest.mark.proves("routing.avoid")
def test_avoiding_a_free_model_spends_no_money() -> None:
    policy = RoutePolicy(avoid=WHY, max_cost_usd=Decimal(10))
    found = plan(task(), Snapshot(models=(GOOD, DEAR)), policy)
    assert [each.model.id for each in found.candidates] == ["a/good", "c/dear"]


@pytest.mark.proves("routing.avoid")
def test_without_a_wish_nothing_changes() -> None:
    wished = plan(task(), Snapshot(models=(GOOD, FAIR)), RoutePolicy())
    assert [each.model.id for each in wished.candidates] == ["a/good", "b/fair"]


@pytest.mark.proves("routing.own-bound")
def test_a_request_can_lower_the_bound_on_money_but_not_raise_it() -> None:
    stage = RoutedStage({"a": ScriptedProvider()}, max_cost_usd=Decimal(1))
    route = stage.router()

    def bound(usd: str | None) -> Decimal:
        wish = None if usd is None else Decimal(usd)
        hints = RequestHints(task_type=TaskType.CHAT, max_cost_usd=wish)
        request = msgspec.structs.replace(ask(), hints=hints)
        return route(request, explain=False).policy.max_cost_usd

    assert bound(None) == 1
    assert bound("0") == 0
    assert bound("0.5") == Decimal("0.5")
    assert bound("2") == 1
