"""Each test of the document gets a data directory of its own and the embedded model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import local_model
from ymera.facade.shared import forget_shared_app


@pytest.fixture
def embedded_model(small_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point the models directory at the pulled model; close the shared app afterwards."""
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(small_model_dir))
    yield
    asyncio.run(forget_shared_app())


@pytest.fixture(scope="session")
def larger_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a models directory with the small and the larger model."""
    folder = tmp_path_factory.mktemp("models")
    local_model.linked(folder)
    local_model.linked(folder, local_model.LARGER)
    return folder
