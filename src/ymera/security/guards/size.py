"""Refuses prompts that are too large or empty, before anything looks at their text."""

from __future__ import annotations

from collections.abc import Callable

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    Role,
    TextPart,
)
from ymera.core.errors import InvalidRequest, TooLong

__all__ = ["SizeGuard"]


class SizeGuard:
    """Bounds the text of a request (an `InputGuard`).

    Args:
        max_input_length: characters allowed in all text parts together
            (`security.max_input_length`).
    """

    def __init__(self, max_input_length: int) -> None:
        self._max_chars = max_input_length

    def check(self, request: ChatRequest, report: Callable[[str], None]) -> ChatRequest:
        """Return the request unchanged.

        Raises:
            TooLong: its text parts hold more characters than allowed.
            InvalidRequest: its last message says nothing at all.
        """
        chars = 0
        for message in request.messages:
            for part in message.content:
                if type(part) is TextPart:
                    chars += len(part.text)
        if chars > self._max_chars:
            raise TooLong(
                f"The prompt has {chars:,} characters; the limit is {self._max_chars:,}.",
                hint="Shorten it, or raise security.max_input_length.",
                param="messages",
            )
        if not request.messages or _says_nothing(request.messages[-1]):
            raise InvalidRequest(
                "The prompt is empty.",
                hint="Write the question as an argument, on standard input, or in the last"
                " message.",
                param="messages",
            )
        return request


def _says_nothing(message: Message) -> bool:
    if message.role is Role.TOOL:
        return False  # a tool may well return nothing
    for part in message.content:
        if isinstance(part, ImagePart) or not (part.text == "" or part.text.isspace()):
            return False
    return True
