"""The table of ratings as a few statements. Imports SQLAlchemy: import it lazily."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from ymera.storage.database import Database
from ymera.storage.feedback import Feedback
from ymera.storage.rows import from_utc_microseconds, utc_microseconds
from ymera.storage.schema import feedback as table

__all__ = ["delete_before", "get", "put"]


def put(database: Database, feedback: Feedback) -> Feedback | None:
    """Store a rating; return the one it replaces."""
    row = {
        "at_us": utc_microseconds(feedback.at),
        "rating": feedback.rating,
        "comment": feedback.comment,
    }
    with database.writing() as connection:
        before = _find(connection, feedback.request_id)
        if before is None:
            connection.execute(insert(table).values(request_id=feedback.request_id, **row))
        else:
            connection.execute(
                update(table).where(table.c.request_id == feedback.request_id).values(**row)
            )
    return before


def get(database: Database, request_id: str) -> Feedback | None:
    """Return the rating of a request."""
    with database.reading() as connection:
        return _find(connection, request_id)


def delete_before(database: Database, at: datetime) -> int:
    """Delete ratings given earlier; return how many."""
    with database.writing() as connection:
        query = delete(table).where(table.c.at_us < utc_microseconds(at))
        return connection.execute(query).rowcount


def _find(connection: Connection, request_id: str) -> Feedback | None:
    row = connection.execute(select(table).where(table.c.request_id == request_id)).first()
    if row is None:
        return None
    return Feedback(
        request_id=row.request_id,
        at=from_utc_microseconds(row.at_us),
        rating=row.rating,
        comment=row.comment,
    )
