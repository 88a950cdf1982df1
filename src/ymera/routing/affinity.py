"""Staying with a conversation's model: whose conversation it is, and what staying is worth.

A switch has a price. The next model reads the whole conversation without the last one's prompt
cache, reasoning it cannot read is lost, and the answers change their manner. So the model that
answered last gets a bonus in the score, never more: a model that is clearly better for this turn
still wins, and one that cannot be asked is no candidate, bonus or not.
"""

from __future__ import annotations

from hashlib import blake2b

from ymera.core.access import Principal
from ymera.core.chat import ChatRequest, ImagePart, Message, Role, TextPart
from ymera.core.model import Model
from ymera.core.task import TaskProfile

__all__ = ["SWITCH_PRICE", "conversation_key", "goes_on", "outgrown_price", "staying_bonus"]

SWITCH_PRICE = 0.4
"""What a switch costs in a long conversation, in points of the score: twice what experience can
speak for a model (+0.1) and against another (-0.1). Measured: with 0.2, conversations leave a model
whose minute is full and come back a turn later; with 0.4 they stay where they went. Half of it is
the price of any switch, the rest of reading the conversation again."""

_HALF_PRICE_TOKENS = 2_000
_TURNS_A_MINUTE = 2
"""At least: tools answer within seconds, and each turn sends the whole conversation again."""
_KEY_BYTES = 16


def conversation_key(principal: Principal, request: ChatRequest) -> bytes | None:
    """Return what the turns of one conversation share, and no other caller's; None: no user turn.

    It is a hash over the caller and how the conversation began: the system text and the first user
    message, which every later turn repeats.
    """
    system: list[str] = []
    first: Message | None = None
    for message in request.messages:
        if message.role is Role.SYSTEM:
            system.append(message.text)
        elif first is None and message.role is Role.USER:
            first = message
    if first is None:
        return None
    parts = (principal.kind, principal.id, "".join(system), *_said(first.content))
    # The lengths come first, so that no two lists of parts look the same.
    whole = "".join([*map("{} ".format, map(len, parts)), "|", *parts])
    return blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


def goes_on(request: ChatRequest) -> bool:
    """Return whether some model has answered in this conversation: else nothing is to stay with."""
    for message in request.messages:  # noqa: SIM110 - any() would make a generator, every time
        if message.role is Role.ASSISTANT:
            return True
    return False


def staying_bonus(profile: TaskProfile) -> float:
    """Return what staying adds to the score: from half of `SWITCH_PRICE`, rising with the length.

    Args:
        profile: of the request, whose prompt is the conversation so far.
    """
    tokens = profile.est_input_tokens
    return SWITCH_PRICE * (0.5 + 0.5 * tokens / (tokens + _HALF_PRICE_TOKENS))


def outgrown_price(model: Model, profile: TaskProfile) -> float:
    """Return what it costs that a conversation with tools will have to leave a model soon.

    That is the price of a switch where the model's tokens a minute do not hold two turns of this
    size: the next ones come at once and are larger. 0 for models that hold them, or whose
    limit is not published.

    Args:
        model: another than the one that answered last, which costs no switch.
        profile: of the request, whose prompt is the conversation so far.
    """
    limit = model.free.limits.tpm
    if limit is None or not profile.needs.tools:
        return 0.0
    minute = _TURNS_A_MINUTE * (profile.est_input_tokens + profile.est_output_tokens)
    return staying_bonus(profile) if minute > limit else 0.0


def _said(content: tuple[object, ...]) -> list[str]:
    said: list[str] = []
    for part in content:
        match part:
            case TextPart(text=text):
                said.append(text)
            case ImagePart(url=url):
                said.append(url)
    return said
