"""Settings: their schema, the layers they are read from, and where each value came from.

Names are loaded at first use, because the schema needs pydantic and `ymera --help` must not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ymera.config.load import Loaded, LookedAt, load_settings
    from ymera.config.paths import DataPaths, ensure_writable, locate_data_dir
    from ymera.config.reference import json_schema
    from ymera.config.schema import ProviderSettings, Settings
    from ymera.config.sources import Layer, Source
    from ymera.config.watch import Watcher

__all__ = [
    "DataPaths",
    "Layer",
    "Loaded",
    "LookedAt",
    "ProviderSettings",
    "Settings",
    "Source",
    "Watcher",
    "ensure_writable",
    "json_schema",
    "load_settings",
    "locate_data_dir",
]

_MODULE_OF = {
    "DataPaths": "paths",
    "Layer": "sources",
    "Loaded": "load",
    "LookedAt": "load",
    "ProviderSettings": "schema",
    "Settings": "schema",
    "Source": "sources",
    "Watcher": "watch",
    "ensure_writable": "paths",
    "json_schema": "reference",
    "load_settings": "load",
    "locate_data_dir": "paths",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
