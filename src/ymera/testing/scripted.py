"""A provider that says what it is told to, in process."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec

from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.chat import ChatRequest, ResponseFormat, prompt_text
from ymera.core.errors import ProviderError
from ymera.core.model import Model, Provider
from ymera.core.ports import Deadlines
from ymera.core.usage import Usage

__all__ = ["ScriptedAnswer", "ScriptedProvider", "events_of", "useful_echo"]

_PIECE = re.compile(r"\s*\S+|\s+$")


class ScriptedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One scripted turn with a fault in it.

    Attributes:
        answer: what is said.
        error: raised instead of the rest; None for a whole answer.
        deltas_before_error: events that still come first; 0 fails before anything is said.
    """

    answer: ChatAnswer
    error: ProviderError | None = None
    deltas_before_error: int = 0


Reply = str | ChatAnswer | ScriptedAnswer | ProviderError | Sequence[ChatEvent]
"""What one request is answered with: text, a whole answer, an answer that breaks, a failure, or
the very events."""

Script = Callable[[ChatRequest, Model], Reply]


_MOST_KEPT = 10_000


class ScriptedProvider:
    """Answers from a script and remembers what it was asked; implements `ChatProvider`.

    Args:
        provider: the row it stands for; only entry points need it.
        answers: what to say. A function of the request and model; or replies used up in order; or
            such replies by catalogue model id. Without any, or once used up: `useful_echo`.
        delay: awaited before each event, with its number from 0: a test's own clock or gate.

    Attributes:
        requests: every request, in order; of thousands the last ones.
        models: the model of each.
        closed: `close` was called.
    """

    def __init__(
        self,
        provider: Provider | None = None,
        *,
        answers: Script | Iterable[Reply] | Mapping[str, Iterable[Reply]] = (),
        delay: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self.provider = provider
        self._script = answers if callable(answers) else None
        self._by_model: dict[str, deque[Reply]] = {}
        self._queue: deque[Reply] = deque()
        if isinstance(answers, Mapping):
            self._by_model = {model: deque(replies) for model, replies in answers.items()}
        elif not callable(answers):
            self._queue = deque(answers)
        self._delay = delay
        self.requests: list[ChatRequest] = []
        self.models: list[Model] = []
        self.closed = False

    async def stream(
        self, request: ChatRequest, model: Model, deadlines: Deadlines
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """Yield the scripted events; see `ymera.core.ports.ChatProvider.stream`."""
        del deadlines
        self._remember(request, model)
        reply = self._next(request, model)
        if isinstance(reply, ProviderError):
            raise reply
        events, error = _performance(reply, streamed=request.stream, request=request)
        for number, event in enumerate(events):
            if self._delay is not None:
                await self._delay(number)
            yield (event,)
        if error is not None:
            raise error

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _remember(self, request: ChatRequest, model: Model) -> None:
        self.requests.append(request)
        self.models.append(model)
        if len(self.requests) > _MOST_KEPT:  # it may serve under load for hours
            del self.requests[: _MOST_KEPT // 2], self.models[: _MOST_KEPT // 2]

    def _next(self, request: ChatRequest, model: Model) -> Reply:
        if self._script is not None:
            return self._script(request, model)
        queue = self._by_model.get(model.id) or self._queue
        return queue.popleft() if queue else useful_echo(request)


def _performance(
    reply: str | ChatAnswer | ScriptedAnswer | Sequence[ChatEvent],
    *,
    streamed: bool,
    request: ChatRequest,
) -> tuple[list[ChatEvent], ProviderError | None]:
    match reply:
        case str():
            answer = ChatAnswer(
                text=reply, finish_reason=FinishReason.STOP, usage=_usage(request, reply)
            )
            return events_of(answer, streamed=streamed), None
        case ChatAnswer():
            return events_of(reply, streamed=streamed), None
        case ScriptedAnswer(error=None):
            return events_of(reply.answer, streamed=streamed), None
        case ScriptedAnswer():
            events = events_of(reply.answer, streamed=streamed)
            return events[: reply.deltas_before_error], reply.error
        case _:
            return list(reply), None


def events_of(answer: ChatAnswer, *, streamed: bool) -> list[ChatEvent]:
    """Return the events that add up to `answer`: word by word when streamed."""
    split = _PIECE.findall if streamed else _whole
    events: list[ChatEvent] = [ReasoningDelta(piece) for piece in split(answer.reasoning)]
    if (signature := answer.reasoning_signature) is not None:
        events.append(
            ReasoningDelta("", signature, answer.reasoning_redacted, answer.reasoning_dialect)
        )
    events += [TextDelta(piece) for piece in split(answer.text)]
    for index, call in enumerate(answer.tool_calls):
        first, *rest = split(call.arguments) or [""]
        named = ToolCallDelta(
            index=index, id=call.id, name=call.name, arguments=first, signature=call.signature
        )
        events.append(named)
        events += [ToolCallDelta(index=index, arguments=piece) for piece in rest]
    events.append(Finish(answer.finish_reason))
    if answer.usage is not None:
        events.append(UsageReport(answer.usage))
    return events


def _whole(text: str) -> list[str]:
    return [text] if text else []


def useful_echo(request: ChatRequest) -> ChatAnswer:
    """Return the default answer: the same for the same request, and about what was asked.

    A request for code gets a function, one for JSON an object (one with a schema what fits it),
    anything else a sentence that repeats the prompt.
    """
    prompt = prompt_text(request).strip()
    if request.response_format is not None:
        text = msgspec.json.encode(_structured(request.response_format, prompt)).decode()
    elif re.search(r"\b(code|function|python)\b", prompt, re.IGNORECASE):
        text = "```python\ndef hello_world():\n    print('Hello, world!')\n```"
    else:
        text = f"You asked: {prompt}"
    return ChatAnswer(text=text, finish_reason=FinishReason.STOP, usage=_usage(request, text))


def _structured(wanted: ResponseFormat, prompt: str) -> object:
    """Return the prompt as an object where that fits, else what is made up to fit."""
    from ymera.testing.fitting import fitting_value
    from ymera.tools.schemas import value_problem

    echo = {"answer": prompt}
    if wanted.schema is None:
        return echo
    schema = bytes(wanted.schema)
    try:
        fits = value_problem(schema, echo) is None
    except ValueError:
        fits = True  # the schema is broken: anything will do
    return echo if fits else fitting_value(schema)


def _usage(request: ChatRequest, text: str) -> Usage:
    words = sum(len(message.text.split()) for message in request.messages)
    return Usage(input_tokens=max(words, 1), output_tokens=max(len(text.split()), 1))
