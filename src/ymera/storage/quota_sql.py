"""The table of quotas as a few statements. Imports SQLAlchemy: import it lazily."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from ymera.core.quota import MeterState
from ymera.storage.database import Database
from ymera.storage.quota import merged
from ymera.storage.rows import utc_microseconds
from ymera.storage.schema import quotas as table

__all__ = ["add", "load"]

_KEPT_US = 62 * 86_400 * 1_000_000
"""No window is longer than a month."""

_decoder = msgspec.json.Decoder(MeterState)


def load(database: Database) -> list[MeterState]:
    """Return every row that can be read; one of a later version is passed over."""
    with database.reading() as connection:
        rows = connection.execute(select(table.c.state)).scalars().all()
    return [state for row in rows if (state := _decoded(row)) is not None]


def add(database: Database, changes: Sequence[MeterState], now: datetime) -> list[MeterState]:
    """Add differences in one transaction; return how the rows stand then."""
    now_us = utc_microseconds(now)
    with database.writing() as connection:
        states = [_add(connection, change, now_us) for change in changes]
        connection.execute(delete(table).where(table.c.at_us < now_us - _KEPT_US))
    return states


def _add(connection: Connection, change: MeterState, now_us: int) -> MeterState:
    where = (
        (table.c.pool == str(change.pool))
        & (table.c.metric == change.metric.value)
        & (table.c.window == change.window.value)
    )
    row = connection.execute(select(table.c.state).where(where).with_for_update()).scalar()
    state = merged(None if row is None else _decoded(row), change, now_us)
    values = {"at_us": now_us, "state": msgspec.json.encode(state).decode()}
    if row is None:
        connection.execute(
            insert(table).values(
                pool=str(change.pool),
                metric=change.metric.value,
                window=change.window.value,
                **values,
            )
        )
    else:
        connection.execute(update(table).where(where).values(**values))
    return state


def _decoded(row: str) -> MeterState | None:
    try:
        return _decoder.decode(row)
    except msgspec.MsgspecError:
        return None
