"""The security parts of an installation: vault, keys in effect, guards, tool gate, manager."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property

import msgspec

from ymera.app.credentials import Credentials, KeyWatch
from ymera.catalog.catalog import Catalog
from ymera.config.paths import DataPaths
from ymera.config.schema import Settings
from ymera.core.ports import InputGuard, OutputGuard, ToolGate
from ymera.core.tool import Tool, ToolEffect
from ymera.engine.trace import Clock
from ymera.security.audit import AuditLog
from ymera.security.guards.injection import PromptGuard
from ymera.security.guards.secrets import SecretsGuard
from ymera.security.guards.size import SizeGuard
from ymera.security.manager import SecurityManager, SecurityState
from ymera.security.rate_limit import HourlyRateLimiter
from ymera.security.tool_gate import AllowlistGate
from ymera.security.vault import Vault

__all__ = ["Securing"]

_SEPARATOR = "__"
_BUILTIN = frozenset(
    "calculator current_time fetch_page list_files query_database read_file".split()
)
"""None of them changes anything."""


class Securing:
    """Builds what settings ask for, and keeps what must outlive a change of settings.

    Args:
        paths: of the data directory.
        environ: where provider keys are looked up first.
        clock: wall time.
        settings: returns those in force.

    Attributes:
        audit: the audit log.
        vault: provider keys at rest.
    """

    def __init__(
        self,
        *,
        paths: DataPaths,
        environ: Mapping[str, str],
        clock: Clock,
        settings: Callable[[], Settings],
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._settings = settings
        self._limiter: tuple[int, HourlyRateLimiter] | None = None
        self.audit = AuditLog(paths.audit_logs, now=clock.now)
        self.vault = Vault(paths.encryption, now=clock.now)
        self._keys = KeyWatch(self.vault)

    def credentials(self, catalog: Catalog) -> Mapping[str, str]:
        """Return the environment with the stored keys laid under it; reads them anew."""
        return Credentials(self._environ, self._keys.read(), catalog)

    def keys_changed(self) -> bool:
        """Return whether stored keys changed since `credentials` was asked last; cheap."""
        return self._keys.changed()

    def input_guards(self, settings: Settings) -> list[InputGuard]:
        """Return the input guards that are switched on."""
        security = settings.security
        if not security.enable_input_validation:
            return []
        return [SizeGuard(security.max_input_length), PromptGuard()]

    def output_guard(self, settings: Settings) -> OutputGuard | None:
        """Return the output guard, None when it is switched off."""
        return SecretsGuard() if settings.security.enable_output_validation else None

    def limiter(self, settings: Settings) -> HourlyRateLimiter:
        """Return the rate limiter; while the limit stays the same, callers keep their count."""
        limit = settings.security.rate_limit_per_hour
        if self._limiter is None or self._limiter[0] != limit:
            self._limiter = (limit, HourlyRateLimiter(limit, now=self._clock.now))
        return self._limiter[1]

    def tool_gate(self, settings: Settings) -> ToolGate:
        """Return what decides on tool calls; a refusal leaves an audit line."""

        def report(kind: str) -> None:
            if self._settings().monitoring.enable_audit_log:
                self.audit.log("security.tool_refused", kinds=kind)

        return AllowlistGate(settings.tools.allow, report=report)

    @cached_property
    def manager(self) -> SecurityManager:
        """The document's `SecurityManager` over these parts."""
        return SecurityManager(
            vault=lambda: self.vault,
            state=self.state,
            find_tool=self.find_tool,
            now=self._clock.now,
        )

    def find_tool(self, name: str) -> Tool | None:
        """Return what the settings alone say of a tool (its effect); starts no server."""
        settings = self._settings()
        server, _, own_name = name.partition(_SEPARATOR)
        configured = settings.mcp.servers.get(server) if own_name else None
        if configured is not None:
            reads = any(fnmatchcase(own_name, pattern) for pattern in configured.read_only)
            return _tool(name, f"mcp:{server}", reads=reads)
        return _tool(name, "builtin", reads=True) if name in _BUILTIN else None

    def state(self) -> SecurityState:
        """Return what is in force now."""
        settings = self._settings()
        security = settings.security
        return SecurityState(
            limiter=self.limiter(settings),
            gate=AllowlistGate(settings.tools.allow),
            audit=self.audit,
            audit_enabled=settings.monitoring.enable_audit_log,
            max_input_length=security.max_input_length,
            rate_limit_per_hour=security.rate_limit_per_hour,
            input_validation=security.enable_input_validation,
            output_validation=security.enable_output_validation,
        )


def _tool(name: str, source: str, *, reads: bool) -> Tool:
    effect = ToolEffect.READ_ONLY if reads else ToolEffect.SIDE_EFFECT
    schema = msgspec.Raw(b'{"type":"object"}')
    return Tool(name=name, description="", parameters=schema, effect=effect, source=source)
