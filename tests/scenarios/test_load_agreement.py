"""64 callers at once: whatever is counted, wherever it is counted, is the same number.

The callers write down what each of their requests came to; the server is asked for its dashboard
and its Prometheus page, then stopped, and what it wrote to disk is read without its own code.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.hosted import Hosted, hosting, say
from tests.support.load import Heard, Kind, Load, run_load
from tests.support.server import RunningServer, serving
from ymera.testing import Fault

CALLERS = 64
MAX_GROWTH_KB = 100_000
SETTLED_WITHIN_S = 30
STALLED_S = 30
FAULTS = {"broken": Fault.BROKEN, "cut": Fault.CUT_MID_STREAM, "stalls": Fault.STALL}
SCRIPTED = {
    "YMERA_LOCAL__ENABLED": "false",
    "YMERA_PROVIDERS__STAGE__KIND": "scripted",
    "YMERA_PROVIDERS__STAGE__MODELS": '["actor", "understudy"]',
}

Outcome = tuple[str | None, str | None]
"""The model that answered and the error's code, None where there was none."""


@pytest.fixture
def shaky() -> Iterator[Hosted]:
    """A host whose models fail, each in its way."""
    with hosting(lambda _request: say("Well, here it comes at last."), faults=FAULTS) as host:
        yield host


@pytest.mark.proves("monitoring.agreement", "document.audit-complete")
@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.full)])
def test_what_the_callers_saw_is_what_was_counted_stored_and_audited(
    shaky: Hosted, tmp_path: Path, seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "counted"
    with serving({**SCRIPTED, **_of(shaky), "YMERA_DATA_DIR": str(data)}) as server:
        first = asyncio.run(run_load(server.url, callers=4, seconds=0.5, seed=1))
        warm = _settled(server, at_least=len(first.heard))
        before = _resources(server)
        load = asyncio.run(run_load(server.url, callers=CALLERS, seconds=seconds))
        dashboard = _settled(server, at_least=warm["overview"]["total_requests"] + len(load.heard))
        metrics = _prometheus(server)
        after = _resources(server)
        assert _sockets_of_callers(server) == 0
        last = asyncio.run(_every_slot_is_free(server))
        assert server.stop() == 0
        said = "".join(server.lines)

    with capsys.disabled():
        _print(load, before, after)
    assert load.strange == []
    assert set(Kind) == {each.kind for each in load.heard.values()}
    _dashboard_agrees(dashboard, warm, load)
    _metrics_agree(metrics, dashboard)
    assert "Traceback" not in said
    assert "lost" not in said
    _disk_agrees(data, first.heard | load.heard | last.heard)
    assert after["rss_kb"] - before["rss_kb"] < MAX_GROWTH_KB
    assert after["threads"] <= before["threads"] + 2


@pytest.mark.full
@pytest.mark.proves("storage.slows-before-losing", "storage.tries-again")
def test_storage_that_stalls_for_half_a_minute_slows_callers_down_and_loses_nothing(
    shaky: Hosted, tmp_path: Path
) -> None:
    data = tmp_path / "stalled"
    with serving({**SCRIPTED, **_of(shaky), "YMERA_DATA_DIR": str(data)}) as server:
        first = asyncio.run(run_load(server.url, callers=4, seconds=0.5, seed=1))
        stalling = threading.Thread(target=_stall, args=(data / "records.sqlite3", server))
        stalling.start()
        load = asyncio.run(run_load(server.url, callers=CALLERS, seconds=STALLED_S + 2))
        stalling.join()
        _settled(server, at_least=len(first.heard) + len(load.heard))
        assert server.stop() == 0
        said = "".join(server.lines)

    assert load.strange == []
    assert "Requests wait" in said
    assert "lost" not in said
    # Quotas are tried again every two seconds and say that they wait; records do not give up.
    given_up = [line for line in server.lines if "could not be written" in line]
    assert all("Quotas" in line for line in given_up)
    _disk_agrees(data, first.heard | load.heard)


def _stall(database: Path, server: RunningServer) -> None:
    """Let nobody write until requests had to wait, or for as long as the load lasts."""
    until = time.monotonic() + STALLED_S
    with closing(sqlite3.connect(database, isolation_level=None, timeout=STALLED_S)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        while time.monotonic() < until and "Requests wait" not in "".join(server.lines):
            time.sleep(0.2)
        time.sleep(2)
        lock.execute("ROLLBACK")


def _of(host: Hosted) -> dict[str, str]:
    return host.settings("shaky", json.dumps(list(FAULTS)))


# --- in the server's memory ----------------------------------------------------------------------


def _get(server: RunningServer, path: str) -> bytes:
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=30)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()


def _settled(server: RunningServer, *, at_least: int) -> dict[str, dict[str, int]]:
    """Return the dashboard once what the callers hung up on has been noticed, too.

    Their answers have all arrived; only a hang-up is told to nobody.
    """
    until = time.monotonic() + SETTLED_WITHIN_S
    total = -1
    while time.monotonic() < until:
        dashboard: dict[str, dict[str, int]] = json.loads(_get(server, "/api/metrics"))
        last, total = total, dashboard["overview"]["total_requests"]
        if total >= at_least and total == last:
            return dashboard
        time.sleep(0.2)
    raise AssertionError(f"{total} requests were counted, and {at_least} were sent")


def _dashboard_agrees(
    now: dict[str, dict[str, int]], warm: dict[str, dict[str, int]], load: Load
) -> None:
    def grown(section: str, key: str) -> int:
        return now[section][key] - warm[section].get(key, 0)

    errors = load.count("error")
    assert grown("overview", "total_requests") == len(load.heard)
    assert grown("overview", "failed_requests") == errors.total()
    assert grown("overview", "successful_requests") == len(load.heard) - errors.total()
    assert +Counter({code: grown("errors", code) for code in now["errors"]}) == errors
    top, top_warm = _pairs(now["usage"]["top_models"]), _pairs(warm["usage"]["top_models"])
    models = load.count("model")
    assert +Counter({name: top[name] - top_warm.get(name, 0) for name in top}) == {
        name.replace("/", ":", 1): count for name, count in models.items()
    }
    agents, agents_warm = (_pairs(each["usage"]["top_agents"]) for each in (now, warm))
    assert {name: agents[name] - agents_warm[name] for name in agents} == {
        "direct": len(load.heard)
    }
    assert grown("usage", "cache_hits") == load.count("cached")["True"]


def _pairs(listed: object) -> dict[str, int]:
    assert isinstance(listed, list)
    return dict(listed)


def _prometheus(server: RunningServer) -> dict[str, Counter[str]]:
    """Return the samples of a few families: counts by their labels, joined."""
    found: dict[str, Counter[str]] = {}
    for family in text_string_to_metric_families(_get(server, "/metrics").decode()):
        for sample in family.samples:
            key = "|".join(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, Counter())[key] += int(sample.value)
    return found


def _metrics_agree(found: dict[str, Counter[str]], dashboard: dict[str, dict[str, int]]) -> None:
    """The page was read after the dashboard, with no request in between."""
    overview = dashboard["overview"]
    requests = found["ymera_requests_total"]
    outcomes: Counter[str] = Counter()
    models: Counter[str] = Counter()
    for labels, count in requests.items():
        model, outcome, _provider = labels.split("|")
        outcomes[outcome] += count
        models[model] += count
    assert outcomes == {
        "success": overview["successful_requests"],
        "failure": overview["failed_requests"],
    }
    del models[""]  # answered by none
    named = {name.replace(":", "/", 1): n for name, n in _top_models(dashboard).items()}
    assert models == named
    assert found["ymera_request_errors_total"] == dashboard["errors"]
    assert found["ymera_agent_requests_total"] == {"direct": overview["total_requests"]}
    assert found["ymera_cache_hits_total"][""] == dashboard["usage"]["cache_hits"]
    assert found["ymera_request_duration_seconds_count"][""] == overview["total_requests"]


def _top_models(dashboard: dict[str, dict[str, int]]) -> dict[str, int]:
    return _pairs(dashboard["usage"]["top_models"])


# --- on disk -------------------------------------------------------------------------------------


def _disk_agrees(data: Path, heard: dict[str, Heard]) -> None:
    """Every request the callers know stands once in the records and once in the audit log."""
    outcomes: dict[str, Outcome] = {id_: (each.model, each.error) for id_, each in heard.items()}
    with closing(sqlite3.connect(data / "records.sqlite3")) as database:
        rows = database.execute("SELECT id, model_id, error_code FROM ymera_requests").fetchall()
    stored: dict[str, Outcome] = {id_: (model, error) for id_, model, error in rows}
    lines = [
        json.loads(line)
        for path in sorted((data / "security" / "audit_logs").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    asked = [line for line in lines if line["action"] == "request"]
    audited: dict[str, Outcome] = {
        line["request_id"]: (line["model"], line["error_code"]) for line in asked
    }
    assert len(rows) == len(stored)
    assert len(asked) == len(audited)
    assert all((line["outcome"] == "success") == (line["error_code"] is None) for line in asked)
    assert _differences(audited, stored) == {}
    assert _differences(stored, outcomes) == {}


def _differences(
    one: dict[str, Outcome], other: dict[str, Outcome]
) -> dict[str, tuple[Outcome | None, Outcome | None]]:
    """Return what differs by request id: of tens of thousands, so that a failure can be read."""
    pairs = {id_: (one.get(id_), other.get(id_)) for id_ in one.keys() | other.keys()}
    return {id_: (mine, theirs) for id_, (mine, theirs) in pairs.items() if mine != theirs}


# --- what the server holds -----------------------------------------------------------------------


def _resources(server: RunningServer) -> dict[str, int]:
    """Return what the kernel says of the process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    facts = dict(line.split(":", 1) for line in status.splitlines())
    return {"rss_kb": int(facts["VmRSS"].split()[0]), "threads": int(facts["Threads"])}


def _sockets_of_callers(server: RunningServer) -> int:
    """Return how many connections to the server's port it still holds open."""
    port = f"{int(server.url.rpartition(':')[2]):04X}"
    until = time.monotonic() + SETTLED_WITHIN_S
    held = -1
    while held and time.monotonic() < until:
        lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        mine = [line.split() for line in lines if line.split()[1].endswith(f":{port}")]
        held = sum(fields[3] not in {"0A", "06"} for fields in mine)  # not listening, not waiting
    return held


async def _every_slot_is_free(server: RunningServer) -> Load:
    """Callers are served at once: no call that was given up holds its slot."""
    async with asyncio.timeout(SETTLED_WITHIN_S):
        load = await run_load(server.url, callers=32, seconds=0.2, seed=2)
    assert load.strange == []
    return load


def _print(load: Load, before: dict[str, int], after: dict[str, int]) -> None:
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(load.count("kind").items()))
    sys.stdout.write(
        f"\n{len(load.heard)} requests of {CALLERS} callers in {load.seconds:.1f} s"
        f" ({len(load.heard) / load.seconds:.0f}/s): {kinds};"
        f" {load.count('cached')['True']} answers from the cache."
        f" RSS {before['rss_kb'] / 1000:.0f} -> {after['rss_kb'] / 1000:.0f} MB,"
        f" threads {before['threads']} -> {after['threads']}.\n"
    )
