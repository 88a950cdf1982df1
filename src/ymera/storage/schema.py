"""The tables, one definition for SQLite and PostgreSQL. Imports SQLAlchemy: import it lazily."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
)

__all__ = ["METADATA", "SCHEMA_VERSION", "feedback", "quotas", "requests", "schema_version"]

SCHEMA_VERSION = 3
"""Raise it with every change below, and add the step to `migrations.STEPS`."""

METADATA = MetaData()

schema_version = Table(
    "ymera_schema",
    METADATA,
    Column("version", Integer, nullable=False),
)
"""One row. A table rather than SQLite's `user_version`, so that PostgreSQL is no special case."""

requests = Table(
    "ymera_requests",
    METADATA,
    # The order of writing, for paging and for deleting in batches; SQLite wants INTEGER here.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    # Not unique: a caller may choose the id, and must not be able to spoil a batch with it.
    Column("id", Text, nullable=False, index=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("principal", Text, nullable=False),
    Column("requested_model", Text, nullable=False),
    Column("model_id", Text),
    Column("provider", Text),
    Column("task_type", Text),
    Column("complexity", Text),
    Column("error_code", Text),
    Column("attempts", Integer, nullable=False),
    Column("latency_s", Double, nullable=False),
    Column("ttft_s", Double),
    Column("overhead_s", Double, nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost_microusd", BigInteger),
    Column("stream", Boolean, nullable=False),
    Column("agent", Text),
    Column("private", Boolean, nullable=False),
    Column("prompt_chars", BigInteger, nullable=False),
    Column("answer_chars", BigInteger, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("prompt", Text),
    Column("answer", Text),
)
"""One row per finished request; `rows.to_row` fills it."""

feedback = Table(
    "ymera_feedback",
    METADATA,
    Column("request_id", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("rating", Double, nullable=False),
    Column("comment", Text),
)
"""One row per rated request: the last rating it got."""

quotas = Table(
    "ymera_quotas",
    METADATA,
    Column("pool", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("window", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("state", Text, nullable=False),
)
"""One row per limit of a pool: its uses and what was learned of it, as JSON."""
