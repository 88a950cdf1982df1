"""The store of quotas: what was used of every pool, shared by all processes of a data directory.

Processes write differences, and each is added to what stands there in one transaction, so none
overwrites what another counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ymera.core.quota import WINDOW_S, MeterState
from ymera.storage.records import SqlRecordStore

__all__ = ["SqlQuotaStore", "merged"]

_MAX_USES = 96


class SqlQuotaStore:
    """Quotas in the database of the request records.

    Every method may block, be called from any thread, and raise MachineError as those of
    `SqlRecordStore` do.

    Args:
        records: whose database it is.
    """

    def __init__(self, records: SqlRecordStore) -> None:
        self._records = records

    def load(self) -> list[MeterState]:
        """Return everything that is stored."""
        from ymera.storage.quota_sql import load

        return load(self._records.database())

    def add(self, changes: Sequence[MeterState], now: datetime) -> list[MeterState]:
        """Add differences to what is stored; return how the rows concerned stand then."""
        from ymera.storage.quota_sql import add

        return add(self._records.database(), changes, now)


def merged(old: MeterState | None, change: MeterState, now_us: int) -> MeterState:
    """Return what is to be stored when `change` comes on top of `old`."""
    uses: dict[int, int] = {}
    same = old is not None and old.zone == change.zone
    for then, amount in (*(old.uses if same and old else ()), *change.uses):
        uses[then] = uses.get(then, 0) + amount
    live = _live(sorted(uses.items()), change, now_us)
    learned = change.learned
    if learned is None and old is not None:
        learned = old.learned
    return msgspec.structs.replace(
        change,
        uses=tuple(_few(_paid_back(live))),
        learned=learned,
        closed_until_us=max(change.closed_until_us, old.closed_until_us if old else 0),
    )


def _live(uses: list[tuple[int, int]], state: MeterState, now_us: int) -> list[tuple[int, int]]:
    """Leave out what no longer counts."""
    if state.zone is not None:
        newest = max((then for then, _ in uses), default=0)
        return [(then, amount) for then, amount in uses if then == newest]
    span_us = WINDOW_S[state.window] * 1_000_000
    return [(then, amount) for then, amount in uses if then + span_us > now_us]


def _paid_back(uses: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Take amounts below 0 from the oldest uses."""
    owed = -sum(amount for _, amount in uses if amount < 0)
    left: list[tuple[int, int]] = []
    for then, amount in uses:
        if amount > 0:
            taken = min(owed, amount)
            owed -= taken
            if amount > taken:
                left.append((then, amount - taken))
    return left


def _few(uses: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join neighbours under the later time until there are few enough."""
    while len(uses) > _MAX_USES:
        pairs = [uses[i : i + 2] for i in range(0, len(uses), 2)]
        uses = [(pair[-1][0], sum(amount for _, amount in pair)) for pair in pairs]
    return uses
