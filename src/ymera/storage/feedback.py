"""The store of ratings: one per request, the last one counts."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ymera.storage.records import SqlRecordStore

__all__ = ["Feedback", "SqlFeedbackStore"]


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody thought of an answer.

    Attributes:
        request_id: whose answer.
        at: when it was said (UTC).
        rating: 1 worst .. 5 best.
        comment: in words; None when nothing was said, or nothing may be kept.
    """

    request_id: str
    at: datetime
    rating: float
    comment: str | None = None


class SqlFeedbackStore:
    """Ratings in the database of the request records.

    Every method may block, be called from any thread, and raise MachineError as those of
    `SqlRecordStore` do.

    Args:
        records: whose database it is.
    """

    def __init__(self, records: SqlRecordStore) -> None:
        self._records = records

    def put(self, feedback: Feedback) -> Feedback | None:
        """Store a rating; return the one it replaces."""
        from ymera.storage.feedback_sql import put

        return put(self._records.database(), feedback)

    def get(self, request_id: str) -> Feedback | None:
        """Return the rating of a request, or None."""
        from ymera.storage.feedback_sql import get

        return get(self._records.database(), request_id)

    def delete_before(self, at: datetime) -> int:
        """Delete ratings given before `at` (UTC); return how many."""
        from ymera.storage.feedback_sql import delete_before

        return delete_before(self._records.database(), at)
