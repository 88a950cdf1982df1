"""A finished request as it is stored and read back; knows nothing of SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from operator import attrgetter
from typing import Any

import msgspec

from ymera.core.record import Attempt, RequestRecord
from ymera.core.route import RoutePlan
from ymera.core.tool import ContextUse, ToolUse
from ymera.core.usage import Usage

__all__ = [
    "RecordDetail",
    "RequestSummary",
    "StoredCandidate",
    "StoredPlan",
    "StoredRequest",
    "from_row",
    "from_utc_microseconds",
    "summary_from_row",
    "to_row",
    "utc_microseconds",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICRO_PER_USD = Decimal(1_000_000)
_REASON = attrgetter("reason")  # five times as fast as a loop over hundreds of exclusions

_MAX_NAME_CHARS = 200
_MAX_SENTENCE_CHARS = 1_000


class RequestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One request without its bodies: what a list shows and totals add up.

    Attributes:
        id: request id.
        at: when it arrived (UTC).
        principal: id of the caller.
        requested_model: name the caller used.
        model_id, provider: what answered; None when nothing did.
        task_type, complexity: what the router took it for; None when refused before routing.
        error_code: None on success.
        attempts: number of upstream calls.
        latency_s, ttft_s, overhead_s: seconds; `ttft_s` None when not streamed.
        input_tokens, output_tokens, cached_tokens, reasoning_tokens: None when unknown.
        cost_usd: None when unknown; stored in whole micro-dollars, rounded up, so that money
            spent never reads as 0.
        prompt_chars, answer_chars: sizes, kept even when the text is not.
    """

    id: str
    at: datetime
    principal: str
    requested_model: str
    model_id: str | None
    provider: str | None
    task_type: str | None
    complexity: str | None
    error_code: str | None
    attempts: int
    latency_s: float
    ttft_s: float | None
    overhead_s: float
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Decimal | None
    stream: bool
    agent: str | None
    private: bool
    prompt_chars: int
    answer_chars: int


class StoredCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was considered, with the parts its score adds up from."""

    model_id: str
    score: float
    terms: dict[str, float]
    reason: str


class StoredPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Why these models were asked in this order.

    `exclusions` counts left-out models by reason: naming each of hundreds of catalogue entries
    in every row would make the plan larger than everything else that is stored.
    """

    policy: str
    selector: str
    est_input_tokens: int
    est_output_tokens: int
    candidates: tuple[StoredCandidate, ...]
    exclusions: dict[str, int]


class RecordDetail(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a record that is read one at a time; stored as JSON.

    New fields need defaults, so that older rows stay readable.

    Attributes:
        plan: why these models were asked.
        attempts: every upstream call.
        cached: whether the answer came from the cache.
        run_id, phase: run and phase the request belongs to.
        tools, context: what was used to put the request together: no arguments, no texts.
        findings: kinds of what the guards found.
    """

    plan: StoredPlan | None = None
    attempts: tuple[Attempt, ...] = ()
    cached: bool = False
    run_id: str | None = None
    phase: str | None = None
    tools: tuple[ToolUse, ...] = ()
    context: tuple[ContextUse, ...] = ()
    findings: tuple[str, ...] = ()


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request with everything that was stored; texts are None unless storing them is on."""

    summary: RequestSummary
    detail: RecordDetail
    prompt: str | None
    answer: str | None


def to_row(record: RequestRecord) -> dict[str, object]:
    """Return column values by name. The texts of a private request are never among them."""
    return {
        **_facts(record),
        **_choice(record),
        **_tokens(record.usage),
        "prompt": None if record.private else _clean(record.prompt),
        "answer": None if record.private else _clean(record.answer),
        "detail": RecordDetail(
            plan=None if record.plan is None else _stored_plan(record.plan),
            attempts=tuple(_stored_attempt(attempt) for attempt in record.attempts),
            cached=record.cached,
            run_id=None if record.run_id is None else _name(record.run_id),
            phase=None if record.phase is None else _name(record.phase),
            tools=tuple(_stored_use(use) for use in record.tools),
            context=tuple(_stored_context(brought) for brought in record.context),
            findings=record.findings,
        ),
    }


def summary_from_row(row: Mapping[str, Any]) -> RequestSummary:
    """Return the summary in a row's columns; more columns than it needs are fine."""
    values = {name: row[name] for name in _SAME_NAME}
    cost = row["cost_microusd"]
    return RequestSummary(
        **values,
        at=from_utc_microseconds(row["at_us"]),
        cost_usd=None if cost is None else cost / _MICRO_PER_USD,
    )


def from_row(row: Mapping[str, Any]) -> StoredRequest:
    """Return everything in a row.

    Raises:
        msgspec.ValidationError: the JSON column is not what `to_row` wrote.
    """
    return StoredRequest(
        summary=summary_from_row(row),
        detail=msgspec.convert(row["detail"], RecordDetail),
        prompt=row["prompt"],
        answer=row["answer"],
    )


def utc_microseconds(at: datetime) -> int:
    """Return a time as whole microseconds since 1970 (UTC), the way times are stored."""
    return (at - _EPOCH) // _MICROSECOND


def from_utc_microseconds(at_us: int) -> datetime:
    """Return the time (UTC) that `utc_microseconds` gave this number for."""
    return _EPOCH + at_us * _MICROSECOND


_SAME_NAME = tuple(
    name for name in RequestSummary.__struct_fields__ if name not in {"at", "cost_usd"}
)


def _facts(record: RequestRecord) -> dict[str, object]:
    return {
        "id": _name(record.id),
        "at_us": utc_microseconds(record.at),
        "principal": _name(record.principal.id),
        "requested_model": _name(record.requested_model),
        "agent": None if record.agent is None else _name(record.agent),
        "stream": record.stream,
        "private": record.private,
        "error_code": record.error_code,
        "latency_s": record.latency_s,
        "ttft_s": record.ttft_s,
        "overhead_s": record.overhead_s,
        "prompt_chars": record.prompt_chars,
        "answer_chars": record.answer_chars,
    }


def _choice(record: RequestRecord) -> dict[str, object]:
    profile = record.plan.profile if record.plan else None
    cost = record.cost_usd
    return {
        "model_id": record.model_id,
        "provider": record.provider,
        "task_type": profile.type.value if profile else None,
        "complexity": profile.complexity.value if profile else None,
        "attempts": len(record.attempts),
        "cost_microusd": None
        if cost is None
        else int((cost * _MICRO_PER_USD).to_integral_value(ROUND_CEILING)),
    }


def _tokens(usage: Usage | None) -> dict[str, object]:
    return {
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "cached_tokens": usage.cached_tokens if usage else None,
        "reasoning_tokens": usage.reasoning_tokens if usage else None,
    }


def _stored_plan(plan: RoutePlan) -> StoredPlan:
    return StoredPlan(
        policy=_name(plan.policy.name),
        selector=plan.policy.selector,
        est_input_tokens=plan.profile.est_input_tokens,
        est_output_tokens=plan.profile.est_output_tokens,
        candidates=tuple(
            StoredCandidate(
                model_id=candidate.model.id,
                score=candidate.score,
                terms=candidate.terms,
                reason=candidate.reason,
            )
            for candidate in plan.candidates
        ),
        exclusions=dict(Counter(map(_REASON, plan.exclusions))),
    )


def _stored_attempt(attempt: Attempt) -> Attempt:
    if attempt.error is None:
        return attempt
    return msgspec.structs.replace(attempt, error=_clean(attempt.error[:_MAX_SENTENCE_CHARS]))


def _stored_use(use: ToolUse) -> ToolUse:
    return msgspec.structs.replace(use, name=_name(use.name), source=_name(use.source))


def _stored_context(brought: ContextUse) -> ContextUse:
    return msgspec.structs.replace(brought, source=_name(brought.source))


def _name(text: str) -> str:
    """Return a name the caller chose, cut to a length that a column is meant for."""
    return _clean(text[:_MAX_NAME_CHARS]) or ""


def _clean(text: str | None) -> str | None:
    """Return text that any database takes: no lone surrogates (not UTF-8), no NUL (PostgreSQL).

    One record that cannot be written would otherwise take its whole batch with it.
    """
    if text is None:
        return None
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\x00", "\ufffd")
