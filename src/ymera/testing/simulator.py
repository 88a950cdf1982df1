"""A loopback server that plays one provider of the OpenAI chat dialect.

What it says comes from the same script form as `ScriptedProvider`. `ProviderSimulator` plays the
catalogue's providers, each in its own dialects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Self

from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest
from ymera.core.errors import YmeraError
from ymera.testing.faults import Fault
from ymera.testing.http import Exchange, LoopbackServer, SeenRequest
from ymera.testing.scripted import useful_echo
from ymera.testing.speech import Voice
from ymera.testing.stage import CREATED, Pause, perform, send_fault
from ymera.wire import openai_chat

__all__ = ["Fault", "SeenRequest", "Simulator"]

Answerer = Callable[[ChatRequest], ChatAnswer]


class Simulator:
    """Runs while its `async with` block lasts.

    Args:
        answer: makes the answer of every model that has no fault.
        faults: what goes wrong, by model id as the caller names it; every such id and `models`
            are listed by `GET /v1/models`.
        models: ids that answer. Any other id answers too, unless it has a fault.
        keys: accepted bearer keys; empty accepts everything.
        pause: awaited between streamed pieces with their number from 0: a test's gate or clock.

    Attributes:
        base_url: up to and including `/v1`; set on entry.
    """

    def __init__(
        self,
        *,
        answer: Answerer = useful_echo,
        faults: Mapping[str, Fault] | None = None,
        models: tuple[str, ...] = ("sim-small", "sim-large"),
        keys: frozenset[str] = frozenset(),
        pause: Pause | None = None,
    ) -> None:
        self._answer = answer
        self._faults = dict(faults or {})
        self._models = models
        self._keys = keys
        self._pause = pause
        self._server = LoopbackServer(self._respond)
        self._plain = Voice(openai_chat.CALLER)
        self._dear = Voice(openai_chat.CALLER, cost_usd=0.01)
        self.base_url = ""

    async def __aenter__(self) -> Self:
        """Listen."""
        await self._server.__aenter__()
        self.base_url = f"{self._server.origin}/v1"
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Cut every connection and stop."""
        await self._server.__aexit__(*exc)

    @property
    def seen(self) -> list[SeenRequest]:
        """Every request, in order."""
        return self._server.seen

    @property
    def connections(self) -> int:
        """Connections accepted so far."""
        return self._server.connections

    @property
    def hang_ups(self) -> asyncio.Event:
        """Set for good once a caller has left in the middle of an answer."""
        return self._server.hang_ups

    async def _respond(self, exchange: Exchange) -> bool:
        asked = exchange.request
        key = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if self._keys and key not in self._keys:
            return bool(await send_fault(exchange, Fault.UNAUTHORIZED, self._plain))
        if asked.method == "GET" and asked.path == "/v1/models":
            ids = dict.fromkeys((*self._models, *self._faults))
            return await exchange.send(200, openai_chat.encode_models(ids, CREATED))
        if asked.method != "POST" or asked.path != "/v1/chat/completions":
            return bool(await send_fault(exchange, Fault.GONE, self._plain))
        try:
            request = openai_chat.decode_request(asked.body)
        except YmeraError as error:
            return await exchange.send(error.http_status, openai_chat.encode_error(error))
        fault = self._faults.get(request.model)
        if fault is not None:
            kept = await send_fault(exchange, fault, self._plain)
            if kept is not None:
                return kept
        voice = self._dear if fault is Fault.COSTS else self._plain
        answer = self._answer(request)
        return await perform(exchange, voice, request, answer, fault=fault, pause=self._pause)
