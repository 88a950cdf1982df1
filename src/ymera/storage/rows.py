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

__all__ = [
    "COLUMNS",
    "RecordDetail",
    "RequestSummary",
    "StoredCandidate",
    "StoredPlan",
    "StoredRequest",
    "from_row",
    "from_utc_microseconds",
    "summary_from_row",
    "to_row",
    "to_values",
    "utc_microseconds",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICRO_PER_USD = Decimal(1_000_000)
_encode = msgspec.json.Encoder().encode
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
    exclusions: dict[str, int] = {}


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


COLUMNS = (
    "id at_us principal requested_model model_id provider task_type complexity error_code attempts"
    " latency_s ttft_s overhead_s input_tokens output_tokens cached_tokens reasoning_tokens"
    " cost_microusd stream agent private prompt_chars answer_chars detail prompt answer"
).split()
"""Of the request table, in the order of `to_values`."""

Value = str | int | float | None


def to_values(record: RequestRecord) -> tuple[Value, ...]:
    """Return a value for each of `COLUMNS`. The texts of a private request are never among them."""
    profile = None if record.plan is None else record.plan.profile
    usage, private = record.usage, record.private
    return (
        _name(record.id),
        utc_microseconds(record.at),
        _name(record.principal.id),
        _name(record.requested_model),
        record.model_id,
        record.provider,
        None if profile is None else profile.type.value,
        None if profile is None else profile.complexity.value,
        record.error_code,
        len(record.attempts),
        record.latency_s,
        record.ttft_s,
        record.overhead_s,
        None if usage is None else usage.input_tokens,
        None if usage is None else usage.output_tokens,
        None if usage is None else usage.cached_tokens,
        None if usage is None else usage.reasoning_tokens,
        None if record.cost_usd is None else _microusd(record.cost_usd),
        record.stream,
        None if record.agent is None else _name(record.agent),
        private,
        record.prompt_chars,
        record.answer_chars,
        _encode(_detail(record)).decode(),
        None if private or record.prompt is None else _clean(record.prompt),
        None if private or record.answer is None else _clean(record.answer),
    )


def to_row(record: RequestRecord) -> dict[str, object]:
    """Return column values by name, those of JSON columns as `msgspec.Raw`."""
    row: dict[str, object] = dict(zip(COLUMNS, to_values(record), strict=True))
    row["detail"] = msgspec.Raw(str(row["detail"]).encode())
    return row


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
        msgspec.ValidationError: the JSON column is not what `to_values` wrote.
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


def _microusd(cost: Decimal) -> int:
    return int((cost * _MICRO_PER_USD).to_integral_value(ROUND_CEILING)) if cost else 0


def _detail(record: RequestRecord) -> dict[str, object]:
    """Return the fields of a `RecordDetail` that say something."""
    detail: dict[str, object] = {}
    if record.plan is not None:
        detail["plan"] = _stored_plan(record.plan)
    if record.attempts:
        detail["attempts"] = [_stored_attempt(attempt) for attempt in record.attempts]
    if record.cached:
        detail["cached"] = True
    if record.run_id is not None:
        detail["run_id"] = _name(record.run_id)
    if record.phase is not None:
        detail["phase"] = _name(record.phase)
    if record.tools:
        detail["tools"] = [_stored_use(use) for use in record.tools]
    if record.context:
        detail["context"] = [_stored_context(brought) for brought in record.context]
    if record.findings:
        detail["findings"] = record.findings
    return detail


def _stored_plan(plan: RoutePlan) -> dict[str, object]:
    """Return the fields of a `StoredPlan`."""
    stored: dict[str, object] = {
        "policy": _name(plan.policy.name),
        "selector": plan.policy.selector,
        "est_input_tokens": plan.profile.est_input_tokens,
        "est_output_tokens": plan.profile.est_output_tokens,
        "candidates": [
            {
                "model_id": candidate.model.id,
                "score": candidate.score,
                "terms": candidate.terms,
                "reason": candidate.reason,
            }
            for candidate in plan.candidates
        ],
    }
    if plan.exclusions:
        stored["exclusions"] = Counter(map(_REASON, plan.exclusions))
    return stored


def _stored_attempt(attempt: Attempt) -> dict[str, object]:
    """Return the fields of an `Attempt` that say something."""
    stored: dict[str, object] = {
        "model_id": attempt.model_id,
        "provider": attempt.provider,
        "started_at": attempt.started_at,
        "latency_s": attempt.latency_s,
    }
    if attempt.error_code is not None:
        stored["error_code"] = attempt.error_code
    if attempt.error is not None:
        stored["error"] = _clean(attempt.error[:_MAX_SENTENCE_CHARS])
    if attempt.losses:
        stored["losses"] = attempt.losses
    if attempt.key_id is not None:
        stored["key_id"] = attempt.key_id
    return stored


def _stored_use(use: ToolUse) -> ToolUse:
    return msgspec.structs.replace(use, name=_name(use.name), source=_name(use.source))


def _stored_context(brought: ContextUse) -> ContextUse:
    return msgspec.structs.replace(brought, source=_name(brought.source))


def _name(text: str) -> str:
    """Return a name the caller chose, cut to a length that a column is meant for."""
    return _clean(text if len(text) <= _MAX_NAME_CHARS else text[:_MAX_NAME_CHARS])


def _clean(text: str) -> str:
    """Return text that any database takes: no lone surrogates (not UTF-8), no NUL (PostgreSQL).

    One record that cannot be written would otherwise take its whole batch with it.
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\x00", "\ufffd")
