"""Which dialect is spoken on a path, so that errors are told in it, also where no route is hot."""

from __future__ import annotations

from collections.abc import Container

from ymera.wire import anthropic, ollama, openai_chat
from ymera.wire.codec import CallerDialect

__all__ = ["MESSAGES_PATHS", "OLLAMA_PATHS", "spoken_in", "spoken_on"]

MESSAGES_PATHS = frozenset({"/v1/messages", "/v1/messages/count_tokens"})
OLLAMA_PATHS = frozenset(
    f"/api/{name}"
    for name in (
        *("chat", "generate", "embed", "embeddings", "tags", "show", "ps", "version"),
        *("pull", "push", "create", "copy", "delete"),
    )
)

_BY_PATH = {
    **dict.fromkeys(OLLAMA_PATHS, ollama.CALLER),
    **dict.fromkeys(MESSAGES_PATHS, anthropic.CALLER),
}


_MODELS = "/v1/models"
_VERSION = b"anthropic-version"


def spoken_in(path: str, header_names: Container[bytes]) -> CallerDialect:
    """Return the dialect of a request; lists of models are told in the one that asks for them."""
    if (path == _MODELS or path.startswith(f"{_MODELS}/")) and _VERSION in header_names:
        return anthropic.CALLER
    if path.startswith("/v1/messages/"):
        return anthropic.CALLER
    return spoken_on(path)


def spoken_on(path: str) -> CallerDialect:
    """Return the dialect of a path; OpenAI's where none is known."""
    return _BY_PATH.get(path, openai_chat.CALLER)
