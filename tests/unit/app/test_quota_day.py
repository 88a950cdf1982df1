"""A small simulated day: the large pools left out, so that every call counts."""

from __future__ import annotations

import pytest

from bench.quota.bound import bound
from bench.quota.day import run
from bench.quota.flow import Flow
from bench.quota.world import World, free_hosted
from ymera.catalog.load import load
from ymera.catalog.pools import Pools


@pytest.mark.full
@pytest.mark.proves("quota.day")
def test_scarce_quotas_serve_nearly_all_that_foresight_would_and_nothing_paid() -> None:
    report = run(1, scarce=True)
    assert report.asked > 4_000
    assert report.paid_after_known == 0
    assert report.calls_to_known_empty == 0
    assert report.share >= 0.99
    assert report.closed  # somebody began to bill, and was found out
    assert report.paid_when_found_out <= len(report.closed)
    assert report.holds


def test_the_bound_counts_what_any_scheduler_could_serve() -> None:
    catalog = load()
    models = free_hosted(catalog, lambda m: m.provider == "openrouter")
    world = World(catalog, models, Pools(catalog), seed=1)
    can = {model.id: frozenset({0}) for model in models}
    asked = [(minute, kind, 500) for minute in range(100) for kind in (0, 1)]
    assert bound(world, asked, can, {}) == 50  # its day
    assert bound(world, asked[:60], can, {}) == 30  # of one kind it can serve
    assert bound(world, asked, can, {model.id: 0.0 for model in models}) <= 1


def test_the_flow_is_the_most_there_is() -> None:
    flow = Flow()
    nodes = [flow.node() for _ in range(6)]
    for start, end, capacity in (
        (0, 1, 16), (0, 2, 13), (1, 2, 10), (2, 1, 4), (1, 3, 12),
        (3, 2, 9), (2, 4, 14), (4, 3, 7), (3, 5, 20), (4, 5, 4),
    ):  # fmt: skip
        flow.edge(nodes[start], nodes[end], capacity)
    assert flow.most(nodes[0], nodes[5]) == 23
