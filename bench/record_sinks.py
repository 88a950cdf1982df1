"""What a finished request costs its event loop: `python bench/record_sinks.py`.

Prints microseconds per call, the median of several rounds, and what the writer thread needs per
record to store it (SQLite, WAL, synchronous NORMAL) and to write its audit line.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from ymera.core.access import Principal, PrincipalKind
from ymera.core.model import FreeTerms, Model
from ymera.core.record import Attempt, RequestRecord
from ymera.core.route import Candidate, Exclusion, ExclusionReason, RoutePlan, RoutePolicy
from ymera.core.task import TaskComplexity, TaskProfile, TaskType
from ymera.core.usage import Usage
from ymera.monitoring.collector import MetricsCollector
from ymera.security.audit import AuditLog
from ymera.security.rate_limit import HourlyRateLimiter
from ymera.storage.batching import BatchingSink
from ymera.storage.records import SqlRecordStore

CALLS = 5_000
ROUNDS = 9
USER = Principal(id="alice", kind=PrincipalKind.USER)


def typical_record() -> RequestRecord:
    """Return a record with four candidates and three hundred exclusions."""
    at = datetime.now(UTC)
    free = FreeTerms(free_now=True, may_auto_route=True, reason="Runs here.")
    model = Model(id="local/tiny", provider="local", upstream_id="t", name="Tiny", free=free)
    terms = {"quality": 0.4, "speed": 0.1}
    candidate = Candidate(model=model, score=0.5, terms=terms, reason="Free, best for code.")
    out = Exclusion(model_id="a/x", reason=ExclusionReason.NO_KEY, detail="No key for a.")
    plan = RoutePlan(
        profile=TaskProfile(
            type=TaskType.CHAT,
            complexity=TaskComplexity.SIMPLE,
            est_input_tokens=10,
            est_output_tokens=256,
        ),
        policy=RoutePolicy(),
        candidates=(candidate,) * 4,
        exclusions=(out,) * 300,
    )
    return RequestRecord(
        id="0123456789abcdef",
        at=at,
        principal=USER,
        requested_model="auto",
        stream=True,
        plan=plan,
        attempts=(Attempt(model_id="local/tiny", provider="local", started_at=at, latency_s=0.5),),
        model_id="local/tiny",
        provider="local",
        usage=Usage(input_tokens=10, output_tokens=20),
        cost_usd=Decimal(0),
        latency_s=0.5,
    )


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return the median time of one call over several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.append((time.perf_counter() - started) / calls * 1e6)
    return statistics.median(rounds)


def show(what: str, value: float, unit: str = "us") -> None:
    """Print one line of the table."""
    print(f"{what:<58}{value:10.2f} {unit}")


def main() -> None:
    """Measure and print."""
    logging.disable()  # the full sink says that it is full
    record = typical_record()
    metrics = MetricsCollector()
    limiter = HourlyRateLimiter(1_000_000, now=lambda: datetime.now(UTC))
    idle = BatchingSink([], capacity=CALLS * ROUNDS + 1)
    show("BatchingSink.emit", microseconds(lambda: idle.emit(record)))
    full = BatchingSink([], capacity=0)
    show("BatchingSink.emit when full", microseconds(lambda: full.emit(record)))
    show("MetricsCollector.emit", microseconds(lambda: metrics.emit(record)))
    show("HourlyRateLimiter.admit", microseconds(lambda: limiter.admit(USER)))
    asyncio.run(idle.close())
    with tempfile.TemporaryDirectory() as folder:
        store = SqlRecordStore(Path(folder) / "records.db")
        started = time.perf_counter()
        store.open()
        show("SqlRecordStore.open (SQLAlchemy imported, tables made)", since_us(started))
        batch = [record] * 500
        show(
            "store, per record, 500 a batch",
            microseconds(lambda: store.write_batch(batch), 4) / 500,
        )
        show("store, per record, alone", microseconds(lambda: store.write_batch([record]), 20))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        show("   on disk, per record", size / (500 * 4 * ROUNDS + 20 * ROUNDS), "bytes")
        store.close()
        audit = AuditLog(Path(folder) / "audit", now=lambda: datetime.now(UTC))
        show(
            "audit, per line, 500 a batch", microseconds(lambda: audit.write_batch(batch), 4) / 500
        )
        show("audit, one event", microseconds(lambda: audit.log("start", port=8080), 500))


def since_us(started: float) -> float:
    """Return microseconds since `time.perf_counter()` gave `started`."""
    return (time.perf_counter() - started) * 1e6


if __name__ == "__main__":
    main()
