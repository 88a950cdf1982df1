"""The tables of runs, one definition for SQLite and PostgreSQL. Import it lazily (SQLAlchemy)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    update,
)

from ymera.core.errors import MachineError

__all__ = ["RUNS_SCHEMA_VERSION", "events", "phases", "runs", "upgrade"]

RUNS_SCHEMA_VERSION = 1
"""Raise it with every change below, and add the step to `STEPS`."""

METADATA = MetaData()

Step = Callable[[Connection], None]

STEPS: Mapping[int, Step] = {}
"""By the version a step starts from; each leaves the next one. They only ever go forward."""

_UPGRADE_LOCK = 7_301_902_611
"""Key of PostgreSQL's advisory lock: one process at a time makes or changes the tables."""

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
    """Create the tables in an empty database, or bring older ones to `target`.

    Raises:
        MachineError: they were written by a newer version of Ymera.
        sqlalchemy.exc.SQLAlchemyError: they cannot be read or written.
    """
    with engine.connect() as connection:
        if _version(connection) == target:
            return
        connection.rollback()
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        version = _version(connection)
        if version is None:
            METADATA.create_all(connection)
            connection.execute(insert(schema_version).values(version=target))
        elif version > target:
            raise MachineError(
                f"The runs were written by a newer Ymera (schema {version}, "
                f"this one knows {target}).",
                hint="Upgrade Ymera, or point YMERA_DATA_DIR at another directory.",
            )
        else:
            for start in range(version, target):
                steps[start](connection)
            connection.execute(update(schema_version).values(version=target))
        connection.commit()


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(schema_version.name):
        return None
    return connection.execute(select(schema_version.c.version)).scalar()
