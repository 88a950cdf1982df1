"""Exact-match cache of answers: the same question of the same caller is answered once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from ymera.core.access import Principal
from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    UsageReport,
)
from ymera.core.chat import ChatRequest, Verbatim, verbatim_for
from ymera.core.model import Model
from ymera.core.route import RoutePlan
from ymera.engine.attempts import Commitment
from ymera.engine.trace import RequestTrace

__all__ = ["CachedAnswer", "ResponseCache", "cache_key", "whole"]

_encode = msgspec.json.Encoder(order="deterministic").encode
_ABOUT_STREAMING = frozenset({"stream", "stream_options"})


@dataclass(frozen=True, kw_only=True)
class CachedAnswer:
    """An answer as it was given, with what gave it."""

    answer: ChatAnswer
    model: Model
    plan: RoutePlan | None

    @property
    def size(self) -> int:
        """Characters held, which bound its bytes well enough."""
        return len(self.answer.text) + len(self.answer.reasoning)


def whole(answer: ChatAnswer) -> Commitment:
    """Return an answer in the form of one that has just begun; it holds no upstream call."""
    head: list[ChatEvent] = []
    if answer.reasoning:
        head.append(ReasoningDelta(answer.reasoning))
    head.append(TextDelta(answer.text))
    if answer.usage is not None:
        head.append(UsageReport(answer.usage))
    head.append(Finish(answer.finish_reason))
    return Commitment(head=head)


def cache_key(request: ChatRequest, principal: Principal) -> bytes | None:
    """Return what equal requests of one caller share; None for a request that is never cached.

    Everything counts that may reach a model, so the body as it came counts, too, with whatever is
    passed through unread; whether the answer is streamed makes no difference.

    Never cached are private requests, those that ask for a fresh answer or not to be stored, those
    with tools (their calls act on the world) and those that draw by chance (a temperature above
    0 without a seed).
    """
    hints, sampling, verbatim = request.hints, request.sampling, request.verbatim
    drawn = bool(sampling.temperature) and sampling.seed is None
    if hints.private or hints.no_store or hints.fresh or request.tools or drawn:
        return None
    parts = (
        principal.kind,
        principal.id,
        request.model,
        (hints.task_type, hints.complexity, hints.prefer_free, hints.agent),
        (hints.use_tools, hints.avoid_models, hints.max_cost_usd),
        verbatim and verbatim.dialect,
        _written(verbatim),
        _read(request),
    )
    try:
        return blake2b(_encode(parts), digest_size=16).digest()
    except UnicodeEncodeError:  # half a character, which no upstream can be sent either
        return None


def _read(request: ChatRequest) -> tuple[object, ...] | None:
    """Return what was read of the body; None while the body itself says all of it."""
    verbatim = request.verbatim
    if verbatim is not None and verbatim_for(request, verbatim.dialect) is not None:
        return None
    return (
        request.messages,
        request.tool_choice,
        request.response_format,
        request.sampling,
        request.extra,
        request.parallel_tools,
    )


def _written(verbatim: Verbatim | None) -> dict[str, msgspec.Raw] | None:
    """Return the body as it came, but for what makes no difference to the answer."""
    if verbatim is None:
        return None
    fields = verbatim.fields
    if fields.keys().isdisjoint(_ABOUT_STREAMING):
        return fields
    return {name: raw for name, raw in fields.items() if name not in _ABOUT_STREAMING}


class ResponseCache:
    """Holds answers for `ttl_s` seconds, the least recently used leaving first.

    Args:
        ttl_s: age from which an answer is no longer used, above 0.
        monotonic: seconds that only grow.
        max_entries: answers held at most.
        max_chars: characters held at most, all answers together; one answer may take a tenth.
    """

    def __init__(
        self,
        ttl_s: float,
        *,
        monotonic: Callable[[], float],
        max_entries: int = 2_000,
        max_chars: int = 16_000_000,
    ) -> None:
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._max_entries = max_entries
        self._max_chars = max_chars
        self._lock = threading.Lock()  # the app may be used from several event loops
        self._held: OrderedDict[bytes, tuple[float, CachedAnswer]] = OrderedDict()
        self._chars = 0

    def get(self, key: bytes) -> CachedAnswer | None:
        """Return the answer held under `key`, None when there is none or it is too old."""
        with self._lock:
            entry = self._held.get(key)
            if entry is None:
                return None
            if self._monotonic() - entry[0] >= self._ttl_s:
                self._drop(key)
                return None
            self._held.move_to_end(key)
            return entry[1]

    def put(self, key: bytes, cached: CachedAnswer) -> None:
        """Hold an answer that is whole; others (cut off, empty, tool calls) are not taken."""
        answer = cached.answer
        whole = answer.finish_reason is FinishReason.STOP and answer.text and not answer.tool_calls
        if not whole or cached.size > self._max_chars // 10:
            return
        with self._lock:
            if key in self._held:
                self._drop(key)
            self._held[key] = (self._monotonic(), cached)
            self._chars += cached.size
            while len(self._held) > self._max_entries or self._chars > self._max_chars:
                self._drop(next(iter(self._held)))

    def keep(self, trace: RequestTrace) -> None:
        """Hold the answer of a request that ended well, where that is allowed."""
        if trace.cache_key is not None and trace.model is not None and not trace.cached:
            answer = trace.answer.build()
            self.put(
                trace.cache_key, CachedAnswer(answer=answer, model=trace.model, plan=trace.plan)
            )

    def _drop(self, key: bytes) -> None:
        self._chars -= self._held.pop(key)[1].size
