"""A simulated day: how much of the free quotas is served, and what must never happen.

    python -m bench.quota.day [--seed N] [--scarce]

Every hosted chat model of the catalogue that is free now is asked for a day under an injected
clock, through the real plan, book of quotas, breakers, parsers of refusals and zero-cost guard;
nothing is sent anywhere. Vendors enforce the documented limits; where none is published, a number
drawn with the seed that the book is not told (the report lists them). Demand is 0.7 of what all
pools together allow, over a daily profile. `--scarce` leaves out the pools that are large, so that
what is left is small numbers a day.

The comparison is a maximum flow that knows every request, fault and turning in advance, see
`bound.py`: once under our rule that a provider which billed is closed, and without the units that
failed calls took (whoever makes them), once without either.

Exits 1 when a promise is broken: a call to an id that is known to cost money, a call to a pool that
is known to be used up, or less than 99% of what the first bound serves.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.resources import files

from bench.quota.bound import bound, capacity_of
from bench.quota.vendor import Answer, Vendor
from bench.quota.world import START, Assumption, World, free_hosted
from ymera.app.quotas import zone
from ymera.catalog.catalog import Catalog
from ymera.catalog.load import load
from ymera.catalog.pools import Pools
from ymera.core.model import Model
from ymera.core.quota import Need, PoolKey
from ymera.core.route import Exclusion, RoutePolicy
from ymera.core.task import Needs, TaskComplexity, TaskProfile, TaskType
from ymera.engine.lease import Lease
from ymera.engine.router import Router
from ymera.engine.standing import Standing
from ymera.engine.trace import Clock
from ymera.routing.classify import TaskClassifier
from ymera.routing.filters import exclusion_of
from ymera.routing.health import HealthTable
from ymera.routing.plan import Snapshot
from ymera.routing.quota import QuotaBook

__all__ = ["Report", "main", "run"]

KINDS = (Needs(), Needs(tools=True), Needs(vision=True))
SHARES = (0.70, 0.25, 0.05)
LARGE = frozenset({"nvidia", "ovhcloud", "pollinations", "kilo", "cloudflare"})
_DEMAND = 0.7
_MAX_ATTEMPTS = 6
_SPREAD = 0.25
"""How far real tokens are from their estimate (standard deviation of the logarithm)."""

POLICY = RoutePolicy(
    name="quota",
    quality_weight=0.0,
    speed_weight=0.0,
    max_candidates=_MAX_ATTEMPTS,
)
"""The price of a quota alone decides: the question is how much can be served, not by whom best."""


class Quotas:
    """What the engine asks of quotas, without a store."""

    def __init__(self, pools: Pools, world: World) -> None:
        self.book = QuotaBook(pools.limits, zones=zone)
        self._pools = pools
        self._world = world

    def pools(self, model: Model, key_id: str | None) -> tuple[PoolKey, ...]:
        """Return the pools of a call."""
        return self._pools.of(model, key_id)

    def counts_failed(self, model: Model) -> bool:
        """Return whether its vendor counts failures."""
        return self._world.counts_failed(model)


class ClosedHere:
    """Closed providers, in memory."""

    def __init__(self) -> None:
        self.closed: dict[str, str] = {}

    def why(self, provider: str) -> str | None:
        """Return why it is closed."""
        return self.closed.get(provider)

    def close(self, provider: str, why: str) -> None:
        """Close it."""
        self.closed.setdefault(provider, why)


@dataclass(kw_only=True)
class Report:
    """What a day came to."""

    seed: int
    models: int
    pools: int
    capacity: int
    asked: int
    served: int = 0
    most: int = 0
    most_unruled: int = 0
    paid_after_known: int = 0
    paid_when_found_out: int = 0
    calls_to_known_empty: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    closed: dict[str, float] = field(default_factory=dict)
    assumptions: list[Assumption] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """Of what a scheduler under the same rule could serve."""
        return self.served / self.most if self.most else 1.0

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.paid_after_known and not self.calls_to_known_empty and self.share >= 0.99


@dataclass(order=True)
class _Event:
    at_s: float
    number: int
    request: _Request = field(compare=False)
    answer: Answer | None = field(compare=False, default=None)
    lease: Lease | None = field(compare=False, default=None)


@dataclass
class _Request:
    kind: int
    profile: TaskProfile
    tokens: tuple[int, int]
    tried: set[str] = field(default_factory=set)


class Day:
    """One day of one world."""

    def __init__(self, world: World, pools: Pools, seed: int, catalog: Catalog) -> None:
        self.world = world
        self.at_s = 0.0
        self.closures = ClosedHere()
        self.quotas = Quotas(pools, world)
        self.standing = Standing(
            clock=Clock(now=self.now, monotonic=lambda: self.at_s),
            keys=lambda _: (),
            health=HealthTable(),
            closures=self.closures,
            quotas=self.quotas,
        )
        self.vendor = Vendor(world, random.Random(f"vendor {seed}"))
        snapshot = Snapshot(models=world.models)
        self.router = Router(
            catalog=catalog,
            snapshot=lambda: snapshot,
            classifier=classifier(),
            default_complexity=TaskComplexity.SIMPLE,
            prefer_free=True,
            max_cost_usd=Decimal(0),
            max_retries=_MAX_ATTEMPTS - 1,
            standing=self.standing,
        )
        self.numbers = itertools.count()
        self.events: list[_Event] = []
        self.known: dict[str, float] = {}

    def now(self) -> datetime:
        """Return the injected time."""
        return START + timedelta(seconds=self.at_s)

    def run(self, arrivals: Sequence[tuple[float, _Request]], report: Report) -> None:
        """Let the day pass."""
        for at_s, request in arrivals:
            self._settle_until(at_s, report)
            self.at_s = at_s
            self._try(request, report)
        self._settle_until(math.inf, report)

    def _settle_until(self, at_s: float, report: Report) -> None:
        while self.events and self.events[0].at_s <= at_s:
            event = heapq.heappop(self.events)
            self.at_s = event.at_s
            self._ended(event, report)

    def _try(self, request: _Request, report: Report) -> None:
        """Ask the best candidate; whoever fails is followed by the next one when it has failed."""
        found = self.router.decide(request.profile, POLICY, explain=False)
        candidates = (c.model for c in found.candidates if c.model.id not in request.tried)
        model = next(
            (
                m
                for m in candidates
                if not isinstance(self.standing.admit(m, request.profile), Exclusion)
            ),
            None,
        )
        if model is None or len(request.tried) >= _MAX_ATTEMPTS:
            report.outcomes["failed" if request.tried else "nothing free"] += 1
            return
        request.tried.add(model.id)
        self._note_broken_promises(model, request, report)
        lease = self.standing.lease(model, None, request.profile, self.now())
        answer = self.vendor.ask(model, request.tokens, self.at_s)
        report.calls += 1
        event = _Event(self.at_s + answer.takes_s, next(self.numbers), request, answer, lease)
        heapq.heappush(self.events, event)

    def _note_broken_promises(self, model: Model, request: _Request, report: Report) -> None:
        if model.provider in self.known:
            report.paid_after_known += 1
        need = request.profile
        short = self.quotas.book.check(self.world.pools_of[model.id], _need(need), self.now())
        if short is not None:
            report.calls_to_known_empty += 1

    def _ended(self, event: _Event, report: Report) -> None:
        answer, lease, request = event.answer, event.lease, event.request
        if answer is None or lease is None:
            return
        self.vendor.ended(answer, self.at_s)
        error = answer.error
        lease.end(
            error,
            usage=answer.usage,
            cost_usd=answer.cost_usd,
            answered=error is None or answer.began,
        )
        if answer.cost_usd:
            report.paid_when_found_out += 1
        if lease.model.provider in self.closures.closed:
            self.known.setdefault(lease.model.provider, self.at_s)
        if error is None:
            report.served += 1
            report.outcomes["served"] += 1
            return
        report.refused[answer.why] += 1
        self._try(request, report)


def classifier() -> TaskClassifier:
    """Return the product's own; not asked here, since a request's profile is drawn."""
    weights = files("ymera.routing").joinpath("data", "task_model.bin").read_bytes()
    return TaskClassifier.from_bytes(weights)


def _need(profile: TaskProfile) -> Need:
    return Need(input_tokens=profile.est_input_tokens, output_tokens=profile.est_output_tokens)


def run(seed: int, *, scarce: bool = False) -> Report:
    """Simulate one day and compare it with what was possible."""
    began = time.perf_counter()
    catalog = load()
    pools = Pools(catalog)
    models = free_hosted(catalog, lambda m: not (scarce and _is_large(m)))
    world = World(catalog, models, pools, seed)
    can = {model.id: _kinds(model) for model in models}
    capacity = capacity_of(world, can)
    arrivals = _arrivals(random.Random(f"demand {seed}"), round(_DEMAND * capacity))
    report = Report(
        seed=seed,
        models=len(models),
        pools=len(world.limits),
        capacity=capacity,
        asked=len(arrivals),
        assumptions=world.assumptions,
    )
    day = Day(world, pools, seed, catalog)
    day.run(arrivals, report)
    report.closed = day.known
    asked = [(int(at // 60), r.kind, sum(r.tokens)) for at, r in arrivals]
    turned = {id: each.at_s for id, each in world.turning.items()}
    ruled = {
        m.id: min(turned.get(m.id, math.inf), day.known.get(m.provider, math.inf)) for m in models
    }
    report.most = bound(world, asked, can, ruled, day.vendor.spent_on_faults)
    report.most_unruled = bound(world, asked, can, turned)
    report.seconds = time.perf_counter() - began
    return report


def _is_large(model: Model) -> bool:
    return model.provider in LARGE or "gemma" in model.id.split("/")[1]


def _kinds(model: Model) -> frozenset[int]:
    """Return which kinds of requests a model can serve at all."""
    fits = (exclusion_of(model, _profile(kind, 200, 200), POLICY, {}) is None for kind in range(3))
    return frozenset(kind for kind, fit in enumerate(fits) if fit)


def _profile(kind: int, tokens_in: int, tokens_out: int) -> TaskProfile:
    return TaskProfile(
        type=TaskType.CHAT,
        complexity=TaskComplexity.SIMPLE,
        est_input_tokens=tokens_in,
        est_output_tokens=tokens_out,
        needs=KINDS[kind],
    )


def _arrivals(rng: random.Random, count: int) -> list[tuple[float, _Request]]:
    """Return requests over a day: quiet at night, busy in the afternoon, a peak twice the mean."""
    found: list[tuple[float, _Request]] = []
    while len(found) < count:
        at_s = rng.uniform(0, 86_400)
        busy = 0.5 + 0.35 * math.sin((at_s / 86_400 - 0.375) * 2 * math.pi)
        busy += 0.15 * math.sin((at_s / 86_400) * 6 * math.pi)
        if rng.random() < busy:
            kind = rng.choices(range(3), SHARES)[0]
            est = (round(rng.lognormvariate(6.2, 0.8)) + 1, round(rng.lognormvariate(5.7, 0.6)) + 1)
            real = tuple(max(1, round(n * rng.lognormvariate(0, _SPREAD))) for n in est)
            found.append((at_s, _Request(kind, _profile(kind, *est), (real[0], real[1]))))
    return sorted(found, key=lambda each: each[0])


def _print(report: Report) -> None:
    rows = [
        ("models, pools", f"{report.models}, {report.pools}"),
        ("capacity of the day", f"{report.capacity:,} requests"),
        ("asked", f"{report.asked:,}"),
        ("upstream calls", f"{report.calls:,}"),
        ("served", f"{report.served:,}"),
        (
            "possible, closing what bills, less faults",
            f"{report.most:,}  ({report.share:.2%} served)",
        ),
        (
            "possible, never closing, no fault counted",
            f"{report.most_unruled:,}  ({report.served / max(report.most_unruled, 1):.2%} served)",
        ),
        ("calls to what is known to bill", f"{report.paid_after_known}"),
        ("answers that told of a cost", f"{report.paid_when_found_out} (how it was found out)"),
        ("calls to pools known empty", f"{report.calls_to_known_empty}"),
    ]
    rows += [(f"failed: {why}", f"{n:,}") for why, n in report.refused.most_common()]
    rows += [(f"request: {why}", f"{n:,}") for why, n in report.outcomes.most_common()]
    rows += [(f"closed: {who}", f"from {at / 3600:.1f} h") for who, at in report.closed.items()]
    rows += [(f"assumed: {each.pool}", each.text) for each in report.assumptions]
    rows += [("seconds", f"{report.seconds:.1f}")]
    for name, value in rows:
        print(f"{name:<58} {value}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="A simulated day of free quotas.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scarce", action="store_true", help="leave out the large pools")
    report = run(**vars(parser.parse_args(argv)))
    _print(report)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
