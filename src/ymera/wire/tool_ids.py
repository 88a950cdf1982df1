"""Ids of tool calls: rewritten where a dialect refuses them, made where two calls would share one.

Vendors accept different ids: a conversation that moves from one to another carries ids of the
first. A new id is made from the old one alone, so it is the same in every request of the
conversation, which prompt caches need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from ymera.core.answer import ChatEvent, ToolCallDelta
from ymera.core.chat import Message

__all__ = ["FreshIds", "ToolIds"]


class ToolIds:
    """Gives the id to send for each id of one request; the same id always gets the same.

    Args:
        accepted: what the dialect takes, matched whole.
        prefix: what new ids begin with.
        length: characters of new ids, the prefix among them; prefix and hexadecimal digits have
            to match `accepted`.
    """

    def __init__(
        self, accepted: re.Pattern[str], *, prefix: str = "call_", length: int = 29
    ) -> None:
        self._accepted = accepted
        self._prefix = prefix
        self._digits = length - len(prefix)
        self._new: dict[str, str] = {}

    @property
    def rewritten(self) -> int:
        """How many different ids were changed so far."""
        return len(self._new)

    def __call__(self, id: str) -> str:
        """Return the id to send for `id`."""
        if self._accepted.fullmatch(id):
            return id
        if id not in self._new:
            self._new[id] = self._prefix + _digest(id)[: self._digits]
        return self._new[id]

    def losses(self) -> tuple[str, ...]:
        """Return the sentence that says how many ids were changed; empty for none."""
        if not self._new:
            return ()
        return (f"Ids of {self.rewritten} tool calls were rewritten.",)


def _digest(id: str) -> str:
    return blake2b(id.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


_SHOWN_DIGITS = 24
"""Of the digest, at the end of an id that a caller was shown in the place of one it cannot take."""


class FreshIds:
    """Gives each call of an answer an id that no other call of the conversation has.

    Some hosts count their calls from 0 in each answer, some give them no id at all. Vendors that
    the conversation may move to refuse a history in which two calls share one.

    Args:
        messages: of the request.
    """

    def __init__(self, messages: Iterable[Message]) -> None:
        self._taken: set[str] = set()
        self._turn = 0
        for message in messages:
            self._turn += 1
            self._taken.update(call.id for call in message.tool_calls)
        self._shown = {id[-_SHOWN_DIGITS:] for id in self._taken}
        self._begun: set[int] = set()

    def __call__(self, events: list[ChatEvent]) -> list[ChatEvent]:
        """Return the next events of the answer."""
        return [self._named(each) if isinstance(each, ToolCallDelta) else each for each in events]

    def _named(self, piece: ToolCallDelta) -> ToolCallDelta:
        if piece.index in self._begun:
            return piece
        self._begun.add(piece.index)
        id = piece.id
        if not id or self._is_taken(id):
            made = f"{id} {self._turn} {piece.index}".encode("utf-8", "surrogatepass")
            id = f"call_{blake2b(made, digest_size=12).hexdigest()}"
        self._taken.add(id)
        self._shown.add(id[-_SHOWN_DIGITS:])
        return piece if id == piece.id else msgspec.structs.replace(piece, id=id)

    def _is_taken(self, id: str) -> bool:
        """Whether a call of the conversation has this id, or the one made of it for its caller."""
        return id in self._taken or _digest(id)[:_SHOWN_DIGITS] in self._shown
