"""Tool-call ids that a dialect refuses, rewritten so that calls and their results still meet.

Vendors accept different ids: a conversation that moves from one to another carries ids of the
first. A new id is made from the old one alone, so it is the same in every request of the
conversation, which prompt caches need.
"""

from __future__ import annotations

import re
from hashlib import blake2b

__all__ = ["ToolIds"]


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
            digest = blake2b(id.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
            self._new[id] = self._prefix + digest[: self._digits]
        return self._new[id]

    def losses(self) -> tuple[str, ...]:
        """Return the sentence that says how many ids were changed; empty for none."""
        if not self._new:
            return ()
        return (f"Ids of {self.rewritten} tool calls were rewritten.",)
