"""A chat request in no vendor's dialect, and how the caller wrote it.

Every dialect decodes to and encodes from these types; what comes back is in `ymera.core.answer`.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from operator import attrgetter, is_

import msgspec

from ymera.core.model import Dialect
from ymera.core.task import TaskComplexity, TaskType
from ymera.core.tool import ContextUse, ToolUse

__all__ = [
    "ChatRequest",
    "ImagePart",
    "Message",
    "Part",
    "ReasoningPart",
    "RequestHints",
    "ResponseFormat",
    "Role",
    "Sampling",
    "TextPart",
    "ToolCall",
    "ToolSpec",
    "Verbatim",
    "prompt_text",
    "verbatim_for",
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


class ReasoningPart(msgspec.Struct, frozen=True, tag="reasoning", kw_only=True):
    """Reasoning of an earlier answer, sent back by the caller.

    Attributes:
        text: as far as it is visible; empty where the vendor hides it.
        signature: what proves it to the vendor that wrote it; None without one.
        dialect: of the signature; another dialect's upstream cannot read it.
        signer: who made it (see `ymera.wire.signatures`); None: the vendor of that dialect.
        redacted: whether the signature stands for reasoning nobody may read.
    """

    text: str = ""
    signature: str | None = None
    dialect: Dialect | None = None
    signer: str | None = None
    redacted: bool = False


Part = TextPart | ImagePart | ReasoningPart


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call the model asks for; `arguments` is JSON text exactly as the model wrote it.

    `signature` is what Gemini wants back with the call (its thought signature); `signer` is as in
    `ReasoningPart`.
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None
    signer: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. `tool_call_id` is set on role tool, `tool_calls` on role assistant.

    On role tool `name` is the called tool's, where the caller's dialect says it, and `is_error`
    whether the call failed.
    """

    role: Role
    content: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    is_error: bool = False

    @property
    def text(self) -> str:
        """All text parts joined."""
        if len(self.content) == 1 and type(only := self.content[0]) is TextPart:
            return only.text
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool the model may call; `parameters` is a JSON Schema, kept as encoded JSON."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Structured output: any JSON object, or JSON that fits `schema` (encoded JSON Schema).

    `checked` False is for our own steps that read an answer themselves and can do with a misfit:
    otherwise an answer that does not fit never leaves, and another model is asked.
    """

    schema: msgspec.Raw | None = None
    name: str = "answer"
    strict: bool | None = None
    checked: bool = True


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How to draw tokens; None leaves the upstream's default (greedy for embedded models).

    Attributes:
        temperature: 0..2.
        top_p: 0..1.
        max_tokens: upper bound on generated tokens, at least 1.
        top_k: draw from so many tokens at most, at least 1.
        stop: up to four strings that end the answer.
        seed: any integer.
        reasoning_effort: the caller's word: none, minimal, low, medium, high, xhigh or max.
        reasoning_tokens: most tokens to think with, where the caller's dialect counts them.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning_effort: str | None = None
    reasoning_tokens: int | None = None


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


class Verbatim(msgspec.Struct, frozen=True, kw_only=True):
    """The body a caller sent, so that an upstream of the same dialect gets it as it was written.

    Attributes:
        dialect: the caller's.
        fields: the body's top-level fields, encoded as they came.
        decoded: what they were decoded to; see `verbatim_for`.
    """

    dialect: Dialect
    fields: dict[str, msgspec.Raw]
    decoded: ChatRequest


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
        parallel_tools: whether several tools may be called at once; None leaves it open.
        verbatim: the body as it came; None where the request was made here.
        losses: what the caller wrote that has no effect here, one sentence each, for the record.
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
    parallel_tools: bool | None = None
    verbatim: Verbatim | None = None
    losses: tuple[str, ...] = ()


_carried_verbatim = attrgetter(
    "messages",
    "tools",
    "tool_choice",
    "response_format",
    "sampling",
    "extra",
    "parallel_tools",
)


def verbatim_for(request: ChatRequest, dialect: Dialect) -> dict[str, msgspec.Raw] | None:
    """Return the caller's own fields when an upstream of `dialect` may be sent them, else None.

    They may be sent only while what they were decoded to is the very same: a guard that redacted a
    message, or a phase that bounded the answer, made another request of it.
    """
    verbatim = request.verbatim
    if verbatim is None or verbatim.dialect is not dialect:
        return None
    decoded = verbatim.decoded
    same = all(map(is_, _carried_verbatim(request), _carried_verbatim(decoded)))
    return verbatim.fields if same else None


def prompt_text(request: ChatRequest) -> str:
    """Return the text of the last user turn: what classification looks at."""
    for message in reversed(request.messages):
        if message.role is Role.USER:
            return message.text
    return request.messages[-1].text if request.messages else ""
