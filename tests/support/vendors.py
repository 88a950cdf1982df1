"""Every provider of the catalogue on loopback, in a thread, for commands that ask them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ymera.catalog.catalog import Catalog
from ymera.catalog.load import load
from ymera.core.model import Model
from ymera.testing import FaultPlan, ProviderSimulator

__all__ = ["Vendors", "changed", "playing", "pointed_at"]

READY_WITHIN_S = 30


@dataclass
class Vendors:
    """The simulator, once it listens."""

    simulator: ProviderSimulator

    def asked(self, path: str) -> int:
        """Return how many requests went to paths that end in this."""
        return sum(each.path.partition("?")[0].endswith(path) for each in self.simulator.seen)


@contextmanager
def playing(
    *providers: str, catalog: Catalog | None = None, faults: FaultPlan | None = None
) -> Iterator[Vendors]:
    """Play providers while the block lasts.

    Args:
        providers: their ids.
        catalog: what they list and serve.
        faults: what goes wrong.
    """
    simulator = ProviderSimulator(providers=providers, catalog=catalog, faults=faults)
    ready, finished = threading.Event(), threading.Event()

    async def serve() -> None:
        async with simulator:
            ready.set()
            await asyncio.to_thread(finished.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="vendors", daemon=True)
    thread.start()
    try:
        assert ready.wait(READY_WITHIN_S), "the simulator did not start"
        yield Vendors(simulator)
    finally:
        finished.set()
        thread.join(READY_WITHIN_S)


def pointed_at(vendors: Vendors, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make commands ask these vendors and nobody else."""
    file = folder / "vendors.toml"
    file.write_text(vendors.simulator.toml())
    monkeypatch.setenv("YMERA_CONFIG", str(file))
    monkeypatch.setenv("YMERA_LOCAL__ENABLED", "false")
    for name, value in vendors.simulator.environ.items():
        monkeypatch.setenv(name, value)


def changed(
    provider: str,
    *,
    without: tuple[str, ...] = (),
    like: dict[str, str] | None = None,
    change: Callable[[Model], Model] = lambda model: model,
) -> Catalog:
    """Return the bundled catalogue as one vendor has changed it since.

    Args:
        provider: whose models.
        without: upstream ids that are gone.
        like: new upstream id -> an existing one that it is like.
        change: applied to every model of the vendor, new ones included.
    """
    catalog = load()
    mine = {m.upstream_id: m for m in catalog.models if m.provider == provider}
    new = [
        msgspec.structs.replace(mine[old], id=f"{provider}/{name}", upstream_id=name)
        for name, old in (like or {}).items()
    ]
    kept = [m for name, m in mine.items() if name not in without]
    others = [m for m in catalog.models if m.provider != provider]
    return Catalog(
        generated=catalog.generated,
        providers=catalog.providers.values(),
        models=[*others, *(change(m) for m in (*kept, *new))],
        provider_entries=catalog.provider_entries,
        model_entries={m.id: catalog.model_entries[m.id] for m in [*others, *kept]},
    )
