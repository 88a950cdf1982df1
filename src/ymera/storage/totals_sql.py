"""`RequestTotals` by SQL. Imports SQLAlchemy: import it lazily."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, case, func, select, true

from ymera.storage.database import Database
from ymera.storage.rows import utc_microseconds
from ymera.storage.schema import requests
from ymera.storage.totals import RequestTotals

__all__ = ["totals"]

_MICRO_PER_USD = Decimal(1_000_000)
_OF = requests.c
_SUCCEEDED = _OF.error_code.is_(None)
_ANSWERED = _OF.model_id.is_not(None)


def totals(database: Database, since: datetime | None) -> RequestTotals:
    """Return the totals of requests that arrived since then (None: all)."""
    within = true() if since is None else _OF.at_us >= utc_microseconds(since)
    with database.reading() as connection:
        row = connection.execute(
            select(
                func.count(),
                _number(_SUCCEEDED),
                func.coalesce(func.sum(_OF.input_tokens), 0),
                func.coalesce(func.sum(_OF.output_tokens), 0),
                _number(_ANSWERED & _OF.input_tokens.is_(None)),
                func.coalesce(func.sum(_OF.cost_microusd), 0),
                _number(_ANSWERED & _OF.cost_microusd.is_not(None)),
                _number(_ANSWERED & _OF.cost_microusd.is_(None)),
            ).where(within)
        ).one()
        count, succeeded, input_tokens, output_tokens, no_usage, cost, known, unknown = row
        good = within & _SUCCEEDED
        return RequestTotals(
            requests=count,
            succeeded=succeeded,
            failed=count - succeeded,
            models=_counted(connection, _OF.model_id, within & _ANSWERED),
            errors=_counted(connection, _OF.error_code, within & ~_SUCCEEDED),
            input_tokens=int(input_tokens),
            output_tokens=int(output_tokens),
            usage_unknown=no_usage,
            cost_usd=int(cost) / _MICRO_PER_USD,
            cost_known=known,
            cost_unknown=unknown,
            p50_latency_s=_latency_at(connection, good, succeeded, 0.5),
            p95_latency_s=_latency_at(connection, good, succeeded, 0.95),
        )


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _counted(
    connection: Connection, column: ColumnElement[str], within: ColumnElement[bool]
) -> dict[str, int]:
    number = func.count()
    query = select(column, number).where(within).group_by(column).order_by(number.desc(), column)
    return {name: count for name, count in connection.execute(query)}  # noqa: C416 - rows are no pairs to mypy


def _latency_at(
    connection: Connection, within: ColumnElement[bool], count: int, share: float
) -> float | None:
    if not count:
        return None
    place = max(0, math.ceil(share * count) - 1)
    query = select(_OF.latency_s).where(within).order_by(_OF.latency_s).offset(place).limit(1)
    return connection.execute(query).scalar()
