"""monitoring: dashboard, Prometheus text, records and audit lines agree on what was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ymera.engine.orchestrator import AIRequest
from ymera.security.audit import AuditLog
from ymera.storage.records import SqlRecordStore
from ymera.validation.asgi import get
from ymera.validation.hosted import HOST, HostedDouble, hosted_only
from ymera.validation.report import Check, Unchecked, Unmet, check

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.validation.installation import Installation

__all__ = ["DASHBOARD", "examine"]

DASHBOARD: Mapping[str, frozenset[str]] = {
    "overview": frozenset({"total_requests", "success_rate", "error_rate"}),
    "performance": frozenset(
        {"avg_response_time", "p50_response_time", "p95_response_time", "p99_response_time"}
    ),
    "usage": frozenset({"top_models", "top_agents"}),
    "errors": frozenset(),
}
"""The document's keys of the dashboard; more may be added."""

_GOOD, _BAD = 6, 2
_ON: dict[str, object] = {
    "monitoring.enable_metrics": True,
    "monitoring.enable_audit_log": True,
}


async def examine(installation: Installation) -> AsyncGenerator[Check, None]:
    """Make the checks."""
    keys, flags = hosted_only()
    async with installation.app(
        flags={**flags, **_ON}, keys=keys, providers={HOST: HostedDouble()}
    ) as app:
        await _send(app)
        yield await check("dashboard", _dashboard(app))
        yield await check("prometheus", _prometheus(app))
        await app.close()  # writes out what is held
        yield await check("records", _records(app))
        yield await check("audit lines", _audit(app))
    yield await check("switches", _switches(installation))
    yield await check("your records", _own_records(installation))
    yield await check("your audit log", _own_audit(installation))


async def _send(app: App) -> None:
    """Send requests that are answered, and some that cannot be."""
    good = [AIRequest(prompt=f"Say hello to number {n}") for n in range(_GOOD)]
    bad = [AIRequest(prompt="Say hello", model="no/such-model")] * _BAD
    await asyncio.gather(*(app.orchestrator.execute(each) for each in (*good, *bad)))
    await asyncio.sleep(0)  # records leave in the loop's next turn


async def _dashboard(app: App) -> str:
    status, body = await get(app, "/api/metrics")
    data = json.loads(body)
    if status != 200:
        raise Unmet(f"/api/metrics answers with status {status}.")
    for section, names in DASHBOARD.items():
        missing = names - data.get(section, {}).keys() if section in data else {section}
        if missing:
            raise Unmet(f"The dashboard lacks {', '.join(sorted(missing))}.")
    overview = data["overview"]
    wanted = (_GOOD + _BAD, _GOOD / (_GOOD + _BAD), _BAD / (_GOOD + _BAD))
    found = (overview["total_requests"], overview["success_rate"], overview["error_rate"])
    if found != wanted or data["errors"] != {"model_not_found": _BAD}:
        raise Unmet(f"Counted {found} and {data['errors']}; sent were {wanted}.")
    if sum(count for _, count in data["usage"]["top_models"]) != _GOOD:
        raise Unmet(f"top_models is {data['usage']['top_models']}; {_GOOD} were answered.")
    return f"the document's keys; {_GOOD + _BAD} requests, {_BAD} failed, as sent"


async def _prometheus(app: App) -> str:
    from prometheus_client.parser import text_string_to_metric_families

    status, body = await get(app, "/metrics")
    families = {each.name: each for each in text_string_to_metric_families(body.decode())}
    requests = families.get("ymera_requests")
    counted = sum(s.value for s in requests.samples if s.name.endswith("_total")) if requests else 0
    if counted != _GOOD + _BAD:
        raise Unmet(f"/metrics (status {status}) counts {counted:g} requests of {_GOOD + _BAD}.")
    return f"{len(families)} metrics parse; ymera_requests_total agrees with the dashboard"


async def _records(app: App) -> str:
    stored = await asyncio.to_thread(app.records.recent, _GOOD + _BAD + 1)
    failed = sum(each.error_code is not None for each in stored)
    if (len(stored), failed) != (_GOOD + _BAD, _BAD):
        raise Unmet(f"{len(stored)} records, {failed} of them failed.")
    return f"{len(stored)} records, {failed} of them failed, as sent"


async def _audit(app: App) -> str:
    lines = [
        json.loads(line)
        for file in sorted(app.paths.audit_logs.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    requests = [line for line in lines if "request_id" in line]
    if len(requests) != _GOOD + _BAD:
        raise Unmet(f"{len(requests)} audit lines for {_GOOD + _BAD} requests.")
    if any("Say hello" in json.dumps(line) for line in lines):
        raise Unmet("An audit line holds the text of a prompt.")
    return f"{len(requests)} lines, none with a prompt's text"


async def _switches(installation: Installation) -> str:
    settings = installation.loaded.settings.monitoring
    off = [name for name in ("enable_metrics", "enable_audit_log") if not getattr(settings, name)]
    if off:
        names = " and ".join(f"monitoring.{name}" for name in off)
        raise Unchecked(f"You switched off {names}.", hint="Set it to true to be counted.")
    return "metrics and audit log are on"


async def _own_records(installation: Installation) -> str:
    path = installation.paths.records
    if not path.exists():
        return "no request was made yet"
    store = SqlRecordStore(path)
    try:
        await asyncio.to_thread(store.open)
        newest = await asyncio.to_thread(store.recent, 1)
    finally:
        store.close()
    return f"{path} opens" + (f", newest of {newest[0].at:%Y-%m-%d}" if newest else ", empty")


async def _own_audit(installation: Installation) -> str:
    folder = installation.paths.audit_logs
    if not folder.exists():
        return "no line was written yet"
    log = AuditLog(folder, now=lambda: datetime.now(UTC))
    await asyncio.to_thread(log.open)
    return f"{folder} can be written"
