"""Checks of this installation; each failure says how to mend it."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from ymera.app import App
from ymera.catalog.check import Level
from ymera.catalog.check import check as check_catalog
from ymera.core.errors import YmeraError
from ymera.core.model import ModelKind, ProviderKind
from ymera.providers.local import is_runnable

__all__ = ["CheckResult", "Health", "examine"]

_LOW_DISK_BYTES = 500_000_000


class Health(StrEnum):
    """How a check went; only `FAILED` makes the installation unfit."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One finding: what was looked at, how it is, and how to mend it."""

    name: str
    health: Health
    detail: str
    fix: str | None = None


def examine(app: App) -> Iterator[CheckResult]:
    """Yield the findings, one check after another; nothing is asked of any model."""
    checks: tuple[Callable[[App], CheckResult], ...] = (
        _python,
        _settings,
        _catalog,
        _data_directory,
        _records,
        _runs,
        _audit,
        _embedded_runtime,
        _models,
        _port,
    )
    for each in checks:
        try:
            yield each(app)
        except YmeraError as error:
            name = each.__name__.strip("_").replace("_", " ")
            yield _failed(name, error.message, error.hint)


def _ok(name: str, detail: str) -> CheckResult:
    return CheckResult(name=name, health=Health.OK, detail=detail)


def _failed(name: str, detail: str, fix: str | None) -> CheckResult:
    return CheckResult(name=name, health=Health.FAILED, detail=detail, fix=fix)


def _warning(name: str, detail: str, fix: str) -> CheckResult:
    return CheckResult(name=name, health=Health.WARNING, detail=detail, fix=fix)


def _python(app: App) -> CheckResult:
    return _ok("python", f"{platform.python_version()} at {sys.prefix}")


def _settings(app: App) -> CheckResult:
    found = [str(file.path) for file in app.loaded.files if file.stamp is not None]
    return _ok("settings", f"from {', '.join(found)}" if found else "defaults, no file found")


def _catalog(app: App) -> CheckResult:
    errors = [p for p in check_catalog(app.catalog) if p.level is Level.ERROR]
    if errors:
        first = f"{errors[0].subject}: {errors[0].message}"
        return _failed("catalog", first, "`ymera catalog check` lists all; reinstall ymera.")
    models = len(app.catalog.models)
    return _ok("catalog", f"{models} models of {app.catalog.generated}")


def _data_directory(app: App) -> CheckResult:
    free = shutil.disk_usage(app.paths.root).free
    if free < _LOW_DISK_BYTES:
        fix = "Free some space, or name another data directory with YMERA_DATA_DIR."
        return _warning("data directory", f"{app.paths.root}: {free / 1e6:.0f} MB left", fix)
    return _ok("data directory", str(app.paths.root))


def _records(app: App) -> CheckResult:
    app.records.open()
    return _ok("record store", str(app.paths.records))


def _runs(app: App) -> CheckResult:
    return _ok("run store", app.running.check_store())


def _audit(app: App) -> CheckResult:
    if not app.settings.monitoring.enable_audit_log:
        return _warning("audit log", "switched off", "Set monitoring.enable_audit_log to true.")
    app.audit.open()
    return _ok("audit log", str(app.paths.audit_logs))


def _embedded_runtime(app: App) -> CheckResult:
    if not is_runnable():
        fix = "pip install 'ymera[local]'"
        return _warning("embedded runtime", "xllamacpp is not installed", fix)
    return _ok("embedded runtime", "xllamacpp is installed")


def _models(app: App) -> CheckResult:
    problem = app.not_ready_because()
    if problem is not None:
        return _failed("models", problem.message, problem.hint)
    unavailable = app.snapshot().availability
    ready = [
        model
        for model in app.catalog.models
        if model.kind is ModelKind.CHAT
        and model.free.may_auto_route
        and model.id not in unavailable
    ]
    on_machine = [m.id for m in ready if app.catalog.provider_of(m).kind is ProviderKind.EMBEDDED]
    return _ok(
        "models",
        f"{len(ready)} can be asked at cost 0; on this machine: {', '.join(on_machine) or 'none'}",
    )


def _port(app: App) -> CheckResult:
    server = app.settings.server
    with socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host.strip("[]"), server.port))
        except OSError as error:
            return _warning(
                "server port",
                f"{server.host}:{server.port}: {error.strerror}",
                "If that is not Ymera itself, choose another with server.port.",
            )
    return _ok("server port", f"{server.host}:{server.port} is free")
