"""Brings a database to the schema of this version. Imports SQLAlchemy: import it lazily."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Engine, insert, inspect, select, update

from ymera.core.errors import MachineError
from ymera.storage.schema import METADATA, SCHEMA_VERSION, feedback, schema_version

__all__ = ["STEPS", "Step", "upgrade"]

Step = Callable[[Connection], None]


def _add_feedback(connection: Connection) -> None:
    feedback.create(connection)


STEPS: Mapping[int, Step] = {1: _add_feedback}
"""By the version a step starts from; each leaves the next one. They only ever go forward."""


def upgrade(
    engine: Engine, *, steps: Mapping[int, Step] = STEPS, target: int = SCHEMA_VERSION
) -> None:
    """Create the tables or bring them to version `target`, in one transaction.

    Several processes may call this at once: one does the work, the others find it done.

    Raises:
        MachineError: the database was written by a newer version of Ymera.
        sqlalchemy.exc.SQLAlchemyError: it cannot be read or written.
    """
    with engine.connect() as connection:
        if _version(connection) == target:
            return
        connection.rollback()
        _lock(connection)
        version = _version(connection)
        if version is None:
            METADATA.create_all(connection)
            connection.execute(insert(schema_version).values(version=target))
        elif version > target:
            raise MachineError(
                f"The request records were written by a newer Ymera (schema {version}, "
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


def _lock(connection: Connection) -> None:
    """Keep other processes from upgrading at the same time (PostgreSQL: comes with its store)."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
