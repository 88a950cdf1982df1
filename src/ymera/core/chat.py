"""A chat request, the events of its answer, and the answer they add up to.

Every dialect decodes to and encodes from these types. A plain (not streamed) upstream answer is
decoded to the same events as a streamed one, so that one reducer (`AnswerBuilder`) counts usage
and joins tool calls for both.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.task import TaskComplexity, TaskType
from ymera.core.tool import ContextUse, ToolUse
from ymera.core.usage import Usage

__all__ = [
    "AnswerBuilder",
    "ChatAnswer",
    "ChatEvent",
    "ChatRequest",
    "Finish",
    "FinishReason",
    "ImagePart",
    "Message",
    "Part",
    "ReasoningDelta",
    "RequestHints",
    "ResponseFormat",
    "Role",
    "Sampling",
    "TextDelta",
    "TextPart",
    "ToolCall",
    "ToolCallDelta",
    "ToolSpec",
    "UsageReport",
    "prompt_text",
]


class Role(StrEnum):
    """Who speaks; `developer` of newer dialects decodes to `system`."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """A piece of text."""

    text: str


class ImagePart(msgspec.Struct, frozen=True, tag="image", kw_only=True):
    """An image by URL (http, https or data:)."""

    url: str
    detail: str | None = None


Part = TextPart | ImagePart


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call the model asks for; `arguments` is JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. `tool_call_id` is set on role tool, `tool_calls` on role assistant."""

    role: Role
    content: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """All text parts joined."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool the model may call; `parameters` is a JSON Schema, kept as encoded JSON."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Structured output: any JSON object, or JSON that fits `schema` (encoded JSON Schema)."""

    schema: msgspec.Raw | None = None
    name: str = "answer"
    strict: bool | None = None


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How to draw tokens; None leaves the upstream's default (greedy for embedded models).

    Attributes:
        temperature: 0..2.
        top_p: 0..1.
        max_tokens: upper bound on generated tokens, at least 1.
        stop: up to four strings that end the answer.
        seed: any integer.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None


class RequestHints(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller says about the task instead of leaving it to be inferred.

    Attributes:
        task_type: public task type.
        complexity: simple, medium or complex.
        prefer_free: prefer models that cost nothing; False never allows spending by itself.
        private: only local models and hosts known not to train on free traffic.
        no_store: keep no prompt or answer text, whatever the configuration says.
        fresh: do not answer from the cache (a retry, a phase of a run).
        agent: name of the agent this call belongs to.
        use_tools: names or patterns of our tools to answer with (`*` for all); empty for none.
        run_id, phase: the run and the phase of it that this call belongs to.
        tools, context: what was used to put this request together; for its record.
        avoid_models: ids of models to ask last, each with why, as what follows "it"
            ("failed its checks"); a wish, not a requirement.
        max_cost_usd: most that this request may be estimated to cost; None leaves it to the
            configuration, whose bound it can lower but not raise.
    """

    task_type: TaskType | None = None
    complexity: TaskComplexity | None = None
    prefer_free: bool = True
    private: bool = False
    no_store: bool = False
    fresh: bool = False
    agent: str | None = None
    use_tools: tuple[str, ...] = ()
    run_id: str | None = None
    phase: str | None = None
    tools: tuple[ToolUse, ...] = ()
    context: tuple[ContextUse, ...] = ()
    avoid_models: dict[str, str] = {}
    max_cost_usd: Decimal | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One chat request in no vendor's dialect.

    Attributes:
        model: catalogue id, alias or agent name as the caller wrote it.
        messages: at least one.
        tools: tools offered to the model.
        tool_choice: auto, none, required, or the name of one tool.
        response_format: structured output; None for free text.
        sampling: how to draw tokens.
        stream: whether the caller reads the answer as it is written.
        include_usage: whether a streaming caller asked for a closing usage report.
        hints: task type and the like.
        extra: fields this version does not know, by name, kept as encoded JSON and passed
            through to upstreams of the same dialect.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | None = None
    response_format: ResponseFormat | None = None
    sampling: Sampling = Sampling()
    stream: bool = False
    include_usage: bool = False
    hints: RequestHints = RequestHints()
    extra: dict[str, msgspec.Raw] = {}


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class _Event(msgspec.Struct, frozen=True):
    """What all events share: `str(event)` is what it adds to the answer's text."""

    def __str__(self) -> str:
        return ""


class TextDelta(_Event, frozen=True):
    """Next piece of the answer's text."""

    text: str

    def __str__(self) -> str:
        return self.text


class ReasoningDelta(_Event, frozen=True):
    """Next piece of the model's visible reasoning."""

    text: str


class ToolCallDelta(_Event, frozen=True, kw_only=True):
    """Next piece of a tool call; pieces of one call share `index`. `id` and `name` come once."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class UsageReport(_Event, frozen=True):
    """Token counts so far; a later report replaces an earlier one."""

    usage: Usage


class Finish(_Event, frozen=True):
    """The model stopped. Usage may still follow; an answer without this event is broken."""

    reason: FinishReason


ChatEvent = TextDelta | ReasoningDelta | ToolCallDelta | UsageReport | Finish


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. `usage` is None when the upstream reported none."""

    text: str
    finish_reason: FinishReason
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None


class AnswerBuilder:
    """Adds up events to an answer; the only usage reducer, streamed or not.

    Args:
        keep_text: False counts characters and usage but keeps no text (for relays).
    """

    def __init__(self, *, keep_text: bool = True) -> None:
        self.keep_text = keep_text
        self.text_chars = 0
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, list[ToolCallDelta]] = {}
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None

    def add(self, event: ChatEvent) -> None:
        """Take in the next event."""
        match event:
            case TextDelta():
                self.text_chars += len(event.text)
                if self.keep_text:
                    self._text.append(event.text)
            case ReasoningDelta():
                if self.keep_text:
                    self._reasoning.append(event.text)
            case ToolCallDelta():
                pieces = self._calls.setdefault(event.index, [])
                if self.keep_text:
                    pieces.append(event)
            case UsageReport():
                self.usage = event.usage
            case Finish():
                self.finish_reason = event.reason

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(self._text)

    @property
    def is_empty(self) -> bool:
        """True while there is neither text nor a tool call."""
        return self.text_chars == 0 and not self._calls

    def require_finish(self) -> FinishReason:
        """Return why the model stopped.

        Raises:
            ProviderError: no `Finish` event came: the answer was cut.
        """
        if self.finish_reason is None:
            raise ProviderError(
                "The model's answer was cut before it was complete.",
                kind=ProviderErrorKind.TRANSIENT,
            )
        return self.finish_reason

    def build(self) -> ChatAnswer:
        """Return the answer.

        Raises:
            ProviderError: no `Finish` event came: the answer was cut.
        """
        return ChatAnswer(
            text=self.text,
            finish_reason=self.require_finish(),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(_join(index, self._calls[index]) for index in sorted(self._calls)),
            usage=self.usage,
        )


def _join(index: int, pieces: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        id=next((piece.id for piece in pieces if piece.id), f"call_{index}"),
        name=next((piece.name for piece in pieces if piece.name), ""),
        arguments="".join(piece.arguments for piece in pieces),
    )


def prompt_text(request: ChatRequest) -> str:
    """Return the text of the last user turn: what classification looks at."""
    for message in reversed(request.messages):
        if message.role is Role.USER:
            return message.text
    return request.messages[-1].text if request.messages else ""
