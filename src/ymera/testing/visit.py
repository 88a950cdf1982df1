"""One request at the door of a simulated provider."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest
from ymera.core.errors import YmeraError
from ymera.core.model import Dialect, FreeTerms, Model, ModelKind, Provider, ProviderKind, Quirk
from ymera.testing.answers import Answers
from ymera.testing.doors import Door, Wish, key_of
from ymera.testing.fault_plan import FaultPlan
from ymera.testing.faults import Fault, Refusal, refusal_for
from ymera.testing.http import Exchange
from ymera.testing.limit_headers import limit_headers
from ymera.testing.lists import model_list
from ymera.testing.quotas import MovableClock, VendorQuotas
from ymera.testing.refusals import body_of, headers_of
from ymera.testing.speech import Voice
from ymera.testing.stage import Pause, perform, send_fault
from ymera.testing.strictness import refusal_of
from ymera.testing.vectors import answer_embedding, read_embedding, tokens_of
from ymera.testing.vendors import Reasoning

__all__ = ["KEY", "Visit", "World", "account_of"]

KEY = "simulated"
"""What every right key begins with."""

_UNSAID_TOKENS = 256
"""How long answers get at hosts that cut them unless told how long they may be."""
_COST_USD = 0.01


@dataclass(kw_only=True)
class World:
    """What all visits share; see `ProviderSimulator`."""

    models: dict[tuple[str, str], Model]
    answers: Answers
    faults: FaultPlan
    quotas: VendorQuotas
    clock: MovableClock
    pause: Pause | None = None
    calls: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def models_of(self, provider_id: str) -> list[Model]:
        """Return the chat and embedding models that a provider serves."""
        return [model for (owner, _), model in self.models.items() if owner == provider_id]


class Visit:
    """One request at one provider's door."""

    def __init__(
        self,
        world: World,
        exchange: Exchange,
        provider: Provider,
        door: Door,
        voice: Voice,
    ) -> None:
        self._world = world
        self._exchange = exchange
        self._provider = provider
        self._door = door
        self._voice = voice
        asked = exchange.request
        self._key = key_of(provider, door.dialect, asked.path, asked.headers)
        self._account = account_of(self._key)

    async def answered(self) -> bool:
        """Answer it; return whether the connection is kept."""
        provider, door = self._provider, self._door
        if (refusal := self._not_let_in()) is not None:
            return await self._refuse(refusal)
        match door.wish:
            case Wish.MODELS:
                models = self._world.models_of(provider.id)
                return await self._exchange.send(200, model_list(provider.id, models, door.dialect))
            case Wish.VERSION:
                return await self._exchange.send(200, b'{"version":"0.0.0-simulated"}')
            case Wish.SHOW:
                return await self._show()
            case Wish.EMBED:
                return await self._embed()
            case Wish.COUNT:
                return await self._count()
        return await self._chat()

    def _not_let_in(self) -> Refusal | None:
        provider, dialect = self._provider, self._door.dialect
        headers = self._exchange.request.headers
        versioned = dialect is not Dialect.ANTHROPIC or "anthropic-version" in headers
        if provider.id == "anthropic" and not versioned:
            return Refusal(status=400, message="anthropic-version: header is required")
        free_entry = provider.keyless or provider.kind is ProviderKind.LOCAL
        if self._key.startswith(KEY) or (not self._key and free_entry):
            return None
        wrong = refusal_for(Fault.UNAUTHORIZED) or Refusal(status=401, message="Unauthorized")
        return msgspec.structs.replace(wrong, status=self._voice.habits.bad_key)

    async def _chat(self) -> bool:
        try:
            request = self._decoded()
        except YmeraError as error:
            body = self._voice.dialect.encode_error(error)
            return await self._exchange.send(error.http_status, body)
        model = self._model(request.model)
        if model is None or model.kind is not ModelKind.CHAT:
            return await self._refuse(_no_such(request.model))
        flags = self._provider.flags | model.flags
        body, dialect = self._exchange.request.body, self._door.dialect
        if (refusal := refusal_of(body, dialect, flags)) is not None:
            return await self._refuse(refusal, model)
        fault = self._world.faults.next(self._provider.id, model.upstream_id)
        if fault is not None:
            kept = await send_fault(self._exchange, fault, self._voice)
            if kept is not None:
                self._note_failed(fault, model)
                return kept
        return await self._perform(request, model, fault, flags)

    async def _perform(
        self, request: ChatRequest, model: Model, fault: Fault | None, flags: frozenset[Quirk]
    ) -> bool:
        world = self._world
        quotas, provider_id, account = world.quotas, self._provider.id, self._account
        if (refusal := quotas.enter(provider_id, model, account)) is not None:
            return await self._refuse(refusal, model)
        try:
            try:
                made = world.answers(request)
                answer = await made if inspect.isawaitable(made) else made
            except YmeraError as error:  # of the model that speaks for this one
                return await self._refuse(Refusal(status=500, message=error.message), model)
            answer = _within(answer, request, flags)
            tokens = answer.usage.total_tokens if answer.usage else 1
            if (refusal := quotas.charge(provider_id, model, account, tokens)) is not None:
                return await self._refuse(refusal, model)
            kept = False
            # Counted first: a caller that has its answer may look at once, from another thread.
            good = (provider_id, model.upstream_id, 200)
            world.calls[good] += 1
            try:
                kept = await perform(
                    self._exchange,
                    self._voice_for(model, answer, fault, flags),
                    request,
                    answer,
                    fault=fault,
                    pause=world.pause,
                    headers=self._limits(model, refused=False),
                )
            finally:
                if not kept:
                    world.calls -= Counter([good])
                    world.calls[provider_id, model.upstream_id, 0] += 1
            return kept
        finally:
            quotas.leave(provider_id, model, account)

    async def _embed(self) -> bool:
        door, body = self._door, self._exchange.request.body
        wish = read_embedding(door.dialect, body, model=door.model, single=door.single)
        if wish is None:
            return await self._refuse(Refusal(status=400, message="'input' is not valid."))
        model = self._model(wish.model)
        if model is None or model.kind is not ModelKind.EMBEDDING:
            return await self._refuse(_no_such(wish.model))
        fault = self._world.faults.next(self._provider.id, model.upstream_id)
        if fault is not None:
            kept = await send_fault(self._exchange, fault, self._voice)
            if kept is not None:
                self._note_failed(fault, model)
                return kept
        tokens = tokens_of(wish)
        provider_id = self._provider.id
        refusal = self._world.quotas.charge(provider_id, model, self._account, tokens)
        if refusal is not None:
            return await self._refuse(refusal, model)
        self._world.calls[provider_id, model.upstream_id, 200] += 1
        answer = answer_embedding(door.dialect, wish, model.embedding_dims)
        headers = self._limits(model, refused=False)
        return await self._exchange.send(200, answer, headers=headers)

    async def _show(self) -> bool:
        name = str(_fields(self._exchange.request.body).get("model", ""))
        model = self._model(name)
        if model is None:
            return await self._refuse(_no_such(name))
        abilities = ["embedding"] if model.kind is ModelKind.EMBEDDING else ["completion"]
        abilities += ["tools"] if model.tools else []
        info = {"general.architecture": "sim", "sim.context_length": model.context_window or 4096}
        body = msgspec.json.encode({"capabilities": abilities, "model_info": info, "details": {}})
        return await self._exchange.send(200, body)

    async def _count(self) -> bool:
        try:
            # Such a request names no length, which a chat request of this dialect has to.
            fields = {"max_tokens": 1, **_fields(self._exchange.request.body)}
            request = self._voice.dialect.decode_request(msgspec.json.encode(fields))
        except YmeraError as error:
            body = self._voice.dialect.encode_error(error)
            return await self._exchange.send(error.http_status, body)
        words = sum(len(message.text.split()) for message in request.messages)
        return await self._exchange.send(200, msgspec.json.encode({"input_tokens": words}))

    def _decoded(self) -> ChatRequest:
        door, body = self._door, self._exchange.request.body
        if door.dialect is Dialect.GEMINI:
            from ymera.wire.gemini import decode_request_for

            return decode_request_for(body, door.model, door.stream)
        return self._voice.dialect.decode_request(body)

    def _model(self, name: str) -> Model | None:
        """Return the row; whoever serves what the user loads serves any name."""
        found = self._world.models.get((self._provider.id, name.removesuffix(":latest")))
        if found is not None:
            return found
        if self._provider.kind is not ProviderKind.LOCAL and self._world.models_of(
            self._provider.id
        ):
            return None
        wish = self._door.wish
        kind = ModelKind.EMBEDDING if wish is Wish.EMBED else ModelKind.CHAT
        free = FreeTerms(free_now=None, may_auto_route=False, reason="not in the catalogue")
        return Model(
            id=f"{self._provider.id}/{name}",
            provider=self._provider.id,
            upstream_id=name,
            name=name,
            kind=kind,
            free=free,
        )

    def _voice_for(
        self, model: Model, answer: ChatAnswer, fault: Fault | None, flags: frozenset[Quirk]
    ) -> Voice:
        """Return the voice with what depends on the model: where it thinks, what it costs."""
        habits = self._voice.habits
        if Quirk.THINK_TAGS in flags:
            habits = msgspec.structs.replace(habits, reasoning=Reasoning.TAGS)
        cost = float(model.cost_usd(answer.usage) or 0)
        if fault is Fault.COSTS:
            cost = _COST_USD
        return Voice(
            self._voice.dialect,
            habits,
            cost_usd=cost if habits.says_cost else (_COST_USD if fault is Fault.COSTS else 0.0),
        )

    def _limits(self, model: Model, *, refused: bool) -> dict[str, str]:
        standings = self._world.quotas.standings(self._provider.id, model, self._account)
        style = self._voice.habits.headers
        return limit_headers(style, standings, now=self._world.clock(), refused=refused)

    async def _refuse(self, refusal: Refusal, model: Model | None = None) -> bool:
        habits, dialect = self._voice.habits, self._door.dialect
        limits: dict[str, str] = {}
        if model is not None:
            self._world.calls[self._provider.id, model.upstream_id, refusal.status] += 1
            limits = self._limits(model, refused=refusal.status == 429)
        if refusal.status == 429 and refusal.limit is not None:
            refusal = msgspec.structs.replace(refusal, headers={**limits, **refusal.headers})
        headers = headers_of(refusal, dialect, retry_after=habits.retry_after)
        body = body_of(refusal, dialect, habits.words)
        return await self._exchange.send(refusal.status, body, headers={**limits, **headers})

    def _note_failed(self, fault: Fault, model: Model) -> None:
        refusal = refusal_for(fault)
        status = refusal.status if refusal is not None else 0
        self._world.calls[self._provider.id, model.upstream_id, status] += 1
        if status == 0 or status >= 500:
            self._world.quotas.count_failed(self._provider.id, model, self._account)


def _fields(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except msgspec.DecodeError:
        return {}


def _no_such(name: str) -> Refusal:
    return Refusal(
        status=404, message=f"The model `{name}` does not exist.", code="model_not_found"
    )


def account_of(key: str) -> str:
    """Return whose key it is: what stands before the first dot."""
    return key.partition(".")[0]


def _within(answer: ChatAnswer, request: ChatRequest, flags: frozenset[Quirk]) -> ChatAnswer:
    """Return the answer cut to the length that the caller allows, counted in words."""
    allowed = request.sampling.max_tokens
    if allowed is None and Quirk.NEEDS_MAX_TOKENS in flags:
        allowed = _UNSAID_TOKENS
    words = answer.text.split(" ")
    if allowed is None or len(words) <= allowed:
        return answer
    text = " ".join(words[: max(allowed, 1)])
    return msgspec.structs.replace(answer, text=text, finish_reason=FinishReason.LENGTH)
