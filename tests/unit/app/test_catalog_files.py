"""The catalogue of a running app: taken in again when a file changes, kept when one breaks."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ymera.app import App
from ymera.app.catalog_files import CatalogFiles
from ymera.catalog.overlay import Answered, Facts, Fetched, Origin, Row

QWEN = "groq/qwen/qwen3.8-27b"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def own_folder(project: Path) -> Path:
    folder = project.parent / "home" / "xdg_config_home" / "ymera" / "catalog"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.proves("catalog.layers", "config.live-reload")
async def test_a_running_app_takes_in_changed_files_and_keeps_the_last_good_of_a_broken_one(
    clean_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = own_folder(clean_environment)
    async with App.create() as app:
        app.reload()
        before = app.catalog.get(QWEN).context_window
        file = folder / "mine.toml"
        file.write_text(f'[models."{QWEN}"]\ncontext_window = 4096\n')
        app.reload()
        assert app.catalog.get(QWEN).context_window == 4096
        (here,) = (m for m in app.snapshot().models if m.id == QWEN)
        assert here.context_window == 4096

        with caplog.at_level(logging.ERROR):
            file.write_text(f'[models."{QWEN}"]\ncontext_window = "much"\n')
            app.reload()
            app.reload()
        assert app.catalog.get(QWEN).context_window == 4096
        assert [str(file) in record.getMessage() for record in caplog.records] == [True]
        assert len(list(app.catalog_files.problems)) == 1

        file.unlink()
        app.reload()
        assert app.catalog.get(QWEN).context_window == before
        assert not app.catalog_files.problems


@pytest.mark.proves("catalog.layers")
async def test_a_broken_file_does_not_keep_an_app_from_starting(clean_environment: Path) -> None:
    folder = own_folder(clean_environment)
    (folder / "a.toml").write_text("models = 7\n")
    (folder / "b.json").write_text('{"models": {"nobody/x": {"tools": true}}}')
    (folder / "c.toml").write_text(f'[models."{QWEN}"]\ntools = false\n')
    (folder / "d.toml").write_text(f'[models."{QWEN}"]\ntools = true\n')
    (folder / "notes.txt").write_text("not looked at")
    async with App.create() as app:
        assert app.catalog.get(QWEN).tools is False
        said = [problem.message for problem in app.catalog_files.problems]
    assert len(said) == 3
    assert "'nobody'" in said[1]
    assert "d.toml is broken" in said[2]


def test_what_is_learned_is_added_to_what_was_known(tmp_path: Path) -> None:
    files = CatalogFiles(tmp_path / "catalog", tmp_path / "own", now=lambda: NOW)
    files.learn({QWEN: {"A": Answered(ok=True, at=NOW)}})
    files.learn({QWEN: {"B": Answered(ok=False, at=NOW)}, "groq/x": {}})
    assert files.changed()
    answers = files.load({}).upkeep.answers
    assert {key: outcome.ok for key, outcome in answers[QWEN].items()} == {"A": True, "B": False}
    assert not files.changed()


def test_a_failed_write_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = CatalogFiles(tmp_path / "catalog", tmp_path / "own", now=lambda: NOW)
    origin = Origin(source="list", as_of="2026-11-23")
    layer = Fetched(rows={QWEN: Row().saying(Facts(context_window=5), origin)})
    with files.updating() as write:
        write(layer)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="No space left"), files.updating() as write:
        write(Fetched())
    assert files.fetched() == layer
    assert [path.name for path in (tmp_path / "catalog").iterdir() if path.suffix == ".json"] == [
        "fetched.json"
    ]
