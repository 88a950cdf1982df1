"""configuration: the document's tree is there, files override it, broken ones are refused."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ymera.config.load import Loaded, load_settings
from ymera.config.paths import ensure_writable
from ymera.core.errors import ConfigError
from ymera.facade.ai_config import AIConfig
from ymera.validation.report import Check, Unmet, check

if TYPE_CHECKING:
    from ymera.validation.installation import Installation

__all__ = ["DOCUMENT_TREE", "examine"]

DOCUMENT_TREE: Mapping[str, bool | int | str] = {
    "models.prefer_free": True,
    "models.default_complexity": "medium",
    "models.enable_multi_model": True,
    "models.max_retries": 3,
    "security.enable_input_validation": True,
    "security.enable_output_validation": True,
    "security.rate_limit_per_hour": 100,
    "security.max_input_length": 100_000,
    "performance.enable_caching": True,
    "performance.cache_ttl_seconds": 3600,
    "performance.timeout_seconds": 30,
    "performance.max_concurrent_requests": 10,
    "monitoring.enable_metrics": True,
    "monitoring.enable_audit_log": True,
    "monitoring.metrics_retention_days": 30,
}
"""Every leaf of the document's default tree with its value."""

_KEY = "performance.timeout_seconds"
_ENV = "validation"


async def examine(installation: Installation) -> AsyncGenerator[Check, None]:
    """Make the checks."""
    yield await check("settings", _settings(installation))
    yield await check("data directory", _data_directory(installation))
    yield await check("document's tree", _tree())
    yield await check("document's defaults", _defaults(installation))
    yield await check("a file overrides", _override(installation))
    yield await check("a broken file is refused", _refusal(installation))


async def _settings(installation: Installation) -> str:
    loaded = installation.loaded
    found = [str(file.path) for file in loaded.files if file.stamp is not None]
    return f"{loaded.env}: {', '.join(found) or 'defaults, no file found'}"


async def _data_directory(installation: Installation) -> str:
    return f"{ensure_writable(installation.paths.root)} can be written"


async def _tree() -> str:
    """`AIConfig` of this installation has every leaf, of the document's type."""
    config = AIConfig()
    for key, default in DOCUMENT_TREE.items():
        value = config.get(key)
        if type(value) is not type(default):
            raise Unmet(f"{key} is {value!r}, not a {type(default).__name__}.")
    if config.get("no.such.key", _ENV) != _ENV:
        raise Unmet("An unknown path does not give the default.")
    return f"{len(DOCUMENT_TREE)} leaves, each of its type"


async def _defaults(installation: Installation) -> str:
    values = _load(installation.directory("defaults")).values()
    for key, default in DOCUMENT_TREE.items():
        if values[key] != default:
            raise Unmet(f"{key} is {values[key]!r} by default, the document has {default!r}.")
    return "where nothing is set, all are the document's"


async def _override(installation: Installation) -> str:
    folder = installation.directory("override")
    _write(folder, {"performance": {"timeout_seconds": 7}})
    loaded = _load(folder)
    values = loaded.values()
    if values[_KEY] != 7 or values["models.max_retries"] != DOCUMENT_TREE["models.max_retries"]:
        raise Unmet(f"config/ai_config_{_ENV}.json was not merged: {_KEY} is {values[_KEY]}.")
    return f"config/ai_config_{_ENV}.json was merged over the defaults"


async def _refusal(installation: Installation) -> str:
    folder = installation.directory("broken")
    _write(folder, {"performance": {"timeout_seconds": "soon"}})
    try:
        _load(folder)
    except ConfigError as error:
        if _KEY not in f"{error.message} {error.hint}":
            raise Unmet(f"A wrong value is refused without its name: {error.message}") from error
        return "refused, naming the key"
    raise Unmet(f"The text 'soon' was accepted for {_KEY}.")


def _load(folder: Path) -> Loaded:
    """Read settings as a program started in `folder` with a clean environment would."""
    return load_settings(env=_ENV, environ={}, cwd=folder, user_dir=folder / "user")


def _write(folder: Path, tree: dict[str, object]) -> None:
    (folder / "config").mkdir()
    (folder / "config" / f"ai_config_{_ENV}.json").write_text(json.dumps(tree), encoding="utf-8")
