"""Staying with a conversation's model: whose conversation it is, and what staying is worth.

A switch has a price. The next model reads the whole conversation without the last one's prompt
cache, reasoning it cannot read is lost, and the answers change their manner. So the model that
answered last gets a bonus in the score, never more: a model that is clearly better for this turn
still wins, and one that cannot be asked is no candidate, bonus or not.
"""

from __future__ import annotations

from hashlib import blake2b

from ymera.core.access import Principal
from ymera.core.chat import ChatRequest, ImagePart, Role, TextPart
from ymera.core.task import TaskProfile

__all__ = ["SWITCH_PRICE", "conversation_key", "goes_on", "staying_bonus"]

SWITCH_PRICE = 0.2
"""What a switch costs in a long conversation, in points of the score: as much as a model's whole
experience can speak for it (+0.1) and against another (-0.1). Half of it is the price of any
switch, the rest of reading the conversation again."""

_HALF_PRICE_TOKENS = 2_000
_KEY_BYTES = 16


def conversation_key(principal: Principal, request: ChatRequest) -> bytes | None:
    """Return what the turns of one conversation share, and no other caller's; None: no user turn.

    It is a hash over the caller and how the conversation began: the system text and the first user
    message, which every later turn repeats.
    """
    first = next((one for one in request.messages if one.role is Role.USER), None)
    if first is None:
        return None
    system = "".join(one.text for one in request.messages if one.role is Role.SYSTEM)
    parts = (principal.kind, principal.id, system, *_said(first.content))
    # The lengths come first, so that no two lists of parts look the same.
    lengths = " ".join([str(len(part)) for part in parts])
    key = blake2b(f"{lengths}|".encode(), digest_size=_KEY_BYTES)
    for part in parts:
        key.update(part.encode("utf-8", "surrogatepass"))
    return key.digest()


def goes_on(request: ChatRequest) -> bool:
    """Return whether some model has answered in this conversation: else nothing is to stay with."""
    return any(one.role is Role.ASSISTANT for one in request.messages)


def staying_bonus(profile: TaskProfile) -> float:
    """Return what staying adds to the score: from half of `SWITCH_PRICE`, rising with the length.

    Args:
        profile: of the request, whose prompt is the conversation so far.
    """
    tokens = profile.est_input_tokens
    return SWITCH_PRICE * (0.5 + 0.5 * tokens / (tokens + _HALF_PRICE_TOKENS))


def _said(content: tuple[object, ...]) -> list[str]:
    said: list[str] = []
    for part in content:
        match part:
            case TextPart(text=text):
                said.append(text)
            case ImagePart(url=url):
                said.append(url)
    return said
