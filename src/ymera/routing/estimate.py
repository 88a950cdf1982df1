"""How many tokens a request will take, from its characters, before any tokenizer is known.

The rule errs on the safe side for prose and is close for code:

| characters | characters per token |
|---|---|
| ASCII | 3.6 |
| two UTF-8 bytes (accented Latin, Cyrillic, Greek, Hebrew, Arabic) | 2 |
| three bytes (Chinese, Japanese, Korean, Thai, ...) | 1.3 |
| four bytes (emoji) | 0.65 |

plus 6 tokens per message (role and separators), 1,000 per image and 20 per offered tool. Only
functions that run at C speed touch the text, so a prompt of megabytes costs milliseconds.
"""

from __future__ import annotations

import math

import msgspec

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    TextPart,
)
from ymera.core.task import TaskComplexity, TaskType

__all__ = ["default_output_tokens", "input_tokens", "text_tokens"]

_TOKENS_PER_MESSAGE = 6
_TOKENS_PER_IMAGE = 1_000
_TOKENS_PER_TOOL = 20

_OUTPUT_TOKENS = {
    TaskType.CHAT: 200,
    TaskType.QUESTION_ANSWERING: 300,
    TaskType.TRANSLATION: 300,
    TaskType.TOOL_USE: 300,
    TaskType.DATABASE_QUERY: 300,
    TaskType.SUMMARIZATION: 400,
    TaskType.VISION: 400,
    TaskType.TEXT_GENERATION: 700,
    TaskType.DATA_ANALYSIS: 800,
    TaskType.CODE_ANALYSIS: 1_000,
    TaskType.CODE_GENERATION: 1_000,
    TaskType.REASONING: 1_000,
    TaskType.DOCUMENTATION: 1_200,
    TaskType.RESEARCH: 1_500,
}
_COMPLEXITY_FACTOR = {
    TaskComplexity.SIMPLE: 0.5,
    TaskComplexity.MEDIUM: 1.0,
    TaskComplexity.COMPLEX: 2.0,
}


def text_tokens(text: str) -> int:
    """Return the estimated tokens of `text`, rounded up."""
    if text.isascii():
        return math.ceil(len(text) / 3.6)
    chars = len(text)
    ascii_chars = len(text.encode("ascii", "ignore"))
    other = chars - ascii_chars
    # Each character of n bytes adds n - 1 here; less one per character not ASCII, what remains
    # counts three-byte characters once and four-byte ones twice.
    wide = len(text.encode("utf-8", "surrogatepass")) - chars - other
    narrow = max(0, other - wide)
    return math.ceil(ascii_chars / 3.6 + narrow / 2 + wide / 1.3)


def input_tokens(request: ChatRequest) -> int:
    """Return the estimated prompt tokens of `request` with its tools and schema, at least 1."""
    total = 0
    for message in request.messages:
        total += _message_tokens(message)
    for tool in request.tools:
        total += _TOKENS_PER_TOOL + text_tokens(tool.description or "")
        total += _json_tokens(tool.parameters)
    if request.response_format is not None:
        total += _json_tokens(request.response_format.schema)
    return max(1, total)


def default_output_tokens(task_type: TaskType, complexity: TaskComplexity, prompt: int) -> int:
    """Return how long an answer to expect where the caller set no bound.

    Args:
        task_type: translations are about as long as their prompt.
        complexity: halves or doubles the usual length.
        prompt: estimated prompt tokens.
    """
    usual = round(_OUTPUT_TOKENS[task_type] * _COMPLEXITY_FACTOR[complexity])
    return max(usual, prompt) if task_type is TaskType.TRANSLATION else usual


def _message_tokens(message: Message) -> int:
    total = _TOKENS_PER_MESSAGE
    for part in message.content:
        if type(part) is TextPart:
            total += text_tokens(part.text)
        elif type(part) is ImagePart:
            total += _TOKENS_PER_IMAGE
    for call in message.tool_calls:
        total += _TOKENS_PER_TOOL + text_tokens(call.arguments)
    return total


def _json_tokens(raw: msgspec.Raw | None) -> int:
    """JSON takes about 3 bytes a token."""
    return 0 if raw is None else math.ceil(len(memoryview(raw)) / 3)
