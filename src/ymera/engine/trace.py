"""What is known of a request in flight; ends as its `RequestRecord`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import msgspec

from ymera.core.access import Principal
from ymera.core.answer import AnswerBuilder, ChatEvent
from ymera.core.chat import ChatRequest, prompt_text
from ymera.core.errors import ProviderError, YmeraError
from ymera.core.model import Model
from ymera.core.record import CANCELLED, Attempt, RequestRecord
from ymera.core.route import RoutePlan
from ymera.core.usage import Usage

__all__ = ["CANCELLED", "INTERNAL_ERROR", "Clock", "RequestTrace", "error_code", "new_request_id"]

INTERNAL_ERROR = "internal_error"
"""Code of what met a bug of ours."""

_RANDOM_BYTES = 6
_IDS_AT_ONCE = 64

_tails: list[str] = []
"""Random ends of ids to come: asking the system for each would hand the interpreter over."""

if sys.platform != "win32":
    os.register_at_fork(after_in_child=_tails.clear)


def new_request_id() -> str:
    """Return a name for one request, unique for all practical purposes.

    It begins with the time in milliseconds: ids that rise are cheap to keep in order, where
    random ones would each change another page of the records' index. The rest cannot be guessed.
    """
    try:
        tail = _tails.pop()
    except IndexError:
        size = 2 * _RANDOM_BYTES
        digits = os.urandom(_RANDOM_BYTES * _IDS_AT_ONCE).hex()
        tail, *more = (digits[at : at + size] for at in range(0, len(digits), size))
        _tails.extend(more)
    return f"req_{time.time_ns() // 1_000_000:012x}{tail}"


def error_code(error: BaseException | None) -> str | None:
    """Return the stable word a record keeps for `error`; None for success."""
    if error is None:
        return None
    match error:
        case YmeraError():
            return error.code
        case asyncio.CancelledError() | GeneratorExit():
            return CANCELLED
        case _:
            return INTERNAL_ERROR


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time as an argument: `now` is wall time in UTC, `monotonic` seconds for durations."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]

    @classmethod
    def system(cls) -> Clock:
        """Return the real clock."""
        return cls(now=partial(datetime.now, UTC), monotonic=time.monotonic)


@dataclass(kw_only=True)
class RequestTrace:
    """Collects the facts of one request while it runs.

    Attributes:
        store_text: whether prompt and answer may be kept (configuration; the caller can object).
        answer: every event that left for the caller, added up.
        overhead_s: seconds of our own work before the first upstream call.
        ttft_s: seconds until the first event left.
        cached: whether the answer came from the cache.
        shared: whether it is that of an equal request, which was asked at the same time.
        of_many: whether several calls made the answer, each with a record of its own.
        spent_usd: what they cost together; None when not known.
        cache_key: under which the answer may be kept; None when it may not.
        conversation: what its turns share; None where that is not known.
        findings: kinds of what the guards found, in the order of a set.
    """

    request: ChatRequest
    principal: Principal
    clock: Clock
    id: str = ""
    plan: RoutePlan | None = None
    attempts: list[Attempt] = field(default_factory=list)
    model: Model | None = None
    answer: AnswerBuilder = field(init=False)
    store_text: bool = False
    overhead_s: float | None = None
    ttft_s: float | None = None
    cached: bool = False
    shared: bool = False
    of_many: bool = False
    spent_usd: Decimal | None = None
    cache_key: bytes | None = None
    conversation: bytes | None = None
    findings: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.id = self.id or new_request_id()
        hints = self.request.hints
        self.store_text = self.store_text and not (hints.private or hints.no_store)
        self.answer = AnswerBuilder(keep_text=self.store_text)
        self.at = self.clock.now()
        self._started = self.clock.monotonic()

    def elapsed_s(self) -> float:
        """Seconds since the request arrived."""
        return self.clock.monotonic() - self._started

    def upstream_starts(self) -> None:
        """Note that the first upstream call is about to be made."""
        if self.overhead_s is None:
            self.overhead_s = self.elapsed_s()

    def attempted(
        self,
        model: Model,
        started_s: float,
        at: datetime,
        error: BaseException | None,
        losses: tuple[str, ...] = (),
        key_id: str | None = None,
    ) -> None:
        """Note one upstream call: failed with `error`, or answering.

        Args:
            model: what was asked.
            started_s: monotonic time it began.
            at: wall time it began.
            error: what ended it; None when it answers.
            losses: what of the request it could not be told.
            key_id: name of the key it was asked with.
        """
        self.attempts.append(
            Attempt(
                model_id=model.id,
                provider=model.provider,
                started_at=at,
                latency_s=self.clock.monotonic() - started_s,
                error_code=error.kind if isinstance(error, ProviderError) else error_code(error),
                error=error.message if isinstance(error, YmeraError) else None,
                losses=losses,
                key_id=key_id,
            )
        )

    def broke(self, error: ProviderError, started_s: float) -> None:
        """Note that the call that was answering failed after all.

        Args:
            error: what ended it.
            started_s: monotonic time it began.
        """
        self.attempts[-1] = msgspec.structs.replace(
            self.attempts[-1],
            latency_s=self.clock.monotonic() - started_s,
            error_code=error.kind,
            error=error.message,
        )

    def passed(self, event: ChatEvent) -> None:
        """Note one event on its way to the caller."""
        if self.ttft_s is None and self.request.stream:
            self.ttft_s = self.elapsed_s()
        self.answer.add(event)

    def keep_answer(self) -> None:
        """Have the answer's text kept from now on, for whoever reads it whole."""
        self.answer.keep_text = True

    def may_be_cached_as(self, key: bytes | None) -> None:
        """Note under which key the answer may be kept, so that its text is; None: it may not."""
        self.cache_key = key
        if key is not None:
            self.keep_answer()

    def found(self, kind: str) -> None:
        """Note what a guard found."""
        self.findings[kind] = None

    def cost_usd(self) -> Decimal | None:
        """Return what the answer cost, as far as it was read: 0 from the cache, None unknown.

        What the upstream reports counts for more than the list price, or than being free.
        """
        if self.cached or self.shared:
            return Decimal(0)
        if self.of_many or self.model is None:
            return self.spent_usd
        reported = self.answer.reported_cost_usd
        return self.model.cost_usd(self.answer.usage) if reported is None else reported

    def _may_have_billed(self) -> bool:
        """Return whether an answer that broke off may cost something its host did not come to say.

        Hosts say it in the last piece of a stream.
        """
        silent = self.answer.usage is None and self.answer.reported_cost_usd is None
        hosted = self.model is not None and self.model.weights is None
        return silent and hosted and not (self.cached or self.shared)

    def record(self, error: BaseException | None) -> RequestRecord:
        """Return the fact to be stored; `error` is what ended the request, None on success."""
        hints = self.request.hints
        prompt = prompt_text(self.request)
        return RequestRecord(
            id=self.id,
            at=self.at,
            principal=self.principal,
            requested_model=self.request.model,
            stream=self.request.stream,
            plan=self.plan,
            attempts=tuple(self.attempts),
            model_id=self.model.id if self.model else None,
            provider=self.model.provider if self.model else None,
            usage=Usage() if self.cached or self.shared else self.answer.usage,
            cost_usd=None if error is not None and self._may_have_billed() else self.cost_usd(),
            latency_s=self.elapsed_s(),
            ttft_s=self.ttft_s,
            overhead_s=self.overhead_s or 0.0,
            error_code=error_code(error),
            prompt_chars=len(prompt),
            answer_chars=self.answer.text_chars,
            prompt=prompt if self.store_text else None,
            answer=self.answer.text if self.store_text else None,
            agent=hints.agent,
            private=hints.private,
            cached=self.cached or self.shared,
            run_id=hints.run_id,
            phase=hints.phase,
            tools=hints.tools,
            context=hints.context,
            findings=tuple(self.findings),
        )
