"""Quotas of one installation: the book, what is documented, and what is kept over restarts."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache

from ymera.catalog.catalog import Catalog
from ymera.catalog.entries import PoolLimits
from ymera.catalog.load import load as load_catalog
from ymera.catalog.pools import Pools
from ymera.config.hosts import ProviderSettings
from ymera.core.errors import YmeraError
from ymera.core.model import Model, Quirk
from ymera.core.quota import MeterState, PoolKey, QuotaRow
from ymera.core.record import RequestRecord
from ymera.engine.trace import Clock
from ymera.routing.quota import QuotaBook
from ymera.storage.quota import SqlQuotaStore

__all__ = ["Quotas", "zone"]

_log = logging.getLogger(__name__)
_PERIOD_S = 2.0
_MOST_UNWRITTEN = 10_000
_WINTER = {"America/Los_Angeles": timezone(timedelta(hours=-8))}
"""For machines without time zone data: the day then ends an hour late in summer."""


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """Return a time zone by its IANA name; UTC where this machine knows none of it."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return _WINTER.get(name, UTC)


class Quotas:
    """What vendors allow and what is left of it, as the engine asks (an `EventSink`, too).

    The store is read when a model with limits is first considered, so that whoever asks embedded
    models alone opens no database. Changes are written by a thread, every two seconds at most,
    the last of a burst of requests no later than that.

    Args:
        store: where uses and learned limits are kept.
        clock: wall and monotonic time.
        keys: provider id -> names of its keys; empty for one that is called without.
        later: has something done in seconds; None leaves it to the running event loop.

    Attributes:
        book: counts what is taken.
    """

    def __init__(
        self,
        store: SqlQuotaStore,
        *,
        clock: Clock,
        keys: Callable[[str], Sequence[str]],
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._catalog = load_catalog()
        self._pools = Pools(self._catalog)
        self.book = QuotaBook(self._pools.limits, zones=zone, keep_changes=True)
        self._loaded = False
        self._process = os.getpid()
        self._later = later or _in_this_loop
        self._due_s = 0.0
        self._awaited_s = 0.0
        self._writer: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._unwritten: list[MeterState] = []
        self._stored: list[MeterState] | None = None
        self._failing = False

    def configure(self, catalog: Catalog, hosts: Mapping[str, ProviderSettings]) -> None:
        """Use these models and settings from now on; uses stay."""
        self._catalog = catalog
        apart = [id for id, own in hosts.items() if not own.keys_share_quota]
        own = {id: limits for id, host in hosts.items() if (limits := _own_limits(host))}
        rows = load_catalog().provider_entries
        self._pools = Pools(catalog, entries=rows, apart=apart, own=own)
        self.book.redocument(self._pools.limits)

    def pools(self, model: Model, key_id: str | None) -> tuple[PoolKey, ...]:
        """Return what a call counts against, the narrowest first; empty for one's own machine."""
        found = self._pools.of(model, key_id)
        if found and not self._loaded:
            self.load()
        return found

    def counts_failed(self, model: Model) -> bool:
        """Return whether the vendor counts calls that it refused."""
        flags = self._catalog.provider_of(model).flags | model.flags
        return Quirk.COUNTS_FAILED in flags

    def rows(self, models: Iterable[Model]) -> list[QuotaRow]:
        """Return every limit that calls of these models count against, each once; may block."""
        pools: dict[PoolKey, None] = {}
        for model in models:
            for key_id in self._keys(model.provider) or (None,):
                pools |= dict.fromkeys(self.pools(model, key_id))
        return self.book.rows(self._clock.now(), pools)

    def load(self) -> None:
        """Take in what was stored, once; blocks. A store that cannot be read counts as empty."""
        if self._loaded:
            return
        self._loaded = True
        try:
            self.book.load(self._store.load(), self._clock.now())
        except YmeraError as error:
            self._report("read", error)

    def emit(self, _record: RequestRecord) -> None:
        """Have what changed written: now, or in a moment if that was done a moment ago."""
        now_s = self._clock.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + _PERIOD_S
            self.flush()
        elif now_s >= self._awaited_s:  # no request may follow that would have it written
            self._awaited_s = self._due_s
            self._later(self._due_s - now_s, self.flush)

    def flush(self) -> None:
        """Take in what others used, and hand what changed to the writing thread."""
        if self._process != os.getpid():  # threads do not survive a fork
            self._process, self._writer, self._writing = os.getpid(), None, None
        stored, self._stored = self._stored, None
        if stored:
            self.book.absorb(stored, self._clock.now())
        if self._writing is not None and not self._writing.done():
            self._later(_PERIOD_S, self.flush)
            return
        changes = self.book.drain()
        if changes or self._unwritten:
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, thread_name_prefix="ymera-quotas")
            self._writing = self._writer.submit(self._write, changes)

    async def close(self) -> None:
        """Write what is held; may be used again after."""
        writer, self._writer = self._writer, None
        writing, self._writing = self._writing, None
        if writing is not None and self._process == os.getpid():
            await asyncio.wrap_future(writing)
        changes = self.book.drain()
        if changes or self._unwritten:
            await asyncio.to_thread(self._write, changes)
        if writer is not None and self._process == os.getpid():
            writer.shutdown(wait=False)

    def _write(self, changes: tuple[MeterState, ...]) -> None:
        """Write in the thread; what cannot be written is tried again with the next changes."""
        self._unwritten += changes
        try:
            self._stored = self._store.add(self._unwritten, self._clock.now())
        except Exception as error:  # noqa: BLE001 - outermost in its thread: it must be said
            self._report("written", error)
            del self._unwritten[:-_MOST_UNWRITTEN]
        else:
            self._unwritten = []
            self._failing = False

    def _report(self, done: str, error: Exception) -> None:
        if not self._failing:
            why = type(error).__name__
            if isinstance(error, YmeraError):
                why = f"{error.message} {error.hint or ''}"
            _log.warning("Quotas could not be %s: %s", done, why)
        self._failing = True


def _own_limits(host: ProviderSettings) -> PoolLimits | None:
    """Return what the settings say that a host allows; None when nothing."""
    limits = PoolLimits(rpm=host.rpm, rpd=host.rpd, tpm=host.tpm, tpd=host.tpd)
    return None if limits == PoolLimits() else limits


def _in_this_loop(delay_s: float, action: Callable[[], None]) -> None:
    """Do it later, unless the loop ends before or there is none; `close` writes what is left."""
    with suppress(RuntimeError):
        asyncio.get_running_loop().call_later(delay_s, action)
