"""The real small model, asked as the gateway asks it. One provider, a new event loop per test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support import local_model
from ymera.core.answer import (
    AnswerBuilder,
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    TextDelta,
)
from ymera.core.chat import (
    ChatRequest,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
)
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Model
from ymera.core.ports import Deadlines
from ymera.providers.local import LocalProvider
from ymera.providers.local_settings import LocalSettings
from ymera.providers.transport import HttpResponse, HttpTransport

WAIT_S = 120
"""Bounds every wait; a busy machine needs seconds, a hung test would need forever."""
CANCELLED_WITHIN_S = 20
"""Many times what it takes, and less than an endless answer takes."""
PROMPT = "Count from 1 to 10000, one number per line."
_NUMBERS = {"type": "array", "items": {"type": "integer"}, "minItems": 500}
ENDLESS = ResponseFormat(schema=msgspec.Raw(json.dumps(_NUMBERS).encode()))
"""A grammar that lets no answer end for half a minute."""


class Noticing(HttpTransport):
    """Tells when a request is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.posting = asyncio.Event()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
    ) -> HttpResponse:
        self.posting.set()
        return await super().post(url, headers, body, deadlines)


class Local:
    def __init__(self, models_dir: Path) -> None:
        self.transport = Noticing()
        self.model: Model = local_model.model()
        settings = LocalSettings(context_tokens=4096, slots=2)
        self.provider = LocalProvider("local", models_dir, self.transport, settings)

    async def events(self, prompt: str, **fields: Any) -> list[ChatEvent]:
        async with asyncio.timeout(WAIT_S):
            stream = self.provider.stream(self.request(prompt, **fields), self.model, Deadlines())
            return [event async for batch in stream for event in batch]

    async def ask(self, prompt: str, **fields: Any) -> ChatAnswer:
        answer = AnswerBuilder()
        for event in await self.events(prompt, **fields):
            answer.add(event)
        return answer.build()

    def request(self, prompt: str, **fields: Any) -> ChatRequest:
        turn = Message(role=Role.USER, content=(TextPart(prompt),))
        return ChatRequest(model=self.model.id, messages=(turn,), **fields)

    async def close(self) -> None:
        await self.provider.close()
        await self.transport.close()


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    local = Local(local_model.pulled())
    yield local
    asyncio.run(local.close())


@pytest.fixture(autouse=True)
async def closed_connections(local: Local) -> Any:
    local.transport.posting.clear()
    yield
    await local.transport.close()


@pytest.mark.proves("local.answers")
async def test_it_answers_with_a_function_and_counts_tokens(local: Local) -> None:
    answer = await local.ask("Create a Python hello world function")

    assert "def " in answer.text
    assert answer.finish_reason is FinishReason.STOP
    assert answer.usage is not None
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


@pytest.mark.proves("local.streams")
async def test_it_streams_the_same_answer_in_pieces(local: Local) -> None:
    whole = await local.ask("Say hello")
    events = await local.events("Say hello", stream=True)

    pieces = [event.text for event in events if isinstance(event, TextDelta)]
    assert len(pieces) > 1
    assert "".join(pieces) == whole.text
    assert any(isinstance(event, Finish) for event in events)


@pytest.mark.proves("local.greedy")
async def test_the_same_prompt_gives_the_same_answer(local: Local) -> None:
    wish = Sampling(max_tokens=30)
    first = await local.ask("Tell me about the sea", sampling=wish)
    second = await local.ask("Tell me about the sea", sampling=wish)

    assert first.text == second.text
    assert first.finish_reason is FinishReason.LENGTH


@pytest.mark.proves("local.json")
async def test_a_json_schema_is_enforced(local: Local) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "people": {"type": "integer"}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    wish = ResponseFormat(schema=msgspec.Raw(json.dumps(schema).encode()))

    answer = await local.ask("Name a city", response_format=wish, sampling=Sampling(max_tokens=60))

    found = json.loads(answer.text)
    assert isinstance(found.pop("city"), str)
    assert isinstance(found.pop("people"), int)
    assert found == {}


@pytest.mark.proves("local.bounded")
async def test_a_prompt_over_the_context_is_refused_as_too_long(local: Local) -> None:
    with pytest.raises(ProviderError) as caught:
        await local.ask("word " * 5000)

    assert caught.value.kind is ProviderErrorKind.TOO_LARGE
    assert caught.value.hint


async def test_two_requests_are_answered_at_the_same_time(local: Local) -> None:
    order: list[str] = []

    async def read(name: str) -> None:
        wish = Sampling(max_tokens=24)
        request = local.request(f"{PROMPT} {name}", sampling=wish, stream=True)
        async for _ in local.provider.stream(request, local.model, Deadlines()):
            order.append(name)  # noqa: PERF401 - who comes when is the point

    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(read("one"), read("two"))

    assert order != sorted(order)
    assert order != sorted(order, reverse=True)


@pytest.mark.proves("local.cancel")
async def test_cancelling_ends_the_generation_and_frees_the_slot(local: Local) -> None:
    """Two endless answers hold both slots; each time one is cancelled, others get its slot."""
    quick = Sampling(max_tokens=2)
    plain = asyncio.create_task(local.events(PROMPT, response_format=ENDLESS))
    await local.transport.posting.wait()
    request = local.request(PROMPT, response_format=ENDLESS, stream=True)
    stream = local.provider.stream(request, local.model, Deadlines())
    await anext(stream)

    plain.cancel()
    with pytest.raises(asyncio.CancelledError):
        await plain
    async with asyncio.timeout(CANCELLED_WITHIN_S):
        await local.ask("hi", sampling=quick)  # beside the stream, which still holds its slot

    await stream.aclose()
    async with asyncio.timeout(CANCELLED_WITHIN_S):
        await asyncio.gather(*(local.ask("hi", sampling=quick) for _ in range(2)))
