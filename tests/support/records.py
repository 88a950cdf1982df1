"""Finished requests for tests of what is kept about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ymera.core.access import Principal, PrincipalKind
from ymera.core.model import FreeTerms, Model
from ymera.core.record import Attempt, RequestRecord
from ymera.core.route import Candidate, Exclusion, ExclusionReason, RoutePlan, RoutePolicy
from ymera.core.task import TaskComplexity, TaskProfile, TaskType
from ymera.core.usage import Usage

NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
ALICE = Principal(id="alice", kind=PrincipalKind.USER)

MODEL = Model(
    id="local/tiny",
    provider="local",
    upstream_id="tiny",
    name="Tiny",
    free=FreeTerms(free_now=True, may_auto_route=True, reason="Runs here."),
)
PLAN = RoutePlan(
    profile=TaskProfile(
        type=TaskType.CODE_GENERATION,
        complexity=TaskComplexity.SIMPLE,
        est_input_tokens=12,
        est_output_tokens=256,
    ),
    policy=RoutePolicy(),
    candidates=(Candidate(model=MODEL, score=0.5, terms={"quality": 0.5}, reason="It is free."),),
    exclusions=(
        Exclusion(model_id="a/x", reason=ExclusionReason.NO_KEY, detail="No key."),
        Exclusion(model_id="a/y", reason=ExclusionReason.NO_KEY, detail="No key."),
        Exclusion(model_id="b/z", reason=ExclusionReason.CONTEXT, detail="4,096 tokens only."),
    ),
)


def record(id_: str = "req-1", *, minutes: float = 0, **fields: Any) -> RequestRecord:
    """Return a refused request that arrived `minutes` after noon; `fields` say otherwise."""
    defaults: dict[str, Any] = {
        "principal": ALICE,
        "requested_model": "auto",
        "stream": False,
        "at": NOON + timedelta(minutes=minutes),
    }
    return RequestRecord(id=id_, **(defaults | fields))


def answered(id_: str = "req-1", **fields: Any) -> RequestRecord:
    """Return a request with everything a full answer leaves behind."""
    defaults: dict[str, Any] = {
        "plan": PLAN,
        "attempts": (
            Attempt(
                model_id="a/w",
                provider="a",
                started_at=NOON,
                latency_s=0.1,
                error_code="transient",
                error="The connection broke.",
            ),
            Attempt(model_id=MODEL.id, provider="local", started_at=NOON, latency_s=0.7),
        ),
        "model_id": MODEL.id,
        "provider": "local",
        "usage": Usage(input_tokens=11, output_tokens=22, cached_tokens=3, reasoning_tokens=4),
        "cost_usd": Decimal("0.001234"),
        "stream": True,
        "latency_s": 0.8,
        "ttft_s": 0.25,
        "overhead_s": 0.002,
        "prompt_chars": 40,
        "answer_chars": 80,
        "agent": "coding_agent",
    }
    return record(id_, **(defaults | fields))
