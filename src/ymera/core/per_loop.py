"""Values that belong to one event loop each."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerLoop"]

_Loop = TypeVar("_Loop")
_T = TypeVar("_T")


class PerLoop(Generic[_Loop, _T]):
    """Gives each event loop a value of its own, made when the loop first asks.

    Loops that follow each other share nothing; a loop's value goes when the loop does. The loop
    that asked last is found without a look-up, since almost always it is the only one.

    Args:
        make: makes the value of one loop.
    """

    __slots__ = ("_last", "_make", "_values")

    def __init__(self, make: Callable[[_Loop], _T]) -> None:
        self._make = make
        self._values: weakref.WeakKeyDictionary[_Loop, _T] = weakref.WeakKeyDictionary()
        self._last: tuple[weakref.ref[_Loop], _T] | None = None

    def of(self, loop: _Loop) -> _T:
        """Return a loop's value."""
        last = self._last  # one read: loops of other threads may write it meanwhile
        if last is not None and last[0]() is loop:
            return last[1]
        value = self._values.get(loop)
        if value is None:
            value = self._values[loop] = self._make(loop)
        self._last = weakref.ref(loop), value
        return value

    def items(self) -> list[tuple[_Loop, _T]]:
        """Return every loop that still exists with its value."""
        return list(self._values.items())

    def drop(self, loop: _Loop) -> None:
        """Forget a loop's value."""
        self._last = None
        self._values.pop(loop, None)

    def clear(self) -> None:
        """Forget all values."""
        self._last = None
        self._values.clear()
