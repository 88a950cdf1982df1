"""The providers of one configuration, made when they are first asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from pathlib import Path

from ymera.catalog.catalog import Catalog
from ymera.config.schema import Settings
from ymera.core.answer import ChatEvent
from ymera.core.chat import ChatRequest
from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest
from ymera.core.errors import MachineError, ProviderError, ProviderErrorKind
from ymera.core.model import Model, Provider, ProviderKind
from ymera.core.ports import (
    ChatProvider,
    Deadlines,
    EmbeddingProvider,
    ProviderFactory,
    Transport,
)
from ymera.engine.upstream_call import UpstreamEvents
from ymera.providers.hosts import ProviderKey, connect_host, provider_keys
from ymera.providers.local import LocalProvider
from ymera.providers.local_settings import LocalSettings
from ymera.providers.transport import HttpTransport

__all__ = ["Upstreams"]

_CONNECT_S = 10.0
_DOUBLES = "ymera.providers"
"""Entry point group of providers that the settings may name as `kind`."""


class Upstreams:
    """Finds the provider that serves a model.

    Args:
        catalog: the rows.
        settings: time limits and the embedded models' bounds.
        environ: where keys are looked up.
        models_dir: where embedded models lie.
        given: providers used as they are, by id; they are not closed here.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        settings: Settings,
        environ: Mapping[str, str],
        models_dir: Path,
        given: Mapping[str, ChatProvider],
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._environ = environ
        self._models_dir = models_dir
        self._given = given
        self._made: dict[tuple[str, str | None], ChatProvider] = {}
        self._key_ids: dict[str, tuple[str, ...]] = {}
        self._transport: Transport | None = None
        limit_s = float(settings.performance.timeout_seconds)
        self._deadlines = {stream: _deadlines(limit_s, stream=stream) for stream in (False, True)}
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._retired = False

    def call(self, request: ChatRequest, model: Model, key_id: str | None = None) -> UpstreamEvents:
        """Ask `model`; return the events of its answer, to be closed whatever becomes of them.

        Args:
            request: what to ask.
            model: of whom.
            key_id: one of `key_ids`; None: the provider's first key, or none.
        """
        deadlines = self._deadlines[request.stream]
        events = self.provider_for(model, key_id).stream(request, model, deadlines)
        self._begin()
        return _Call(events, self)

    async def embed(
        self, request: EmbeddingRequest, model: Model, key_id: str | None = None
    ) -> EmbeddingAnswer:
        """Return the vectors of the request's texts by `model`, with that key.

        Raises:
            ProviderError: the upstream failed; kind capability: its provider makes no vectors.
            Unsupported: its dialect cannot say what was asked.
        """
        async with self._under_way():
            provider = self.provider_for(model, key_id)
            if not isinstance(provider, EmbeddingProvider):
                raise ProviderError(
                    f"{model.provider} makes no vectors.", kind=ProviderErrorKind.CAPABILITY
                )
            return await provider.embed(request, model, self.deadlines(stream=False))

    @asynccontextmanager
    async def _under_way(self) -> AsyncGenerator[None, None]:
        """Count a call; one that began late, after `retire`, cleans up what it had made."""
        self._begin()
        try:
            yield
        finally:
            if self.call_ended():
                await self.close()

    def _begin(self) -> None:
        self._calls += 1
        if self._calls == 1:
            self._idle.clear()

    def call_ended(self) -> bool:
        """Count a call that has ended; return whether what was made is to be closed now."""
        self._calls -= 1
        if self._calls:
            return False
        self._idle.set()
        return self._retired

    def serves_like(self, other: Upstreams) -> bool:
        """Return whether `other` would reach the same hosts and models in the same way."""
        return self._inputs() == other._inputs()

    def _inputs(self) -> tuple[object, ...]:
        settings = self._settings
        return (
            settings.providers,
            settings.local,
            settings.performance.timeout_seconds,
            self._models_dir,
            self._environ,
        )

    async def retire(self) -> None:
        """Close once the calls under way have ended.

        A request that was routed before may still come, from the line for a slot or for its next
        candidate: it is served, and what that takes is closed after it.
        """
        while self._calls:
            await self._idle.wait()  # the next call may have begun before this goes on
        self._retired = True
        await self.close()

    def provider_for(self, model: Model, key_id: str | None = None) -> ChatProvider:
        """Return the client of `model` with that key, the same one each time."""
        provider = self._given.get(model.provider) or self._made.get((model.provider, key_id))
        if provider is None:
            made = self._make(self._catalog.provider_of(model), key_id)
            provider = self._made[model.provider, key_id] = made
        return provider

    def running_models(self) -> tuple[Model, ...]:
        """Return the embedded models that are loaded now."""
        local = [each for each in self._made.values() if isinstance(each, LocalProvider)]
        return tuple(
            model for model in self._catalog.models if any(each.runs(model) for each in local)
        )

    def key_ids(self, provider_id: str) -> tuple[str, ...]:
        """Return the names of a provider's keys, the first one first; empty: it has none."""
        found = self._key_ids.get(provider_id)
        if found is None:
            found = tuple(each.id for each in self._keys_of(provider_id))
            self._key_ids[provider_id] = found
        return found

    def changed_keys(self, older: Upstreams) -> tuple[tuple[str, str], ...]:
        """Return provider and name of each key that `older` had asked with, and that is another."""
        return tuple(
            (provider_id, key.id)
            for provider_id in older._key_ids
            for key in older._keys_of(provider_id)
            if key not in self._keys_of(provider_id)
        )

    def _keys_of(self, provider_id: str) -> tuple[ProviderKey, ...]:
        provider = self._catalog.providers.get(provider_id)
        hosted = provider is not None and provider_id not in self._given
        return provider_keys(provider, self._environ) if hosted and provider is not None else ()

    def deadlines(self, *, stream: bool) -> Deadlines:
        """Return how long a call may take; a stream may go on while pieces keep coming."""
        return self._deadlines[stream]

    async def close(self) -> None:
        """Close what was made here."""
        made, self._made = self._made, {}
        transport, self._transport = self._transport, None
        for provider in made.values():
            await provider.close()
        if transport is not None:
            await transport.close()

    def _make(self, provider: Provider, key_id: str | None) -> ChatProvider:
        match provider.kind:
            case ProviderKind.EMBEDDED:
                return self._embedded(provider)
            case ProviderKind.SCRIPTED:
                return _double(provider)
            case _:
                transport = self._shared_transport()
                return connect_host(provider, self._environ, transport, key_id=key_id)

    def _embedded(self, provider: Provider) -> ChatProvider:
        local = self._settings.local
        return LocalProvider(
            provider.id,
            self._models_dir,
            self._shared_transport(),
            LocalSettings(
                context_tokens=local.context_tokens,
                slots=local.slots,
                threads=local.threads,
                answer_timeout_s=float(local.answer_timeout_seconds),
                start_timeout_s=float(local.start_timeout_seconds),
                max_running_models=local.max_running_models,
                unload_after_s=local.unload_after_seconds,
            ),
        )

    def _shared_transport(self) -> Transport:
        if self._transport is None:
            self._transport = HttpTransport()
        return self._transport


class _Call:
    """The events of one call, counted as under way until they are closed."""

    __slots__ = ("_events", "_upstreams")

    def __init__(
        self, events: AsyncGenerator[Sequence[ChatEvent], None], upstreams: Upstreams
    ) -> None:
        self._events = events
        self._upstreams = upstreams

    def __aiter__(self) -> AsyncIterator[Sequence[ChatEvent]]:
        return self._events

    async def aclose(self) -> None:
        try:
            await self._events.aclose()
        finally:
            if self._upstreams.call_ended():
                await self._upstreams.close()


def _deadlines(limit_s: float, *, stream: bool) -> Deadlines:
    return Deadlines(
        connect_s=min(_CONNECT_S, limit_s),
        first_byte_s=limit_s,
        idle_s=limit_s,
        total_s=None if stream else limit_s,
    )


def _double(provider: Provider) -> ChatProvider:
    found = entry_points(group=_DOUBLES, name=ProviderKind.SCRIPTED.value)
    if not found:
        raise MachineError(
            "The scripted provider is not registered with this installation.",
            hint="Reinstall ymera.",
        )
    make: ProviderFactory = next(iter(found)).load()
    return make(provider)
