"""What is counted, learned and kept of requests: built once per app, beside the pipeline."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ymera.app.maintenance import Job, Maintenance
from ymera.app.retention import Retention
from ymera.config.paths import DataPaths
from ymera.config.schema import Settings
from ymera.core.errors import InvalidRequest, UnknownRequest
from ymera.core.ports import EventSink
from ymera.core.record import NO_AGENT
from ymera.core.redaction import redact
from ymera.engine.trace import Clock
from ymera.learning.experience import Experience, RecentAnswer
from ymera.learning.math.ema import MAX_RATING, MIN_RATING
from ymera.learning.store import ExperienceFile
from ymera.learning.table import Key
from ymera.monitoring.collector import MetricsCollector
from ymera.storage.feedback import Feedback, SqlFeedbackStore
from ymera.storage.records import SqlRecordStore

if TYPE_CHECKING:
    from ymera.phases.types import PhaseSpec, RunSpec

__all__ = ["Observing", "Rated", "rating_of"]

_FLUSH_PERIOD_S = 10.0
_RETENTION_PERIOD_S = 3_600.0
_MAX_COMMENT_CHARS = 2_000
_WORDS = {"pass": MAX_RATING, "fail": MIN_RATING}


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a rating.

    Attributes:
        request_id: whose answer.
        rating: 1..5.
        replaced: the rating it had before; None when this is its first.
        model: what answered; None when nothing did, and then nothing was learned.
    """

    request_id: str
    rating: float
    replaced: float | None
    model: str | None


class Observing:
    """Metrics, experience, feedback and retention of one data directory.

    Args:
        paths: the data directory.
        records: the store of request records.
        clock: wall and monotonic time.
        settings: returns the settings in force.

    Attributes:
        metrics: counts of this process.
        experience: what was learned of models.
        feedback: the store of ratings.
        retention: removes what is too old.
        maintenance: the thread that does both now and then.
    """

    def __init__(
        self,
        *,
        paths: DataPaths,
        records: SqlRecordStore,
        clock: Clock,
        settings: Callable[[], Settings],
    ) -> None:
        self._records = records
        self._now: Callable[[], datetime] = clock.now
        self.metrics = MetricsCollector(monotonic=clock.monotonic)
        self.experience = Experience(ExperienceFile(paths.ai_performance, now=clock.now))
        self.feedback = SqlFeedbackStore(records)
        self.retention = Retention(
            root=paths.root,
            database=paths.records,
            stores=(records, self.feedback),
            audit_logs=paths.audit_logs,
            days=lambda: settings().monitoring.metrics_retention_days,
            now=clock.now,
        )
        self.maintenance = Maintenance(
            (
                Job(
                    name="Writing down what was learned",
                    period_s=_FLUSH_PERIOD_S,
                    action=self.experience.flush,
                ),
                Job(
                    name="Removing old records",
                    period_s=_RETENTION_PERIOD_S,
                    action=self.retention.prune_when_due,
                ),
            ),
            monotonic=clock.monotonic,
        )

    def sinks(self, settings: Settings) -> list[EventSink]:
        """Return what wants to know of finished requests under these settings."""
        counting: list[EventSink] = [self.metrics] if settings.monitoring.enable_metrics else []
        return [*counting, self.experience, self.maintenance]

    def rate(self, request_id: str, rating: float, comment: str | None = None) -> Rated:
        """Store what somebody thought of an answer, and learn from it; may block.

        Rating the same request again replaces the rating. The comment is kept with what looks
        like a credential masked; of a private request none is kept.

        Args:
            request_id: as in `x-request-id`.
            rating: 1 worst .. 5 best; see `rating_of`.
            comment: in words, at most 2,000 characters of it are kept.

        Raises:
            UnknownRequest: there is no such request, or its record was removed.
            MachineError: the database cannot be used.
        """
        answer, known = self._answer(request_id)
        if not known:
            raise UnknownRequest(
                f"No request has the id {request_id[:100]!r}.",
                hint="`ymera logs` lists them; answers carry theirs in the header x-request-id.",
                param="request_id",
            )
        private = answer is not None and answer.private
        before = self.feedback.put(
            Feedback(
                request_id=request_id,
                at=self._now(),
                rating=rating,
                comment=None if private else _kept(comment),
            )
        )
        replaced = None if before is None else before.rating
        if answer is not None:
            self.experience.rate(answer.key, rating, instead_of=replaced)
        return Rated(
            request_id=request_id,
            rating=rating,
            replaced=replaced,
            model=None if answer is None else answer.key.model,
        )

    def rejected(self, spec: RunSpec, phase: PhaseSpec, model: str, time_s: float) -> None:
        """Learn that an answer failed the checks of its phase, though its call went well."""
        if model:
            key = Key(spec.agent.name, phase.task_type.value, model)
            self.experience.observe(key, success=False, time_s=time_s)

    async def close(self) -> None:
        """Write out what is held; may be used again after."""
        async with AsyncExitStack() as parts:  # in reverse
            parts.push_async_callback(self.experience.close)
            parts.push_async_callback(self.maintenance.close)

    def _answer(self, request_id: str) -> tuple[RecentAnswer | None, bool]:
        """Return what answered a request, and whether there is such a request at all."""
        recent = self.experience.recent(request_id)
        if recent is not None:
            return recent, True
        stored = self._records.get(request_id)
        if stored is None:
            return None, False
        facts = stored.summary
        if facts.model_id is None or facts.task_type is None:
            return None, True
        key = Key(facts.agent or NO_AGENT, facts.task_type, facts.model_id)
        return RecentAnswer(key=key, private=facts.private), True


def rating_of(value: object) -> float:
    """Return a rating 1..5 from a number in that range, or from `pass` (5) or `fail` (1).

    Raises:
        InvalidRequest: anything else.
    """
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower(), value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        rating = math.nan
    else:
        rating = float(value)
    if MIN_RATING <= rating <= MAX_RATING:
        return rating
    raise InvalidRequest(
        f"{str(value)[:100]!r} is no rating.",
        hint='Give a number from 1 (worst) to 5 (best), "pass" or "fail".',
        param="rating",
    )


def _kept(comment: str | None) -> str | None:
    """Return a comment in a form that any database takes, without credentials; None if empty."""
    text = (comment or "").strip()[:_MAX_COMMENT_CHARS]
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
    return redact(text) or None
