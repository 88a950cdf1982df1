"""`POST /api/generate`: one prompt, decoded to the same request as a chat of one turn."""

from __future__ import annotations

import msgspec

from ymera.core.chat import ChatRequest, Message, Part, Role, TextPart
from ymera.wire.ollama.images import image_from
from ymera.wire.ollama.request import Common, refuse_unsupported, request_of
from ymera.wire.ollama.shape import decode_body
from ymera.wire.problems import invalid

__all__ = ["decode_generate"]

_REFUSED = {
    "raw": "a prompt that bypasses the model's template",
    "template": "another prompt template",
    "suffix": "filling in before a suffix",
    "context": "going on from token numbers",
    "logprobs": "token probabilities",
    "top_logprobs": "token probabilities",
    "width": "making images",
    "height": "making images",
    "steps": "making images",
    "_debug_render_only": "showing the prompt instead of answering it",
}


class _Request(Common, kw_only=True):
    prompt: str | None = None
    system: str | None = None
    images: list[str] | None = None


_request = msgspec.json.Decoder(_Request)
_NOT_OF_CHAT = frozenset({"prompt", "system", "images", *_REFUSED})


def decode_generate(body: bytes) -> ChatRequest:
    """Return the request that a caller of `/api/generate` sent.

    Its `verbatim` fields are those of the same request to `/api/chat`, which is how upstreams are
    asked.

    Raises:
        InvalidRequest, Unsupported: as `decode_request`; `param` names the field.
    """
    wire, fields = decode_body(_request, body)
    refuse_unsupported(fields, _REFUSED)
    if not wire.prompt and not wire.images:
        raise invalid("prompt", "is empty.", "Send a prompt; models are loaded when asked.")
    parts: list[Part] = [
        image_from(image, f"images[{at}]") for at, image in enumerate(wire.images or ())
    ]
    turn: dict[str, object] = {"role": "user", "content": wire.prompt or ""}
    if wire.images:
        turn["images"] = wire.images
    if wire.prompt:
        parts.append(TextPart(wire.prompt))
    messages = [Message(role=Role.USER, content=tuple(parts))]
    written = [turn]
    if wire.system:
        messages.insert(0, Message(role=Role.SYSTEM, content=(TextPart(wire.system),)))
        written.insert(0, {"role": "system", "content": wire.system})
    chat = {name: raw for name, raw in fields.items() if name not in _NOT_OF_CHAT}
    chat["messages"] = msgspec.Raw(msgspec.json.encode(written))
    return request_of(wire, chat, tuple(messages))
