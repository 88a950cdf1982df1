"""Which model answered a conversation last; kept for a while, in memory alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from ymera.engine.trace import RequestTrace
from ymera.routing.affinity import conversation_key, goes_on

__all__ = ["Conversations"]

_TTL_S = 3 * 3600.0
_MAX_ENTRIES = 10_000


class Conversations:
    """Remembers a model id per conversation, under a hash of its beginning; no text.

    Args:
        monotonic: seconds that only grow.
        ttl_s: how long after its last turn a conversation is forgotten.
        max_entries: conversations remembered at most; the one idle longest leaves first.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        ttl_s: float = _TTL_S,
        max_entries: int = _MAX_ENTRIES,
    ) -> None:
        self._monotonic = monotonic
        self._ttl_s = ttl_s
        self._max_entries = max_entries
        self._lock = threading.Lock()  # the app may be used from several event loops
        self._last: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many conversations are remembered."""
        return len(self._last)

    def last_model(self, trace: RequestTrace) -> str | None:
        """Return the id of the model that answered last; None where none has, or none is known.

        The conversation is noted in `trace`, for `answered`.
        """
        trace.conversation = conversation_key(trace.principal, trace.request)
        if trace.conversation is None or not goes_on(trace.request):
            return None
        with self._lock:
            found = self._last.get(trace.conversation)
        if found is None or self._monotonic() - found[0] >= self._ttl_s:
            return None
        return found[1]

    def answered(self, trace: RequestTrace) -> None:
        """Take note of who answered a turn that ended well."""
        key, model = trace.conversation, trace.model
        if key is None or model is None:
            return
        now_s = self._monotonic()
        with self._lock:
            self._last[key] = now_s, model.id
            self._last.move_to_end(key)
            oldest = next(iter(self._last))
            too_old = now_s - self._last[oldest][0] >= self._ttl_s
            if too_old or len(self._last) > self._max_entries:
                del self._last[oldest]
