"""The stored fact of one request."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from ymera.core.access import Principal
from ymera.core.route import RoutePlan
from ymera.core.tool import ContextUse, ToolUse
from ymera.core.usage import Usage

__all__ = ["CANCELLED", "NO_AGENT", "Attempt", "RequestRecord"]

CANCELLED = "cancelled"
"""Code of what ended because the caller went away, or because another answered first."""

NO_AGENT = "direct"
"""Under this name statistics by agent count requests that belong to no agent."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream call. `error_code` is the `ProviderErrorKind` word, None on success.

    `losses` are sentences: what of the request the upstream could not be told; `key_id` is the
    name of the key that was used, never the key.
    """

    model_id: str
    provider: str
    started_at: datetime
    latency_s: float
    error_code: str | None = None
    error: str | None = None
    losses: tuple[str, ...] = ()
    key_id: str | None = None


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one request; written after the reply has left.

    Attributes:
        id: request id as in `x-request-id`.
        at: when it arrived (UTC).
        principal: who asked.
        requested_model: name the caller used.
        stream: whether the answer was streamed.
        plan: the route plan; None when refused before routing.
        attempts: every upstream call in order.
        model_id, provider: what answered; None when nothing did.
        usage: tokens; None when unknown.
        cost_usd: None when unknown, never 0 for unknown.
        latency_s: until the last byte. ttft_s: until the first delta; None when not streamed.
        overhead_s: our share of the time before the first upstream byte was asked for.
        error_code: `YmeraError.code`; None on success.
        prompt_chars, answer_chars: sizes, kept even when the text is not.
        prompt, answer: text; None unless storing text is switched on.
        agent: agent the request belongs to.
        cached: whether the answer came from the cache, or from an equal request of the same
            caller that was asked at the same time.
        run_id, phase: run and phase the request belongs to.
        tools, context: what was used to put the request together.
        findings: kinds of what the guards found in question and answer, each once.
    """

    id: str
    at: datetime
    principal: Principal
    requested_model: str
    stream: bool
    plan: RoutePlan | None = None
    attempts: tuple[Attempt, ...] = ()
    model_id: str | None = None
    provider: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    latency_s: float = 0.0
    ttft_s: float | None = None
    overhead_s: float = 0.0
    error_code: str | None = None
    prompt_chars: int = 0
    answer_chars: int = 0
    prompt: str | None = None
    answer: str | None = None
    agent: str | None = None
    private: bool = False
    cached: bool = False
    run_id: str | None = None
    phase: str | None = None
    tools: tuple[ToolUse, ...] = ()
    context: tuple[ContextUse, ...] = ()
    findings: tuple[str, ...] = ()
