"""What hosts refuse of a request: the other side of the catalogue's flags."""

from __future__ import annotations

import msgspec

from ymera.core.model import Dialect, Quirk
from ymera.testing.faults import Refusal

__all__ = ["refusal_of"]

_REFUSED: dict[Quirk, tuple[str, ...]] = {
    Quirk.NO_SAMPLING: ("temperature", "top_p", "top_k"),
    Quirk.NO_SEED: ("seed",),
    Quirk.NO_TOOL_CHOICE: ("tool_choice",),
    Quirk.NO_PARALLEL_TOOL_CALLS: ("parallel_tool_calls",),
    Quirk.NO_SIDE_FIELDS: ("n", "logit_bias", "logprobs", "user"),
    Quirk.NO_STREAM_OPTIONS: ("stream_options",),
    Quirk.MAX_COMPLETION_TOKENS: ("max_tokens",),
}
_SAMPLING = frozenset({"temperature", "topP", "topK", "top_p", "top_k"})


class _Message(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b"null")


class _Body(msgspec.Struct):
    messages: list[_Message] = []


class _Gemini(msgspec.Struct, rename="camel"):
    generation_config: dict[str, msgspec.Raw] = {}


def refusal_of(body: bytes, dialect: Dialect, flags: frozenset[Quirk]) -> Refusal | None:
    """Return why a host with these flags refuses a request; None when it takes it.

    Args:
        body: JSON, known to be a request of the dialect.
        dialect: in which it was asked.
        flags: the host's and the model's.
    """
    if dialect is Dialect.GEMINI:
        config = msgspec.json.decode(body, type=_Gemini).generation_config
        named = sorted(_SAMPLING & config.keys()) if Quirk.NO_SAMPLING in flags else []
        return _no(named[0]) if named else None
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if dialect is Dialect.ANTHROPIC:
        named = sorted(_SAMPLING & fields.keys()) if Quirk.NO_SAMPLING in flags else []
        return _no(named[0]) if named else None
    if dialect is not Dialect.OPENAI_CHAT:
        return None
    for flag in sorted(flags & _REFUSED.keys()):
        for name in _REFUSED[flag]:
            if name in fields and bytes(fields[name]) != b"null":
                return _no(name)
    if Quirk.CONTENT_AS_TEXT in flags and _has_odd_content(body):
        return Refusal(status=400, message="messages.content must be a string")
    return None


def _no(name: str) -> Refusal:
    return Refusal(status=400, message=f"'{name}' is not supported with this model.")


def _has_odd_content(body: bytes) -> bool:
    messages = msgspec.json.decode(body, type=_Body).messages
    return any(not bytes(message.content).lstrip().startswith(b'"') for message in messages)
