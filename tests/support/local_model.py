"""The real small model: pulled once per checkout, then kept in a folder git does not see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.requires import VARIABLE, require_or_skip
from ymera.catalog.load import load
from ymera.core.errors import MachineError
from ymera.core.model import Model
from ymera.providers.pull import model_path, pull, with_source_from

CACHE_VARIABLE = "YMERA_TEST_CACHE"
MIRROR_VARIABLE = "YMERA_TEST_MODEL_MIRROR"
MIRROR_FILE = Path(__file__).with_name("model_mirror.json")
SMALL = "local/smollm2-135m"
LARGER = "local/qwen2.5-coder-0.5b"

_CHECKOUT = Path(__file__).parents[2]


def model(model_id: str = SMALL) -> Model:
    """Return the catalogue's entry."""
    return load().get(model_id)


def pulled(model_id: str = SMALL) -> Path:
    """Return the models directory, with that model in it.

    Skips the calling test where llama.cpp is not installed or the model cannot be fetched, and
    fails it where CI promised `local_model`. Call it from a session fixture: each test's own
    environment is too clean for pip's configuration.
    """
    require_or_skip("local_model")
    weights = model(model_id).weights
    assert weights is not None
    if os.environ.get(MIRROR_VARIABLE) == "1":
        weights = with_source_from(weights, MIRROR_FILE)
    folder = Path(os.environ.get(CACHE_VARIABLE) or _CHECKOUT / ".cache" / "ymera-models")
    try:
        return pull(weights, folder).parent
    except MachineError as error:
        if "local_model" in os.environ.get(VARIABLE, ""):
            pytest.fail(f"{VARIABLE} promises 'local_model': {error} {error.hint}")
        pytest.skip(f"{error} {error.hint}")


def linked(models_dir: Path, model_id: str = SMALL) -> None:
    """Make the pulled model appear in another models directory, without copying it."""
    weights = model(model_id).weights
    assert weights is not None
    source = model_path(weights, pulled(model_id))
    models_dir.mkdir(parents=True, exist_ok=True)
    for name in (source.name, f"{source.name}.sha256"):
        (models_dir / name).symlink_to(source.with_name(name))
