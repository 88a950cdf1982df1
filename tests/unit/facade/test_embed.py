"""`ai.embed`: vectors as numbers, blocking or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.server.test_embeddings import TOML, Vectors
from ymera.app import App
from ymera.core.errors import InvalidRequest, UnknownModel
from ymera.core.usage import Usage
from ymera.facade.connect import SyncYmera, Ymera


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ymera.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.setenv("YMERA_CONFIG", str(tmp_path / "ymera.toml"))


@pytest.mark.proves("library.embed")
async def test_texts_become_vectors() -> None:
    async with Ymera(App.create(providers={"stage": Vectors()})) as ai:
        found = await ai.embed(["ab", "c"], model="e5")
        one = await ai.embed("abc", model="stage/e5", dimensions=2)
        with pytest.raises(UnknownModel):
            await ai.embed("a", model="auto")
        with pytest.raises(InvalidRequest):
            await ai.embed([], model="e5")

    assert found.vectors == ([2.0, 0.5], [1.0, 0.5])
    assert (found.model, found.usage) == ("stage/e5", Usage(input_tokens=2))
    assert found.cost_usd == 0
    assert one.vectors == ([3.0, 0.5],)


@pytest.mark.proves("library.embed")
def test_the_blocking_twin_does_the_same() -> None:
    with SyncYmera(App.create(providers={"stage": Vectors()})) as ai:
        assert ai.embed(("ab",), model="e5").vectors == ([2.0, 0.5],)
