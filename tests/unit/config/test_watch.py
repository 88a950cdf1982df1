"""Live reload over real files, without waiting for anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ymera.config import Loaded, LookedAt, Settings, Watcher, load_settings
from ymera.config.files import FileStamp
from ymera.config.sources import Layer
from ymera.core.errors import ConfigError, YmeraError

pytestmark = pytest.mark.proves("config.live-reload")


@pytest.fixture
def project_file(clean_environment: Path) -> Path:
    return clean_environment / "ymera.toml"


@pytest.fixture
def reports() -> list[YmeraError]:
    return []


@pytest.fixture
def watcher(clean_environment: Path, tmp_path: Path, reports: list[YmeraError]) -> Watcher:
    def load() -> Loaded:
        return load_settings(cwd=clean_environment, user_dir=tmp_path, environ={})

    return Watcher(load, report=reports.append)


def retries(loaded: Loaded | None) -> int | None:
    return None if loaded is None else loaded.settings.models.max_retries


def test_a_file_that_appears_changes_and_goes_is_noticed_each_time(
    watcher: Watcher, project_file: Path
) -> None:
    seen = [retries(watcher.poll())]
    project_file.write_text("models.max_retries = 11")
    seen += [retries(watcher.poll()), retries(watcher.poll())]
    project_file.write_text("models.max_retries = 1")
    seen.append(retries(watcher.poll()))
    project_file.unlink()
    seen += [retries(watcher.poll()), retries(watcher.poll())]
    assert seen == [None, 11, None, 1, 3, None]


def test_a_replaced_file_of_the_same_size_and_time_is_noticed(
    watcher: Watcher, project_file: Path
) -> None:
    project_file.write_text("models.max_retries = 1")
    os.utime(project_file, ns=(10**18, 10**18))
    assert retries(watcher.poll()) == 1
    other = project_file.with_suffix(".new")
    other.write_text("models.max_retries = 2")
    os.utime(other, ns=(10**18, 10**18))
    other.replace(project_file)
    assert retries(watcher.poll()) == 2


def test_a_broken_edit_keeps_the_old_settings_and_is_told_once(
    watcher: Watcher, project_file: Path, reports: list[YmeraError]
) -> None:
    project_file.write_text("models.max_retries = 5")
    good = watcher.poll()
    for broken in ("models.max_retries = oops", "models.max_retries = 60"):
        project_file.write_text(broken)
        assert [watcher.poll(), watcher.poll()] == [None, None]
        assert watcher.loaded is good
    first, second = reports
    assert isinstance(first, ConfigError)
    assert "not valid TOML" in first.message
    assert "from 0 to 20, not 60" in second.message
    project_file.write_text("models.max_retries = 6")
    assert retries(watcher.poll()) == 6


def test_a_first_load_that_fails_is_raised(project_file: Path) -> None:
    project_file.write_text("[")
    with pytest.raises(ConfigError):
        Watcher(load_settings)


def test_an_edit_during_the_load_is_seen_by_the_next_poll() -> None:
    path = Path("/project/ymera.toml")
    clock = iter(range(1, 100))
    current = FileStamp(0, 0, 0, 0)
    loads: list[FileStamp] = []

    def edit() -> FileStamp:
        tick = next(clock)
        return FileStamp(tick, tick, 10, 1)

    def load() -> Loaded:
        nonlocal current
        stamp = current
        loads.append(stamp)
        if len(loads) == 2:
            current = edit()  # while the second load is reading
        return Loaded(Settings(), {}, (LookedAt(path, Layer.PROJECT, stamp),), "development")

    watcher = Watcher(load, lambda _path: current)
    assert watcher.poll() is None
    current = edit()
    assert [watcher.poll() is not None for _ in range(3)] == [True, True, False]
    assert len(loads) == 3
