"""A loopback server that plays every provider of the catalogue, each in its own dialects."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Self

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.catalog.load import load as load_catalog
from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest
from ymera.core.model import (
    Dialect,
    Model,
    ModelKind,
    Provider,
    ProviderKind,
)
from ymera.core.quota import QuotaWindow
from ymera.testing.answers import Answers, obliging_echo
from ymera.testing.doors import door_of, endpoint_path
from ymera.testing.fault_plan import FaultPlan
from ymera.testing.http import Exchange, LoopbackServer, SeenRequest
from ymera.testing.pointing import simulated_environ, simulated_settings, simulated_toml
from ymera.testing.quotas import MovableClock, VendorQuotas
from ymera.testing.speech import voice_of
from ymera.testing.stage import Pause
from ymera.testing.vendors import habits_of
from ymera.testing.visit import KEY, Visit, World, account_of

__all__ = ["ProviderSimulator", "simulated_providers"]

_THOUGHT = "The user wants an answer."
_NOT_PLAYED = frozenset({ProviderKind.EMBEDDED, ProviderKind.SCRIPTED})


class ProviderSimulator:
    """Runs while its `async with` block lasts.

    Each provider has a path of its own, `/groq/openai/v1` for example: its id, then what its real
    address has behind the host. A key is right when it begins with `simulated`; what stands between
    that and the first dot names the account: `simulated-a.1` and `simulated-a.2` share quotas.

    Args:
        providers: ids of those to play; empty plays every active one of the catalogue.
        answers: what models say; an echo, with a thought from models that reason, by default.
        faults: what goes wrong.
        quota: whether documented limits are enforced.
        port: 0 picks a free one.
        clock: the time quotas reset by; `advance` moves it.
        pause: awaited between streamed pieces with their number from 0.
        catalog: the rows; the bundled ones by default.

    Attributes:
        clock: see above.
        quotas: the vendors' books.

    Raises:
        ValueError: a provider is unknown, retired or not one that is called over HTTP.
    """

    def __init__(
        self,
        *,
        providers: Iterable[str] = (),
        answers: Answers | None = None,
        faults: FaultPlan | None = None,
        quota: bool = True,
        port: int = 0,
        clock: Callable[[], datetime] | None = None,
        pause: Pause | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        self._catalog = catalog or load_catalog()
        self.providers = _played(self._catalog, tuple(providers))
        models = {
            (model.provider, model.upstream_id): model
            for model in self._catalog.models
            if model.provider in self.providers and model.kind is not ModelKind.TRANSCRIPTION
        }
        self._server = LoopbackServer(self._respond, port=port)
        self.clock = MovableClock(clock)
        rows = self._catalog.provider_entries
        limits = {key: rows[key].free_limits for key in self.providers if key in rows}
        self.quotas = VendorQuotas(
            self.providers.values(), limits, clock=self.clock, enforced=quota
        )
        self._world = World(
            models=models,
            answers=answers or _thoughtful(models),
            faults=faults or FaultPlan(),
            quotas=self.quotas,
            clock=self.clock,
            pause=pause,
        )

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Cut every connection and stop."""
        await self._server.__aexit__(*exc)

    @property
    def origin(self) -> str:
        """The server's address, `http://127.0.0.1:<port>`."""
        return self._server.origin

    @property
    def seen(self) -> list[SeenRequest]:
        """Every request, in order."""
        return self._server.seen

    @property
    def hang_ups(self) -> asyncio.Event:
        """Set for good once a caller has left in the middle of an answer."""
        return self._server.hang_ups

    @property
    def settings(self) -> dict[str, object]:
        """What points Ymera at the simulated providers, as a tree of settings."""
        return simulated_settings(self)

    @property
    def environ(self) -> dict[str, str]:
        """The variables that those settings read keys from."""
        return simulated_environ()

    def toml(self, *, vouched: bool = False) -> str:
        """Return the settings as a configuration file; see `ymera.testing.pointing`."""
        return simulated_toml(self, vouched=vouched)

    def models_of(self, provider_id: str) -> list[Model]:
        """Return the chat and embedding models that a provider serves."""
        return self._world.models_of(provider_id)

    @property
    def calls(self) -> Counter[tuple[str, str, int]]:
        """Chat and embedding calls by provider, model (its own name there) and HTTP status.

        Status 0 stands for an answer that was cut.
        """
        return self._world.calls

    def base_url(self, provider_id: str, dialect: Dialect | None = None) -> str:
        """Return a provider's address in a dialect, by default the one Ymera prefers."""
        provider = self.providers[provider_id]
        endpoint = next(
            (each for each in provider.endpoints if dialect in {None, each.dialect}), None
        )
        address = endpoint.base_url if endpoint is not None else provider.base_url or ""
        return f"{self.origin}/{provider_id}{endpoint_path(address)}"

    def advance(self, seconds: float) -> None:
        """Let time pass for the vendors."""
        self.clock.advance(seconds)

    def exhaust(
        self,
        provider_id: str,
        model: str | None = None,
        *,
        window: QuotaWindow | None = None,
        account: str = "",
    ) -> int:
        """Use up the limits of one model or of all; return how many limits that were.

        Args:
            provider_id: whose.
            model: upstream id; None for every model of the provider.
            window: only those of this window.
            account: whose key; the empty one is that of the key `simulated-key`.
        """
        chosen = [m for m in self.models_of(provider_id) if model in {None, m.upstream_id}]
        owner = account or account_of(f"{KEY}-key")
        return sum(
            self.quotas.exhaust(provider_id, each, who, window=window)
            for each in chosen
            for who in {owner, ""}  # with a key and without
        )

    # --- one request -------------------------------------------------------------------------

    async def _respond(self, exchange: Exchange) -> bool:
        asked = exchange.request
        provider_id, _, rest = asked.path.removeprefix("/").partition("/")
        provider = self.providers.get(provider_id)
        door = provider and door_of(provider, asked.method, f"/{rest}", asked.headers)
        if provider is None or not door:
            return await exchange.send(404, b'{"error":{"message":"Not found"}}')
        voice = voice_of(door.dialect, habits_of(provider_id))
        if voice is None:
            return await exchange.send(501, b'{"error":{"message":"Not spoken here yet"}}')
        return await Visit(self._world, exchange, provider, door, voice).answered()


def _played(catalog: Catalog, wanted: tuple[str, ...]) -> dict[str, Provider]:
    playable = {
        provider.id: provider
        for provider in catalog.providers.values()
        if provider.active and provider.kind not in _NOT_PLAYED
    }
    if unknown := [each for each in wanted if each not in playable]:
        raise ValueError(f"no active provider is called {', '.join(unknown)}")
    return {each: playable[each] for each in wanted} if wanted else playable


def _thoughtful(models: dict[tuple[str, str], Model]) -> Answers:
    """Return the echo, in front of which models that can reason do."""
    thinkers = {model.upstream_id for model in models.values() if model.reasoning}

    def answer(request: ChatRequest) -> ChatAnswer:
        said = obliging_echo(request)
        if request.model not in thinkers or said.usage is None:
            return said
        tokens = len(_THOUGHT.split())
        usage = msgspec.structs.replace(
            said.usage,
            output_tokens=said.usage.output_tokens + tokens,
            reasoning_tokens=tokens,
        )
        return msgspec.structs.replace(said, reasoning=_THOUGHT, usage=usage)

    return answer


@asynccontextmanager
async def simulated_providers(
    *providers: str,
    answers: Answers | None = None,
    faults: FaultPlan | None = None,
    quota: bool = True,
    port: int = 0,
) -> AsyncIterator[ProviderSimulator]:
    """Play providers of the catalogue on loopback while the block lasts.

    Args:
        providers: ids; none plays every active one.
        answers: what models say; see `ProviderSimulator`.
        faults: what goes wrong.
        quota: whether documented limits are enforced.
        port: 0 picks a free one.
    """
    async with ProviderSimulator(
        providers=providers, answers=answers, faults=faults, quota=quota, port=port
    ) as simulator:
        yield simulator
