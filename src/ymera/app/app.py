"""Settings in, a working Ymera out."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, time
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from ymera.app.availability import pulled_models, unavailable_models, within_slots
from ymera.app.catalog_files import CatalogFiles
from ymera.app.front_door import FrontDoor, parameters_of, task_of
from ymera.app.observing import Observing
from ymera.app.pipeline import Pipeline
from ymera.app.quotas import Quotas
from ymera.app.running import Running
from ymera.app.securing import Securing
from ymera.app.standing import Standings
from ymera.app.upstreams import Upstreams
from ymera.config.load import Loaded, load_settings
from ymera.config.paths import DataPaths, ensure_writable, locate_data_dir
from ymera.config.schema import Settings
from ymera.config.watch import Watcher
from ymera.core.access import Principal
from ymera.core.chat import ChatRequest
from ymera.core.errors import NoRoute, YmeraError
from ymera.core.model import Model, ModelKind
from ymera.core.ports import ChatProvider, EventSink
from ymera.core.record import RequestRecord
from ymera.engine.orchestrator import AIOrchestrator
from ymera.engine.trace import Clock
from ymera.routing.plan import Snapshot
from ymera.routing.policies import ALIASES
from ymera.storage.batching import BatchingSink
from ymera.storage.quota import SqlQuotaStore
from ymera.storage.records import SqlRecordStore

if TYPE_CHECKING:
    from ymera.app.tooling import Tooling
    from ymera.phases.calls import AskWithTools
    from ymera.phases.service import RunService
    from ymera.phases.types import RunSpec
    from ymera.tools.registry import CallReport

__all__ = ["App"]

_log = logging.getLogger(__name__)
_RETIRE_WITHIN_S = 10.0


class App:
    """Every part, wired; made by `create`. Works from any event loop, one after another.

    Args:
        load: reads the settings; called again when a file changes.
        environ: environment variables: provider keys are looked up here.
        clock: wall and monotonic time.
        providers: used instead of the catalogue's providers of these ids (doubles of tests).

    Attributes:
        settings: in force now; `reload` replaces them.
        environ: as given.
        catalog: bundled models, what lies over them, and the user's own.
        catalog_files: where that comes from.
        gateway: the request pipeline of these settings.
        embedder: takes requests for vectors.
        front_door: where requests enter: agents' names go to runs, others to the gateway.
        orchestrator: the same for library, command line and document.
        observing: metrics, experience, feedback and retention.
        running: agents and multi-model runs.
        records: the store of request records.
        audit: the audit log.
        securing: vault, guards, tool gate, the document's security manager.
        quotas: vendors' allowances.
        standings: health, closed providers, quotas.
    """

    def __init__(
        self,
        load: Callable[[], Loaded],
        *,
        environ: Mapping[str, str],
        clock: Clock,
        providers: Mapping[str, ChatProvider] = MappingProxyType({}),
    ) -> None:
        self.environ = environ
        self._clock = clock
        self._given = providers
        self._watcher = Watcher(load, report=_log_broken_edit)
        loaded = self._watcher.loaded
        self.paths: DataPaths = locate_data_dir(loaded.settings.data_dir, environ=environ)
        ensure_writable(self.paths.root)
        self.catalog_files = CatalogFiles.of(loaded, self.paths, now=clock.now)
        self.records = SqlRecordStore(self.paths.records)
        self.observing = Observing(
            paths=self.paths, records=self.records, clock=clock, settings=lambda: self.settings
        )
        self.securing = Securing(
            paths=self.paths, environ=environ, clock=clock, settings=lambda: self.settings
        )
        self.audit = self.securing.audit
        self.quotas = Quotas(SqlQuotaStore(self.records), clock=clock, keys=self._key_ids)
        self.standings = Standings(
            paths=self.paths, clock=clock, audit=self.audit, keys=self._key_ids, quotas=self.quotas
        )
        self.running = Running(
            paths=self.paths,
            environ=environ,
            clock=clock,
            settings=lambda: self.settings,
            gateway=lambda: self.gateway,
            ask_with_tools=self._phase_tools,
            rejected=self.observing.rejected,
        )
        self.front_door = self._entrance()
        self.orchestrator = AIOrchestrator(
            lambda: self.front_door,
            lambda: self.settings.models.default_model,
            lambda: self.settings.tools.always,
        )
        self._sink = BatchingSink([self.records.write_batch, self._write_audit])
        self._pipeline = Pipeline(
            clock=clock,
            securing=self.securing,
            standings=self.standings,
            snapshot=self.snapshot,
            experience=self.observing.experience.advantages,
            throttle=self._sink,
        )
        self._upstreams: Upstreams | None = None
        self._tooling: Tooling | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._configure(loaded)

    @classmethod
    def create(
        cls,
        *,
        flags: Mapping[str, object] | None = None,
        providers: Mapping[str, ChatProvider] = MappingProxyType({}),
    ) -> App:
        """Build an app from flags, environment, configuration files and defaults.

        Raises:
            ConfigError: a setting is wrong.
            CatalogError: the bundled catalogue is damaged.
            MachineError: the data directory cannot be written.
        """
        return cls(
            lambda: load_settings(flags=flags),
            environ=os.environ,
            clock=Clock.system(),
            providers=providers,
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """End child processes and connections, write out records; may be used again after."""
        await asyncio.sleep(0)  # records of replies that left just now reach the sinks
        async with AsyncExitStack() as parts:  # in reverse, each whatever happens to the others
            parts.callback(self.records.close)
            parts.push_async_callback(self._sink.close)
            parts.push_async_callback(self.observing.close)
            parts.push_async_callback(self.quotas.close)
            parts.push_async_callback(self.standings.closures.written)
            parts.push_async_callback(self.standings.cooling.close)
            if self._upstreams is not None:
                parts.push_async_callback(self._upstreams.close)
            for retiring in tuple(self._retiring):
                parts.push_async_callback(asyncio.wait_for, retiring, _RETIRE_WITHIN_S)
            if self._tooling is not None:
                parts.push_async_callback(self._tooling.close)
            parts.push_async_callback(self.running.close)

    def snapshot(self) -> Snapshot:
        """Return every model and why some cannot be called now."""
        return self._snapshot

    def not_ready_because(self) -> NoRoute | None:
        """Return why no model at all could answer, or None when one could."""
        unavailable = self._snapshot.availability
        if any(
            model.kind is ModelKind.CHAT
            and model.free.may_auto_route
            and model.id not in unavailable
            for model in self.catalog.models
        ):
            return None
        return NoRoute(
            "No model can be called: none is pulled and no key is set.",
            hint="`ymera models pull` fetches a small one; `ymera doctor` tells more.",
        )

    def model_names(self) -> tuple[str, ...]:
        """Return every name a request may use: aliases, agents, then ids of chat models."""
        chat = (model.id for model in self.catalog.models if model.kind is ModelKind.CHAT)
        return (*ALIASES, *self._agent_names(), *chat)

    def running_models(self) -> tuple[Model, ...]:
        """Return the embedded models that are loaded now, with the context they have here."""
        running = {m.id for m in self._upstreams.running_models()} if self._upstreams else set()
        return tuple(model for model in self._snapshot.models if model.id in running)

    def refresh(self) -> None:
        """Take in models that were pulled or removed since."""
        pulled = pulled_models(self.catalog, self.models_dir)
        if pulled != self._pulled:
            self._take_snapshot(pulled)

    def reload(self) -> bool:
        """Take in changed configuration files, keys and pulled models; cheap when nothing changed.

        A broken edit is logged once and changes nothing.

        Returns:
            Whether settings changed.

        Called from a running event loop.

        Raises:
            ConfigError: a host of the new settings cannot be used; the old ones stay in force.
        """
        self.standings.refresh()
        loaded = self._watcher.poll()
        if loaded is None:
            keys, catalog = self.securing.keys_changed(), self.catalog_files.changed()
            if keys or catalog:
                self._configure(self.loaded)
                self.audit.log("keys.reloaded" if keys else "catalog.reloaded")
            self.refresh()
            return False
        self._configure(loaded)
        self.audit.log("config.reloaded")
        return True

    @property
    def settings(self) -> Settings:
        """The settings in force now."""
        return self.loaded.settings

    @property
    def credentials(self) -> Mapping[str, str]:
        """The environment with the stored keys laid under it."""
        return self._keys

    @property
    def runs(self) -> RunService:
        """The run service, made at first use."""
        return self.running.service

    @property
    def tools(self) -> Tooling:
        """The tools of the settings in force, made at first use.

        Raises:
            ConfigError: a server or database is set up wrongly.
        """
        if self._tooling is None:
            from ymera.app.tooling import Tooling

            self._tooling = Tooling(
                self.settings,
                environ=self.environ,
                paths=self.paths,
                clock=self._clock,
                gateway=lambda: self.gateway,
                gate=self.securing.tool_gate(self.settings),
                report=self._tool_called,
            )
        return self._tooling

    @property
    def models_dir(self) -> Path:
        """Where embedded models lie."""
        return self.settings.local.models_dir or self.paths.models

    @cached_property
    def catalog_date(self) -> datetime:
        """Midnight UTC of the day the catalogue was made."""
        return datetime.combine(self.catalog.generated, time(), UTC)

    def _configure(self, loaded: Loaded) -> None:
        """Build everything that depends on settings; all or nothing."""
        settings = loaded.settings
        catalog = self.catalog_files.load(settings.providers)
        self.loaded, self.catalog = loaded, catalog
        self.quotas.configure(catalog, settings.providers)
        self._keys = self.securing.credentials(catalog)
        self._take_snapshot(pulled_models(catalog, self.models_dir))
        self._upstreams = self._upstreams_of(settings)
        if self._tooling is not None and not self._tooling.fits(settings):
            old, self._tooling = self._tooling, None
            self._retire(old.close())
        built = self._pipeline.build(settings, catalog, self._upstreams, self._sinks(settings))
        self.gateway, self.embedder = built.gateway, built.embedder

    def _entrance(self) -> FrontDoor:
        return FrontDoor(
            gateway=lambda: self.gateway,
            is_alias=ALIASES.__contains__,
            model=lambda name: self.catalog.find(name),  # noqa: PLW0108 - it is replaced
            agents=self._agent_names,
            plan=self._planned,
            runs=lambda: self.runs,
            tool_loop=lambda: self.tools.loop,
            clock=self._clock,
        )

    def _key_ids(self, provider_id: str) -> Sequence[str]:
        return self._upstreams.key_ids(provider_id) if self._upstreams else ()

    def _agent_names(self) -> tuple[str, ...]:
        return self.running.agents.names()  # read at each call: a user's file may be new

    def _planned(self, request: ChatRequest, principal: Principal) -> RunSpec:
        """Return the run that a request for an agent stands for."""
        return self.running.plan(
            request.model,
            task_of(request),
            parameters_of(request),
            complexity=request.hints.complexity,
            private=request.hints.private or request.hints.no_store,
            principal=principal,
        )

    def _upstreams_of(self, settings: Settings) -> Upstreams:
        """Return the upstreams of these settings: those in use when nothing of theirs changed."""
        fresh = Upstreams(
            catalog=self.catalog,
            settings=settings,
            environ=self._keys,
            models_dir=self.models_dir,
            given=self._given,
        )
        old = self._upstreams
        if old is None:
            return fresh
        if old.serves_like(fresh):
            return old
        self.standings.forget_keys(fresh.changed_keys(old))
        self._retire(old.retire())
        return fresh

    def _retire(self, ending: Coroutine[Any, Any, None]) -> None:
        """End what new settings replaced, once it is no longer used."""
        retiring = asyncio.ensure_future(ending)
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    def _phase_tools(self) -> AskWithTools:
        from ymera.app.phase_tools import PhaseToolCalls

        return PhaseToolCalls(lambda: self.tools, lambda: self.gateway, self._clock)

    def _tool_called(self, call: CallReport) -> None:
        if self.settings.monitoring.enable_audit_log:
            use = call.use
            self.audit.log(
                "tool.called",
                tool=use.name,
                source=use.source,
                arguments=" ".join(call.arguments),
                outcome="success" if use.ok else use.error_code,
                approved_by=use.approved_by,
                principal=call.principal.id,
            )

    def _take_snapshot(self, pulled: frozenset[str]) -> None:
        self._pulled = pulled
        unavailable = unavailable_models(self.catalog, self.settings, self._keys, pulled)
        models = within_slots(self.catalog, self.settings.local.context_tokens)
        self._snapshot = Snapshot(models=models, availability=unavailable)

    def _sinks(self, settings: Settings) -> list[EventSink]:
        return [self._sink, self.quotas, *self.observing.sinks(settings)]

    def _write_audit(self, records: Sequence[RequestRecord]) -> None:
        if self.settings.monitoring.enable_audit_log:
            self.audit.write_batch(records)


def _log_broken_edit(error: YmeraError) -> None:
    _log.error("settings not reloaded: %s %s", error.message, error.hint or "")
