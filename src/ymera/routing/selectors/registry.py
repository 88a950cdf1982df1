"""Selectors by name. A new one is a file beside this one and its import in `__init__`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ymera.core.errors import ConfigError
from ymera.core.route import Candidate, RoutePolicy

__all__ = ["Selector", "names", "register", "selector"]

Selector = Callable[[Sequence[Candidate], RoutePolicy], list[Candidate]]
"""Returns all the given candidates, best first; the same ones always in the same order."""

_SELECTORS: dict[str, Selector] = {}


def register(name: str) -> Callable[[Selector], Selector]:
    """Return a decorator that makes a selector known as `name`."""

    def add(function: Selector) -> Selector:
        if name in _SELECTORS:
            raise ValueError(f"two selectors are called {name!r}")
        _SELECTORS[name] = function
        return function

    return add


def selector(name: str) -> Selector:
    """Return the selector called `name`.

    Raises:
        ConfigError: there is none.
    """
    found = _SELECTORS.get(name)
    if found is None:
        raise ConfigError(f"No selector is called {name!r}.", hint=f"Known: {', '.join(names())}.")
    return found


def names() -> tuple[str, ...]:
    """Return the names of all selectors, sorted."""
    return tuple(sorted(_SELECTORS))
