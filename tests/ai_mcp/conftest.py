"""Each test of the document gets a data directory of its own with the embedded model in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.local_model import LocalModel

from ymera.facade.shared import forget_shared_app


@pytest.fixture
def embedded_model(
    clean_environment: Path, local_model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Point the models directory at the pulled model; close the shared app afterwards."""
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(local_model.models_dir))
    yield
    asyncio.run(forget_shared_app())
