"""Health, closed providers and quotas of one installation, wired to what calls them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from ymera.app.closures import ClosedProviders
from ymera.app.cooling import CoolingFile
from ymera.config.paths import DataPaths
from ymera.engine.attempts import Retry
from ymera.engine.standing import Quotas, Standing
from ymera.engine.trace import Clock
from ymera.routing.health import HealthTable
from ymera.security.audit import AuditLog

__all__ = ["Standings"]

_log = logging.getLogger(__name__)


class Standings:
    """What must outlive a change of settings: who failed, who is closed, what was used.

    Args:
        paths: of the data directory.
        clock: wall time.
        audit: told what was benched and closed.
        keys: provider id -> names of its keys.
        quotas: vendors' allowances.

    Attributes:
        closures: closed providers.
        cooling: tells other processes which breakers are open.
        health: breakers.
        standing: both, and quotas, as the engine asks them.
        retry: how the last candidate is tried again.
    """

    def __init__(
        self,
        *,
        paths: DataPaths,
        clock: Clock,
        audit: AuditLog,
        keys: Callable[[str], Sequence[str]],
        quotas: Quotas | None,
    ) -> None:
        self.closures = ClosedProviders(paths.closed_providers, now=clock.now)
        self.health = HealthTable()
        self.cooling = CoolingFile(paths.cooling, self.health, now=clock.now)
        self._audit = audit
        self.standing = Standing(
            clock=clock,
            keys=keys,
            health=self.health,
            closures=self.closures,
            quotas=quotas,
            report=self._report,
        )
        self.retry = Retry(random=random.random, pause=asyncio.sleep)

    def refresh(self) -> None:
        """Take in providers that were closed or opened elsewhere; cheap when none was.

        Raises:
            MachineError: the list is damaged; what was known stays in force.
        """
        for provider in self.closures.refresh():
            self.health.forget(provider)
        self.cooling.note()

    def forget_keys(self, changed: Iterable[tuple[str, str]]) -> None:
        """Try keys again that are others now.

        Args:
            changed: provider id and name of each.
        """
        for provider, key_id in changed:
            self.health.forget(provider, key_id)

    def _report(self, event: str, facts: Mapping[str, str]) -> None:
        if event == "provider.closed":
            way_back = f"`ymera providers open {facts['provider']}` opens it again."
            _log.warning("%s is closed. %s %s", facts["provider"], facts["why"], way_back)
        else:
            _log.info("%s: %s", event, ", ".join(f"{name} {facts[name]}" for name in facts))
        self._audit.log(event, **facts)
