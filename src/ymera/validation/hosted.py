"""A double of a hosted model: says what fits the request, at the speed its host publishes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import cache

from ymera.catalog.load import load as load_catalog
from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    FinishReason,
)
from ymera.core.chat import ChatRequest
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Model
from ymera.core.ports import Deadlines
from ymera.core.task import TaskType
from ymera.core.usage import Usage
from ymera.testing.scripted import events_of

__all__ = [
    "FIRST_TOKEN_S",
    "HOST",
    "HostedDouble",
    "example_of",
    "hosted_only",
    "tokens_per_second",
]

HOST = "groq"
"""The host whose speeds the catalogue knows; its double is asked, never the host."""

FIRST_TOKEN_S = 0.5
"""Seconds to the first token. No host of the catalogue publishes one: an assumption."""

_CHARS_PER_TOKEN = 4
_NONCE = re.compile(r"\[[0-9a-f]{12}\]")
_TEXT = "The service keeps books and answers requests about them. " * 12
_CODE = (
    "```python\n"
    "from __future__ import annotations\n\n\n"
    "class Books:\n"
    '    """Keeps books by number."""\n\n'
    "    def __init__(self) -> None:\n"
    "        self._books: dict[int, str] = {}\n\n"
    + "".join(
        f"    def {verb}_{noun}(self, number: int, title: str = '') -> str | None:\n"
        f'        """Return the {noun} after the {verb}."""\n'
        f"        self._books[number] = title\n"
        f"        return self._books.get(number)\n\n"
        for verb in ("create", "read", "update", "delete")
        for noun in ("book", "author", "loan")
    )
    + "```"
)


class HostedDouble:
    """Implements `ChatProvider` in process; nothing leaves this machine.

    It waits `FIRST_TOKEN_S`, then writes `tokens_per_second`, and keeps to the deadlines it is
    given, as a real call would.

    Args:
        fails: told the number of each call from 1; whether that call fails as a busy host's does.
        sleep: waits; a test's own clock.

    Attributes:
        calls: how many there were.
    """

    def __init__(
        self,
        *,
        fails: Callable[[int], bool] = lambda _: False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._fails = fails
        self._sleep = sleep
        self.calls = 0

    async def stream(
        self, request: ChatRequest, model: Model, deadlines: Deadlines
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """Yield the answer; see `ymera.core.ports.ChatProvider.stream`."""
        self.calls += 1
        if self._fails(self.calls):
            raise ProviderError(
                f"{model.id} is busy.", kind=ProviderErrorKind.UPSTREAM_BUSY, status=503
            )
        answer = _answer(request)
        tokens = answer.usage.output_tokens if answer.usage else 0
        needed_s = FIRST_TOKEN_S + tokens / tokens_per_second(model)
        limit_s = deadlines.total_s or deadlines.idle_s
        if limit_s is not None and needed_s > limit_s:
            await self._sleep(limit_s)
            raise ProviderError(
                f"{model.id} did not answer within {limit_s:g} seconds.",
                kind=ProviderErrorKind.TRANSIENT,
            )
        await self._sleep(needed_s)
        for event in events_of(answer, streamed=request.stream):
            yield (event,)

    async def close(self) -> None:
        """Hold nothing."""


def tokens_per_second(model: Model) -> float:
    """Return the speed the catalogue has for a model of `HOST`.

    Of a model without a published speed it is the slowest that its host publishes for another.
    """
    return model.speed_tps or _slowest_published()


@cache
def _slowest_published() -> float:
    models = load_catalog().models
    return min(each.speed_tps for each in models if each.provider == HOST and each.speed_tps)


def hosted_only() -> tuple[dict[str, str], dict[str, object]]:
    """Return the keys to pretend and the flags under which `HOST` alone can be asked."""
    return (
        {"GROQ_API_KEY": "scripted"},
        {"local.enabled": False, f"providers.{HOST}.enabled": True},
    )


def _answer(request: ChatRequest) -> ChatAnswer:
    prompt = "\n".join(message.text for message in request.messages)
    form = request.response_format
    nonce = _NONCE.search(prompt)
    if form is not None:
        text = json.dumps(example_of(json.loads(bytes(form.schema)) if form.schema else {}))
    elif nonce is not None:
        text = f"You asked about {nonce[0]}."
    elif request.hints.task_type is TaskType.CODE_GENERATION:
        text = _CODE
    else:
        text = _TEXT
    usage = Usage(
        input_tokens=max(1, len(prompt) // _CHARS_PER_TOKEN),
        output_tokens=max(1, len(text) // _CHARS_PER_TOKEN),
    )
    return ChatAnswer(text=text, finish_reason=FinishReason.STOP, usage=usage)


def example_of(schema: object) -> object:
    """Return a small value that fits a JSON Schema of the plain kind (types, enums, objects)."""
    if not isinstance(schema, dict):
        return "text"
    if "const" in schema:
        return schema["const"]
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    for union in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(union), list) and options:
            return example_of(options[0])
    kind = schema.get("type", "object")
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "object":
            properties = schema.get("properties", {})
            return {name: example_of(below) for name, below in properties.items()}
        case "array":
            return [example_of(schema.get("items", {"type": "string"}))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "Keep books by number and answer requests about them."
