"""The vendors of the coding sessions, behind the transport: bytes in, bytes out, own counters.

They enforce the quotas of the simulated day (`bench.quota.world`), answer in their own dialects
with scripted tool calls, and judge the history of every request before anything else.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from bench.quota.world import FAULTS, UNITS_PER_CALL, TrueLimit, World
from bench.sessions.script import Marks, Script
from tests.support.tool_histories import problems_in
from ymera.catalog.catalog import Catalog
from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest
from ymera.core.errors import ProviderError, ProviderErrorKind, YmeraError
from ymera.core.model import Dialect, Model, Provider
from ymera.core.ports import Deadlines
from ymera.core.quota import QuotaMetric, QuotaWindow
from ymera.testing.doors import Door, Wish, door_of
from ymera.testing.faults import Refusal
from ymera.testing.limit_headers import limit_headers
from ymera.testing.quotas import Standing
from ymera.testing.refusals import body_of, headers_of
from ymera.testing.speech import voice_of
from ymera.testing.strictness import refusal_of
from ymera.testing.vendor_limits import VendorLimit
from ymera.testing.vendors import HeaderStyle, habits_of
from ymera.wire.codec import AnswerHead
from ymera.wire.gemini.models import needs_signatures

__all__ = ["Refused", "Seen", "Vendors", "chars_of"]

_OUTPUT_S = 0.01
"""Seconds that a generated token takes."""
_LATE_COST_USD = 0.0004
_TOO_MANY = 429
_PAYMENT = 402
_GEMINI_ID = re.compile(rb'("functionCall":\{)"id":"[^"]*",')


@dataclass(frozen=True)
class Refused:
    """A failed call.

    Attributes:
        provider, model_id, status: who refused, and how.
        what: the limit in the way, or another reason.
        avoidable: whether that could have been known before.
    """

    provider: str
    model_id: str
    status: int
    what: str
    avoidable: bool


@dataclass
class Seen:
    """What the vendors saw."""

    calls: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    dialects: Counter[Dialect] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)


class _Response:
    """An answer on its way, as `ymera.core.ports.TransportResponse`."""

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        pieces: list[bytes],
        *,
        seconds: float = 0.0,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.status = status
        self.headers = {"content-type": "application/json", **headers}
        self._pieces = pieces
        self._seconds = seconds
        self._ended = ended
        self._closed = False

    async def read(self, limit: int) -> bytes:
        await asyncio.sleep(self._seconds)
        return b"".join(self._pieces)[:limit]

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(self._seconds / len(self._pieces))
            yield piece

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._ended()


class Vendors:
    """All of them, as `ymera.core.ports.Transport`.

    Args:
        catalog: their rows.
        world: what they really allow.
        exact: whether what is documented is what they allow.
        script: what their models say.
        seed: of latencies, tokenizers and faults.
        now: wall time.
        at_s: the same in seconds of the day.
        faults: whether the published mix of faults happens.
    """

    def __init__(
        self,
        catalog: Catalog,
        world: World,
        *,
        exact: bool,
        script: Script,
        seed: int,
        now: Callable[[], datetime],
        at_s: Callable[[], float],
        faults: bool = False,
    ) -> None:
        self.world = world
        self.seen = Seen()
        self.marks = Marks()
        self._catalog = catalog
        self._models = {(model.provider, model.upstream_id): model for model in world.models}
        self._exact = exact
        self._script = script
        self._now = now
        self._at_s = at_s
        self._rng = random.Random(f"vendors {seed}")
        self._faults = faults
        chars = random.Random(f"tokenizers {seed}")
        self._chars_per_token = {model.id: chars.uniform(3.3, 4.3) for model in world.models}
        self._known: set[int] = set()
        """Limits that an answer told of, or that refused before."""
        self._paid: set[str] = set()

    # --- what really could be asked ------------------------------------------------------------

    def obstacle(self, model: Model, chars: int) -> str | None:
        """Return why a model would refuse a prompt of so many characters now; None: it would not.

        This is the vendor's own knowledge; nothing of ours is asked.
        """
        tokens = self._tokens(model, chars)
        if self._turned(model) is not None:
            return "turned paid"
        if model.context_window is not None and tokens > model.context_window:
            return "context"
        full = self._full(model, tokens)
        if full is None:
            return None
        never = full.metric is QuotaMetric.TOKENS and tokens > full.amount
        return f"outgrew {full.window}" if never else f"{full.metric} a {full.window} used up"

    def _tokens(self, model: Model, chars: int) -> int:
        return math.ceil(chars / self._chars_per_token[model.id])

    def _full(self, model: Model, tokens: int) -> TrueLimit | None:
        at_s = self._at_s()
        limits = self.world.limits_of(model)
        return next(
            (one for one in limits if one.used(at_s) + _taken(one, tokens) > one.amount), None
        )

    def _turned(self, model: Model) -> bool | None:
        """Return whether it tells late that it costs; None while it costs nothing."""
        turning = self.world.turning.get(model.id)
        return turning.late if turning is not None and self._at_s() >= turning.at_s else None

    # --- the transport -------------------------------------------------------------------------

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
    ) -> _Response:
        """Answer one request."""
        del deadlines  # nothing here takes long enough
        provider_id, path = _address(url)
        provider = self._catalog.providers[provider_id]
        door = door_of(provider, "POST", path, dict(headers))
        if door is None or door.wish is not Wish.CHAT:
            raise ProviderError(f"{url} is no door.", kind=ProviderErrorKind.TRANSIENT)
        await asyncio.sleep(self._rng.uniform(0.2, 1.0))
        try:
            request = _decoded(provider, door, body)
        except YmeraError as error:
            self.seen.invalid.append(f"{provider_id}: {error.message}")
            return self._refusal(provider, door, None, 400, error.message, avoidable=True)
        model = self._models.get((provider_id, request.model))
        if model is None:
            return self._refusal(provider, door, None, 404, "no such model", avoidable=True)
        self.seen.calls[provider_id] += 1
        self.seen.dialects[door.dialect] += 1
        problems = problems_in(
            body,
            door.dialect,
            provider=provider_id,
            issuer=self.marks.issuer,
            signed_calls=door.dialect is Dialect.GEMINI and needs_signatures(model.upstream_id),
        )
        odd = refusal_of(body, door.dialect, provider.flags | model.flags)
        problems += [odd.message] if odd is not None else []
        if problems:
            self.seen.invalid.append(f"{model.id}, {door.dialect}: {problems[0]}")
            return self._refusal(provider, door, model, 400, problems[0], avoidable=True)
        return self._served(provider, door, model, request)

    def _served(
        self, provider: Provider, door: Door, model: Model, request: ChatRequest
    ) -> _Response:
        tokens = self._tokens(model, chars_of(request))
        late = self._turned(model)
        if late is False:
            known, what = provider.id in self._paid, "turned paid"
            self._paid.add(provider.id)
            return self._refusal(provider, door, model, 402, what, avoidable=known)
        if model.context_window is not None and tokens > model.context_window:
            return self._refusal(provider, door, model, 413, "context", avoidable=True)
        full = self._full(model, tokens)
        if full is not None:
            return self._over(provider, door, model, full, tokens)
        status = self._fault()
        if status is not None and not self.world.counts_failed(model):
            return self._refusal(provider, door, model, status, "fault", avoidable=False)
        limits = self.world.limits_of(model)
        at_s = self._at_s()
        for limit in limits:
            limit.count(at_s, _taken(limit, tokens))
        if status is not None:
            self._ended(limits, 0)
            return self._refusal(provider, door, model, status, "fault", avoidable=False)
        answer = self._script.answer(request, model, door.dialect, tokens, self.marks)
        return self._said(provider, door, model, request, answer, late=late is True)

    def _said(
        self,
        provider: Provider,
        door: Door,
        model: Model,
        request: ChatRequest,
        answer: ChatAnswer,
        *,
        late: bool,
    ) -> _Response:
        habits = habits_of(provider.id)
        voice = voice_of(door.dialect, habits, cost_usd=_LATE_COST_USD if late else 0.0)
        assert voice is not None
        head = AnswerHead(
            id=f"req_{self._rng.getrandbits(64):016x}",
            created=int(self._now().timestamp()),
            model=model.upstream_id,
            request=request,
        )
        if request.stream:
            pieces = [piece.data for piece in voice.pieces(answer, head) if piece.data]
            kind = f"{voice.dialect.framing.value}; charset=utf-8"
        else:
            pieces, kind = [voice.whole(answer, head)], "application/json"
        if door.dialect is Dialect.GEMINI:  # this vendor names calls by nothing but their place
            pieces = [_GEMINI_ID.sub(rb"\1", piece) for piece in pieces]
        self.seen.answered[provider.id] += 1
        output = answer.usage.output_tokens if answer.usage else 0
        limits = self.world.limits_of(model)
        return _Response(
            200,
            {"content-type": kind, **self._limit_headers(provider, model, refused=False)},
            pieces,
            seconds=output * _OUTPUT_S,
            ended=lambda: self._ended(limits, output),
        )

    def _ended(self, limits: list[TrueLimit], output: int) -> None:
        for limit in limits:
            if limit.metric is QuotaMetric.CONCURRENT:
                limit.count(self._at_s(), -1)
            elif limit.metric is QuotaMetric.TOKENS and output:
                limit.count(self._at_s(), output)

    def _fault(self) -> int | None:
        if not self._faults:
            return None
        draw = self._rng.random()
        if draw < FAULTS["server error"]:
            return 500
        return 503 if draw < FAULTS["server error"] + FAULTS["overloaded"] else None

    # --- refusals ------------------------------------------------------------------------------

    def _over(
        self, provider: Provider, door: Door, model: Model, limit: TrueLimit, tokens: int
    ) -> _Response:
        known = id(limit) in self._known or (self._exact and not limit.assumed)
        self._known.add(id(limit))
        told = not limit.assumed or provider.id == "google"  # its errors carry the number
        refusal = Refusal(
            status=429,
            message="Too many requests",
            window=limit.window if told else None,
            metric=limit.metric.value,
            limit=limit.amount if told else None,
            used=limit.used(self._at_s()),
            requested=_taken(limit, tokens),
            wait_s=_wait_s(limit, self._at_s(), self._now()) if told else None,
            model=model.upstream_id,
        )
        self._note(provider, model, 429, f"{limit.metric} a {limit.window}", avoidable=known)
        return self._refused(provider, door, model, refusal)

    def _refusal(
        self,
        provider: Provider,
        door: Door,
        model: Model | None,
        status: int,
        what: str,
        *,
        avoidable: bool,
    ) -> _Response:
        self._note(provider, model, status, what, avoidable=avoidable)
        message = "Insufficient credit" if status == _PAYMENT else what
        return self._refused(provider, door, model, Refusal(status=status, message=message))

    def _note(
        self, provider: Provider, model: Model | None, status: int, what: str, *, avoidable: bool
    ) -> None:
        name = model.id if model else provider.id
        self.seen.refused.append(Refused(provider.id, name, status, what, avoidable))

    def _refused(
        self, provider: Provider, door: Door, model: Model | None, refusal: Refusal
    ) -> _Response:
        habits = habits_of(provider.id)
        busy = refusal.status == _TOO_MANY
        limits = self._limit_headers(provider, model, refused=busy) if model else {}
        headers = headers_of(refusal, door.dialect, retry_after=habits.retry_after)
        body = body_of(refusal, door.dialect, habits.words)
        return _Response(refusal.status, {**limits, **headers}, [body])

    def _limit_headers(self, provider: Provider, model: Model, *, refused: bool) -> dict[str, str]:
        style = habits_of(provider.id).headers
        if style is HeaderStyle.NONE:
            return {}
        at_s, now = self._at_s(), self._now()
        limits = [one for one in self.world.limits_of(model) if not one.assumed]
        standings = [_standing(one, at_s, now) for one in limits]
        found = limit_headers(style, standings, now=now, refused=refused)
        if found:
            self._known.update(id(one) for one in limits)
        return {name.lower(): value for name, value in found.items()}


def chars_of(request: ChatRequest) -> int:
    """Return the characters a model reads."""
    chars = sum(len(message.text) for message in request.messages)
    calls = (call for message in request.messages for call in message.tool_calls)
    chars += sum(len(call.name) + len(call.arguments) + 24 for call in calls)
    tools = (bytes(tool.parameters or b"") for tool in request.tools)
    return chars + sum(map(len, tools)) + 12 * len(request.messages)


def _address(url: str) -> tuple[str, str]:
    """Return the provider whose name is the host, and the path with its query."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return (parts.hostname or "").removesuffix(".invalid"), parts.path + query


def _decoded(provider: Provider, door: Door, body: bytes) -> ChatRequest:
    if door.dialect is Dialect.GEMINI:
        from ymera.wire.gemini import decode_request_for

        return decode_request_for(body, door.model, door.stream)
    voice = voice_of(door.dialect)
    assert voice is not None, provider.id
    return voice.dialect.decode_request(body)


def _taken(limit: TrueLimit, tokens: int) -> int:
    if limit.metric is QuotaMetric.TOKENS:
        return tokens
    return UNITS_PER_CALL if limit.metric is QuotaMetric.UNITS else 1


def _standing(limit: TrueLimit, at_s: float, now: datetime) -> Standing:
    wire = VendorLimit(
        metric=limit.metric,
        window=limit.window,
        amount=limit.amount,
        zone=None if limit.zone is None else limit.zone.key,
        per_model=limit.pool.model is not None,
    )
    used = limit.used(at_s)
    return Standing(limit=wire, used=used, reset_s=_wait_s(limit, at_s, now) if used else 0.0)


def _wait_s(limit: TrueLimit, at_s: float, now: datetime) -> float:
    """Return the seconds until a limit is whole again, as its vendor tells."""
    if limit.metric is QuotaMetric.CONCURRENT:
        return 1.0
    if limit.zone is not None:
        local = now.astimezone(limit.zone)
        day = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if limit.window is QuotaWindow.MONTH:
            following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        else:
            following = day + timedelta(days=1)
        return max((following - local).total_seconds(), 1.0)
    return limit.oldest_leaves_s(at_s)
