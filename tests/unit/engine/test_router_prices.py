"""What is left of free quotas moves the plan of a request."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.engine import FakeTime
from tests.support.routing import PAID, model, shipped, task
from tests.support.standing import Offstage, per_day, per_minute
from ymera.catalog.load import load
from ymera.core.model import Model
from ymera.core.route import Candidate, RoutePolicy
from ymera.core.task import TaskComplexity
from ymera.engine.router import Router
from ymera.engine.standing import Standing
from ymera.routing.plan import Snapshot

SCARCE = model("scarce/m", quality={"code": 0.81})
PLENTY = model("plenty/m", quality={"code": 0.80})


def candidates(standing: Standing | None, *models: Model) -> list[Candidate]:
    router = Router(
        catalog=load(),
        snapshot=lambda: Snapshot(models=models),
        classifier=shipped(),
        default_complexity=TaskComplexity.MEDIUM,
        prefer_free=True,
        max_cost_usd=Decimal(0),
        max_retries=3,
        standing=standing,
    )
    return list(router.decide(task(), RoutePolicy(), explain=False).candidates)


@pytest.mark.proves("quota.bid-price", "routing.selection")
def test_a_request_is_routed_by_what_is_left_of_the_quotas() -> None:
    offstage = Offstage(FakeTime(), limits={"scarce": [per_day(20)], "plenty": [per_minute(40)]})
    standing = offstage.standing()
    for _ in range(15):
        standing.lease(SCARCE, None, task())
    assert [c.model.id for c in candidates(None, SCARCE, PLENTY)] == ["scarce/m", "plenty/m"]
    routed = candidates(standing, SCARCE, PLENTY)
    assert [c.model.id for c in routed] == ["plenty/m", "scarce/m"]
    assert routed[1].terms["quota"] < routed[0].terms["quota"] < 0


@pytest.mark.proves("quota.bid-price")
def test_paid_models_and_such_without_quotas_have_no_price() -> None:
    offstage = Offstage(FakeTime(), limits={"paid": [per_day(20)]})
    price = offstage.standing().prices(task())
    assert price is not None
    assert price(model("paid/m", free=PAID)) == 0
    assert price(model("own/m")) == 0
    assert price(model("paid/free")) > 0
