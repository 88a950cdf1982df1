"""Brings a database to the schema of this version. Imports SQLAlchemy: import it lazily."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Engine, MetaData, Table, insert, inspect, select, update

from ymera.core.errors import MachineError
from ymera.storage.schema import METADATA, SCHEMA_VERSION, feedback, quotas, schema_version

__all__ = ["STEPS", "Step", "bring_to", "upgrade"]

_UPGRADE_LOCK = 7_301_902_611
"""Key of PostgreSQL's advisory lock: one process at a time makes or changes tables."""

Step = Callable[[Connection], None]


def _add_feedback(connection: Connection) -> None:
    feedback.create(connection)


def _add_quotas(connection: Connection) -> None:
    quotas.create(connection)


STEPS: Mapping[int, Step] = {1: _add_feedback, 2: _add_quotas}
"""By the version a step starts from; each leaves the next one. They only ever go forward."""


def upgrade(
    engine: Engine, *, steps: Mapping[int, Step] = STEPS, target: int = SCHEMA_VERSION
) -> None:
    """Bring the tables of request records to version `target`; see `bring_to`."""
    bring_to(target, engine, METADATA, schema_version, steps, what="request records")


def bring_to(
    target: int,
    engine: Engine,
    metadata: MetaData,
    versions: Table,
    steps: Mapping[int, Step],
    *,
    what: str,
) -> None:
    """Create tables or bring them to version `target`, in one transaction.

    Several processes may call this at once: one does the work, the others find it done.

    Args:
        target: version wanted.
        engine: the database.
        metadata: the tables as they are in that version.
        versions: the one of them whose only row is the version.
        steps: by the version each starts from.
        what: the tables hold, for people.

    Raises:
        MachineError: the database was written by a newer version of Ymera.
        sqlalchemy.exc.SQLAlchemyError: it cannot be read or written.
    """
    with engine.connect() as connection:
        if _version(connection, versions) == target:
            return
        connection.rollback()
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        version = _version(connection, versions)
        if version is None:
            metadata.create_all(connection)
            connection.execute(insert(versions).values(version=target))
        elif version > target:
            raise MachineError(
                f"The {what} were written by a newer Ymera (schema {version}, "
                f"this one knows {target}).",
                hint="Upgrade Ymera, or point YMERA_DATA_DIR at another directory.",
            )
        else:
            for start in range(version, target):
                steps[start](connection)
            connection.execute(update(versions).values(version=target))
        connection.commit()


def _version(connection: Connection, versions: Table) -> int | None:
    if not inspect(connection).has_table(versions.name):
        return None
    return connection.execute(select(versions.c.version)).scalar()
