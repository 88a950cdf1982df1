"""Who is asked first: one file per selector, found by name."""

from ymera.routing.selectors.free_first import free_first
from ymera.routing.selectors.registry import Selector, names, register, selector

__all__ = ["Selector", "free_first", "names", "register", "selector"]
