"""The tables of runs, one definition for SQLite and PostgreSQL. Import it lazily (SQLAlchemy)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
)

from ymera.storage.migrations import Step, bring_to

__all__ = ["RUNS_SCHEMA_VERSION", "events", "phases", "runs", "upgrade"]

RUNS_SCHEMA_VERSION = 1
"""Raise it with every change below, and add the step to `STEPS`."""

METADATA = MetaData()

STEPS: Mapping[int, Step] = {}
"""By the version a step starts from; each leaves the next one. They only ever go forward."""

schema_version = Table("ymera_runs_schema", METADATA, Column("version", Integer, nullable=False))

runs = Table(
    "ymera_runs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False, index=True),
    Column("agent", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("strategy_reason", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("format", Text, nullable=False),
    # Everything needed to carry it on, JSON; NULL for a private run.
    Column("spec", Text),
    Column("spent", Text, nullable=False),
    # Raised when phases are dropped to run again; names the durable workflow.
    Column("attempt", Integer, nullable=False),
    # Owners that died since a phase was last finished.
    Column("deaths", Integer, nullable=False),
    # Interrupted on purpose: only its owner's word carries it on, no server start does.
    Column("held", Boolean, nullable=False),
    # Whether the durable engine may still hold rows of it.
    Column("journal", Boolean, nullable=False),
    Column("owner", Text, index=True),
    Column("lease_until_us", BigInteger),
    Column("cancel_requested", Boolean, nullable=False),
    Column("last_seq", Integer, nullable=False),
    Column("error_code", Text),
    Column("error", Text),
    Column("created_at_us", BigInteger, nullable=False, index=True),
    Column("ended_at_us", BigInteger, index=True),
)

phases = Table(
    "ymera_run_phases",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("phase", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
)
"""One row per phase that ended; written once."""

events = Table(
    "ymera_run_events",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("phase", Text),
    Column("detail", Text, nullable=False),
)
"""What happened in each run; `seq` counts from 1 without gaps (`runs.last_seq` is its counter)."""


def upgrade(
    engine: Engine,
    *,
    steps: Mapping[int, Step] = STEPS,
    target: int = RUNS_SCHEMA_VERSION,
) -> None:
    """Bring the tables of runs to version `target`; see `bring_to`."""
    bring_to(target, engine, METADATA, schema_version, steps, what="runs")
