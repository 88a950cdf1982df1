"""Scripted coding sessions over the free quotas: refusals, switches, valid histories.

    python -m bench.sessions.run [--seed N] [--wrong | --faults | --scarce | --wander]

The whole app runs as it is served, from a caller's bytes to an upstream's bytes and back: codecs,
guards, plan, conversations, attempts, quotas, breakers, hosts. Only the transport is replaced, by
vendors that keep their own counters, and time, which jumps. `--wrong` makes every documented limit
wrong by 30%, half of them too high and half too low; `--faults` adds 1% of 500 and 1% of 503;
`--scarce` leaves out the pools that are large, so that sessions outlast their pools;
`--wander` lets each turn ask another model by name, so that every history crosses vendors.

A refusal (4xx) is avoidable unless it is the first one of a limit that nobody had told of: no
documentation, no header, no earlier refusal. A switch of models is needless when the vendor of the
last one would have taken this request at that moment.

Exits 1 when a promise is broken: more than 5 avoidable refusals per 1,000 upstream requests (20
with `--wrong`), more than one needless switch in a session, or an invalid history.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.quota.day import LARGE
from bench.quota.world import START, World, free_hosted
from bench.sessions.clients import CLIENTS, Client
from bench.sessions.report import TURNS, Report, Session, Switch, print_report
from bench.sessions.script import Script, prose
from bench.sessions.vendors import Vendors, chars_of
from bench.sessions.virtual_time import VirtualLoop
from ymera.app import App
from ymera.catalog.load import load
from ymera.catalog.pools import Pools
from ymera.config.load import load_settings
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import AnswerBuilder
from ymera.core.chat import ChatRequest
from ymera.core.errors import YmeraError
from ymera.core.model import Model, Provider
from ymera.core.route import ExclusionReason
from ymera.engine.reply import Reply
from ymera.providers.hosted import HostAddress, HostedProvider
from ymera.providers.hosts import resolve_host
from ymera.routing.plan import Snapshot
from ymera.testing.doors import endpoint_path
from ymera.wire.codec import AnswerHead
from ymera.wire.dialects import caller_dialect, upstream_dialect

__all__ = ["Report", "main", "run"]

SIZES = (5_000, 60_000)
_CHARS_PER_TOKEN = 3.8
_STARTS_WITHIN_S = 16 * 3600.0
_TRIES = 4
_LONGEST_WAIT_S = 900.0
_WRONG = 0.3


def run(
    seed: int,
    *,
    sessions: int = 200,
    wrong: bool = False,
    faults: bool = False,
    scarce: bool = False,
    wander: bool = False,
) -> Report:
    """Run the sessions of one day."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        loop = VirtualLoop(START)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            models = free_hosted(load(), lambda model: not (scarce and _is_large(model)))
            day = _Day(seed, loop, Path(folder), models, wrong=wrong, faults=faults, wander=wander)
            report = runner.run(day.run(sessions))
    report.seconds = time.perf_counter() - began
    return report


def _is_large(model: Model) -> bool:
    return model.provider in LARGE or "gemma" in model.id.split("/")[1]


class _AppOf(App):
    """An app that may ask these models alone."""

    only: frozenset[str] = frozenset()
    _narrowed: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """Return the usual one, with a reason for every other model."""
        whole = super().snapshot()
        if self._narrowed is None or self._narrowed.models is not whole.models:
            others = {
                model.id: (ExclusionReason.NOT_CALLABLE, "left out of this run")
                for model in whole.models
                if model.id not in self.only
            }
            availability = {**others, **whole.availability}
            self._narrowed = Snapshot(models=whole.models, availability=availability)
        return self._narrowed


class _Day:
    def __init__(
        self,
        seed: int,
        loop: VirtualLoop,
        folder: Path,
        models: list[Model],
        *,
        wrong: bool,
        faults: bool,
        wander: bool,
    ) -> None:
        self._seed, self._loop, self._folder, self._wrong = seed, loop, folder, wrong
        self._wander = wander
        self._wandering = random.Random(f"wander {seed}")
        self._catalog = catalog = load()
        world = World(catalog, models, Pools(catalog), seed)
        if wrong:
            _make_wrong(world, random.Random(f"wrong {seed}"))
        self.vendors = Vendors(
            catalog,
            world,
            exact=not wrong,
            script=Script(seed),
            seed=seed,
            now=loop.now,
            at_s=loop.time,
            faults=faults,
        )
        self._models = {model.id: model for model in models}

    async def run(self, count: int) -> Report:
        async with self._app() as app:
            sessions = await asyncio.gather(
                *(self._session(app, number) for number in range(count))
            )
            closed = {model.provider for model in self._models.values()}
            why = app.standings.closures.why
            found = tuple(sorted(provider for provider in closed if why(provider)))
        return Report(
            seed=self._seed,
            wrong=self._wrong,
            sessions=list(sessions),
            seen=self.vendors.seen,
            closed=found,
        )

    def _app(self) -> App:
        """Return the app, whose hosts are asked through the vendors."""
        wanted = {model.provider for model in self._models.values()}
        providers = [self._catalog.providers[id] for id in sorted(wanted)]
        environ = {name: "simulated" for each in providers for name in each.extra_env}
        environ |= {each.key_env[0]: f"simulated-{each.id}" for each in providers if each.key_env}
        flags = {
            "data_dir": str(self._folder / "data"),
            "local.enabled": "false",
            "keyless_consent": ",".join(each.id for each in providers if each.keyless),
            "security.max_input_length": "100000000",
            "performance.max_concurrent_requests": "1000",
        }
        app = _AppOf(
            lambda: load_settings(
                flags=flags, environ=environ, cwd=self._folder, user_dir=self._folder
            ),
            environ=environ,
            clock=self._loop.clock(),
            providers={each.id: self._client(each, environ) for each in providers},
        )
        app.only = frozenset(self._models)
        return app

    def _client(self, provider: Provider, environ: dict[str, str]) -> HostedProvider:
        host = resolve_host(provider, environ, consent=True)
        if isinstance(host, tuple):
            raise TypeError(f"{provider.id}: {host[1]}")
        first, *others = (
            HostAddress(
                upstream_dialect(endpoint.dialect),
                f"https://{provider.id}.invalid{endpoint_path(endpoint.base_url)}",
                host.headers(endpoint),
            )
            for endpoint in host.endpoints
        )
        return HostedProvider(
            provider.id,
            first.dialect,
            first.base_url,
            first.headers,
            self.vendors,
            also=others,
            flags=provider.flags,
            now=self._loop.now,
        )

    async def _session(self, app: App, number: int) -> Session:
        rng = random.Random(f"session {self._seed} {number}")
        await asyncio.sleep(rng.uniform(0, _STARTS_WITHIN_S))
        size = math.exp(rng.uniform(*(math.log(bound) for bound in SIZES)))
        chars = size * _CHARS_PER_TOKEN
        system = prose(rng, round(min(8_000, 0.3 * chars)))
        client = CLIENTS[number % len(CLIENTS)](system)
        piece = (chars - len(system)) / TURNS
        client.says(f"Task {number}: " + prose(rng, round(piece * rng.uniform(0.5, 1.5))))
        session = Session()
        for _ in range(TURNS):
            wanted = await self._turn(app, client, session, stream=rng.random() < 0.5)
            if wanted is None:
                break
            left = (chars - client.chars) / max(TURNS - session.turns, 1)
            text = prose(rng, max(40, round(left * rng.uniform(0.6, 1.2))))
            if wanted:
                await asyncio.sleep(rng.uniform(2, 30))
                share = max(20, len(text) // len(wanted))
                client.results([(id, name, text[:share]) for id, name in wanted])
            else:
                await asyncio.sleep(rng.uniform(30, 240))
                client.says(text)
        session.tokens = round(client.chars / _CHARS_PER_TOKEN)
        return session

    async def _turn(
        self, app: App, client: Client, session: Session, *, stream: bool
    ) -> list[tuple[str, str]] | None:
        """Ask once more; return the calls to carry out, None when nobody answers."""
        for _ in range(_TRIES):
            request = client.request(stream=stream)
            if self._wander:
                request = msgspec.structs.replace(request, model=self._elsewhere(request))
            before = self._models.get(session.models[-1]) if session.models else None
            why = self._obstacle(app, before, request)
            try:
                reply = await app.front_door.handle(request, LOCAL_OWNER)
                body = await _whole(reply, client)
            except YmeraError as error:
                session.failures.append(error.code)
                wait_s = getattr(error, "retry_after_s", None) or 30.0
                await asyncio.sleep(min(wait_s, _LONGEST_WAIT_S))
                continue
            model = reply.trace.model
            assert model is not None
            if before is not None and model.id != before.id:
                session.switches.append(Switch(before=before.id, after=model.id, why=why or ""))
            session.models.append(model.id)
            session.turns += 1
            return client.answered(body)
        return None

    def _elsewhere(self, request: ChatRequest) -> str:
        """Return a model of which nothing is known that speaks against asking it."""
        chars = round(1.2 * chars_of(request)) + 6_000
        able: dict[str, list[str]] = {}
        for model in self._models.values():
            if model.tools and self.vendors.obstacle(model, chars) is None:
                able.setdefault(model.provider, []).append(model.id)
        return self._wandering.choice(able[self._wandering.choice(sorted(able))])

    def _obstacle(self, app: App, model: Model | None, request: ChatRequest) -> str | None:
        if model is None:
            return None
        if self._wander:
            return "another was asked for"
        if app.standings.closures.why(model.provider) is not None:
            return "provider billed and was closed"
        return self.vendors.obstacle(model, chars_of(request))


async def _whole(reply: Reply, client: Client) -> bytes:
    """Return the answer as the client's dialect writes a whole one."""
    builder = AnswerBuilder()
    async for event in reply.events():
        builder.add(event)
    model = reply.trace.model
    head = AnswerHead(
        id=reply.trace.id,
        created=0,
        model=model.id if model else "",
        request=reply.trace.request,
    )
    return caller_dialect(client.dialect).encode_answer(builder.build(), head)


def _make_wrong(world: World, rng: random.Random) -> None:
    """Let what is documented be wrong by 30%: vendors allow less or more."""
    for limits in world.limits.values():
        for limit in limits:
            if not limit.assumed:
                factor = 1 - _WRONG if rng.random() < 0.5 else 1 + _WRONG
                limit.amount = max(1, round(limit.amount * factor))


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Scripted coding sessions over the free quotas.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--wrong", action="store_true", help="documented limits are 30%% wrong")
    parser.add_argument("--scarce", action="store_true", help="leave out the large pools")
    parser.add_argument("--wander", action="store_true", help="another model each turn")
    parser.add_argument("--faults", action="store_true", help="1%% of 500, 1%% of 503")
    report = run(**vars(parser.parse_args(argv)))
    print_report(report)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
