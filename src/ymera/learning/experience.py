"""What the running process knows of its models; fed by every request, asked by the router."""

from __future__ import annotations

import asyncio
import atexit
import logging
import math
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from weakref import WeakSet

import msgspec

from ymera.core.errors import InvalidRequest, MachineError, ProviderError, ProviderErrorKind
from ymera.core.record import NO_AGENT, RequestRecord
from ymera.learning.math.ema import MAX_RATING, MIN_RATING, ModelStats, ema_score
from ymera.learning.store import ExperienceFile
from ymera.learning.table import CAPACITY, Key, Outcome, Rating, Table

__all__ = ["Experience", "RecentAnswer", "outcomes_of"]

_MAX_NAME_CHARS = 200
_MAX_RECENT = 2_000
_MAX_PENDING = 20_000
_THE_MODELS_FAULT = frozenset(
    {
        ProviderErrorKind.TRANSIENT,
        ProviderErrorKind.UPSTREAM_BUSY,
        ProviderErrorKind.MODEL_GONE,
        ProviderErrorKind.BAD_ANSWER,
        MachineError.code,
    }
)
"""Failed calls that say something of a model: a wrong key, a used-up quota, a request that does
not fit or a caller that went away do not."""
_BROKEN_ANSWERS = frozenset({ProviderError.code, MachineError.code})

_log = logging.getLogger(__name__)


class RecentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that may be rated before its record is stored."""

    key: Key
    private: bool


class Experience:
    """Learns from finished requests (an `EventSink`) and tells what it learned; thread-safe.

    What was learned lives in memory; with a `file` it is read from there at the first use, and
    what came since is added to it by `flush` and `close`, and when the interpreter exits. Only
    numbers are kept, by agent, task type and model: no text, no caller, no request.

    Args:
        file: where experience is kept; None keeps it in memory alone.
        capacity: rows held in memory at most.
    """

    def __init__(self, file: ExperienceFile | None = None, *, capacity: int = CAPACITY) -> None:
        self._file = file
        self._table = Table(capacity=capacity)
        self._loaded = file is None
        self._lock = threading.Lock()  # guards what is in memory; held for microseconds
        self._file_lock = threading.Lock()  # one thread at a time reads or writes the file
        self._pending: list[Outcome | Rating] = []
        self._recent: OrderedDict[str, RecentAnswer] = OrderedDict()
        self._failing = False
        self._at_exit = False
        _all.add(self)

    @property
    def learning_rate(self) -> float:
        """Weight of the newest observation in an average, above 0 and at most 1; may be set."""
        return self._table.rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if not 0 < rate <= 1:
            raise InvalidRequest(
                f"A learning rate of {rate} makes no average.", hint="Above 0 and at most 1."
            )
        self._table.rate = rate

    def emit(self, record: RequestRecord) -> None:
        """Learn from one request."""
        plan = record.plan
        if plan is None:
            return
        outcomes = outcomes_of(record)
        with self._lock:
            if record.model_id is not None:
                key = _key(record.agent or NO_AGENT, plan.profile.type.value, record.model_id)
                self._recent[record.id] = RecentAnswer(key=key, private=record.private)
                if len(self._recent) > _MAX_RECENT:
                    self._recent.popitem(last=False)
            self._learn(outcomes)

    def observe(self, key: Key, *, success: bool, time_s: float) -> None:
        """Learn that a model was asked.

        Raises:
            InvalidRequest: `time_s` is no number of seconds.
        """
        if not (math.isfinite(time_s) and time_s >= 0):
            raise InvalidRequest(
                f"A response time of {time_s} seconds cannot be.",
                hint="Give a number that is at least 0.",
                param="response_time",
            )
        self._take([Outcome(_short(key), success, time_s)])

    def rate(self, key: Key, rating: float, *, instead_of: float | None = None) -> None:
        """Learn that an answer was rated.

        Args:
            key: what answered.
            rating: 1..5.
            instead_of: the rating this one replaces.

        Raises:
            InvalidRequest: `rating` is not in 1..5.
        """
        if not MIN_RATING <= rating <= MAX_RATING:
            raise InvalidRequest(
                f"A rating of {rating} is out of range.",
                hint="1 is worst, 5 is best.",
                param="rating",
            )
        self._take([Rating(_short(key), rating, instead_of)])

    def recent(self, request_id: str) -> RecentAnswer | None:
        """Return one of the last answers of this process by its request id."""
        with self._lock:
            return self._recent.get(request_id)

    def advantages(self, agent: str | None, task_type: str) -> Mapping[str, float]:
        """Return what speaks for or against models, -0.5..0.5; those without history are absent.

        The mapping never changes. Costs a look-up: a router may ask at every request.
        """
        self._load()
        return self._table.advantages(agent or NO_AGENT, task_type)

    def scores(self, agent: str, task_type: str, models: Iterable[str]) -> dict[str, float]:
        """Return the document's score of each model, 0..1; 0.5 without history."""
        rows = self.rows()
        return {name: ema_score(rows.get(Key(agent, task_type, name))) for name in models}

    def rows(self) -> dict[Key, ModelStats]:
        """Return all that is known now, the longest unchanged first."""
        self._load()
        with self._lock:
            return dict(self._table.rows)

    def flush(self) -> None:
        """Add what came since the last time to the file, and take in what others added.

        May block. What cannot be written is kept and tried again; a warning says so once.
        """
        if self._file is None:
            return
        with self._file_lock:
            with self._lock:
                events, self._pending = self._pending, []
            if not events:
                return
            try:
                table = self._file.fold(events, rate=self._table.rate)
            except MachineError as error:
                self._put_back(events, error)
                return
            self._failing = False
            self._adopt(table)

    def reset(self) -> None:
        """Forget everything, here and in the file.

        Raises:
            MachineError: the file cannot be removed.
        """
        with self._file_lock:
            if self._file is not None:
                self._file.reset()
            with self._lock:
                self._pending = []
                self._table = Table(rate=self._table.rate)
                self._loaded = True

    async def close(self) -> None:
        """Write out what is held; may be used again after."""
        atexit.unregister(self.flush)
        self._at_exit = False
        if self._pending:
            await asyncio.to_thread(self.flush)

    def _forget_parent(self) -> None:
        """Start without what a forked child's parent will write itself, and with free locks."""
        self._lock = threading.Lock()
        self._file_lock = threading.Lock()
        self._pending = []

    def _take(self, events: Sequence[Outcome | Rating]) -> None:
        with self._lock:
            self._learn(events)

    def _learn(self, events: Sequence[Outcome | Rating]) -> None:
        """Take events in, while the lock is held."""
        for event in events:
            self._table.apply(event)
        if self._file is None or not events:
            return
        if not self._at_exit:
            self._at_exit = True
            atexit.register(self.flush)  # for who never closes
        self._pending += events
        if len(self._pending) > _MAX_PENDING:
            del self._pending[:-_MAX_PENDING]

    def _load(self) -> None:
        if not self._loaded:
            with self._file_lock:
                self._read_file()

    def _read_file(self) -> None:
        if self._loaded or self._file is None:  # another thread was faster
            return
        try:
            table = self._file.read()
        except MachineError as error:
            self._loaded = True
            self._say(error)
            return
        table.rate = self._table.rate
        self._adopt(table)

    def _adopt(self, table: Table) -> None:
        """Go on from what the file holds, and what came while it was read or written."""
        with self._lock:
            for event in self._pending:
                table.apply(event)
            self._table, self._loaded = table, True

    def _put_back(self, events: list[Outcome | Rating], error: MachineError) -> None:
        with self._lock:
            self._pending = [*events, *self._pending][-_MAX_PENDING:]
        self._say(error)

    def _say(self, error: MachineError) -> None:
        if not self._failing:
            _log.warning("%s %s", error.message, error.hint)
        self._failing = True


_all: WeakSet[Experience] = WeakSet()


def _in_child() -> None:
    for experience in list(_all):
        experience._forget_parent()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_in_child)


def outcomes_of(record: RequestRecord) -> list[Outcome]:
    """Return what a finished request says of the models that were asked.

    A failed call counts against its model when the fault was the model's or its host's. The call
    that answered counts for its model if the answer was whole, against it if it broke off, and
    not at all if the caller went away or a guard stepped in.
    """
    if record.plan is None:
        return []
    agent, task_type = record.agent or NO_AGENT, record.plan.profile.type.value
    return [
        Outcome(_key(agent, task_type, model), success, time_s)
        for model, success, time_s in _verdicts(record)
    ]


def _verdicts(record: RequestRecord) -> list[tuple[str, bool, float]]:
    found: list[tuple[str, bool, float]] = []
    code = record.error_code
    for attempt in record.attempts:
        if attempt.error_code is None:
            if code is None or code in _BROKEN_ANSWERS:
                before_s = (attempt.started_at - record.at).total_seconds()
                whole_s = max(attempt.latency_s, record.latency_s - max(0.0, before_s))
                found.append((attempt.model_id, code is None, whole_s))
        elif attempt.error_code in _THE_MODELS_FAULT:
            found.append((attempt.model_id, False, attempt.latency_s))
    return found


def _key(agent: str, task_type: str, model: str) -> Key:
    """Return a key whose names are no longer than names are, whoever gave them."""
    if len(agent) > _MAX_NAME_CHARS or len(model) > _MAX_NAME_CHARS:
        return _short(Key(agent, task_type, model))
    return _kept_key(agent, task_type, model)


@lru_cache(maxsize=1_000)
def _kept_key(agent: str, task_type: str, model: str) -> Key:
    return _short(Key(agent, task_type, model))


def _short(key: Key) -> Key:
    if max(map(len, key)) <= _MAX_NAME_CHARS:
        return key
    return Key(*(name[:_MAX_NAME_CHARS] for name in key))
