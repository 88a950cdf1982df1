"""Where the data directory is, and what happens when it cannot be written."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ymera.config import DataPaths, ensure_writable, locate_data_dir
from ymera.core.errors import MachineError


@pytest.mark.proves("data.directory")
def test_the_variable_beats_a_local_directory_which_beats_the_platforms(
    clean_environment: Path, tmp_path: Path
) -> None:
    cwd = clean_environment
    platform = tmp_path / "home/xdg_data_home/ymera"
    assert locate_data_dir(environ={}, cwd=cwd) == DataPaths(platform)
    (cwd / "_data").touch()
    assert locate_data_dir(environ={}, cwd=cwd) == DataPaths(platform)  # a file is no directory
    (cwd / "_data").unlink()
    (cwd / "_data").mkdir()
    assert locate_data_dir(environ={}, cwd=cwd) == DataPaths(cwd / "_data")
    assert locate_data_dir(environ={"YMERA_DATA_DIR": " "}, cwd=cwd) == DataPaths(cwd / "_data")
    named = {"YMERA_DATA_DIR": "mine"}
    assert locate_data_dir(environ=named, cwd=cwd) == DataPaths(cwd / "mine")
    assert locate_data_dir(Path("/set"), environ=named, cwd=cwd) == DataPaths(Path("/set"))
    assert locate_data_dir() == DataPaths(tmp_path / "data")  # this process's own variable


@pytest.mark.proves("data.directory")
def test_the_layout_is_the_documents() -> None:
    paths = DataPaths(Path("/d"))
    assert {
        "audit": paths.audit_logs,
        "encryption": paths.encryption,
        "performance": paths.ai_performance,
        "models": paths.models,
        "records": paths.records,
    } == {
        "audit": Path("/d/security/audit_logs"),
        "encryption": Path("/d/security/encryption"),
        "performance": Path("/d/ai_performance"),
        "models": Path("/d/models"),
        "records": Path("/d/records.sqlite3"),
    }


@pytest.mark.proves("data.directory")
def test_missing_directories_are_made_for_their_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    assert ensure_writable(target) == target
    assert ensure_writable(target) == target
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (target, target.parent)]
    assert modes == [0o700, 0o700]
    assert list(target.iterdir()) == []


@pytest.mark.proves("data.unwritable")
@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_way_is_named_and_left_alone(tmp_path: Path, below: str) -> None:
    file = tmp_path / "data"
    file.write_text("mine")
    with pytest.raises(MachineError, match="a file is in the way") as caught:
        ensure_writable(file / below)
    assert caught.value.exit_code == 1
    assert "YMERA_DATA_DIR" in (caught.value.hint or "")
    assert file.read_text() == "mine"


@pytest.mark.proves("data.unwritable")
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_refusal_of_the_system_is_one_sentence_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)  # the suite may run as root, whom nothing refuses
    with pytest.raises(MachineError, match=f"cannot be written: {os.strerror(number)}") as caught:
        ensure_writable(tmp_path / "data")
    assert caught.value.exit_code == 1
    assert caught.value.hint


@pytest.mark.proves("data.unwritable")
def test_a_path_no_system_accepts_is_an_error_like_any_other() -> None:
    with pytest.raises(MachineError, match="not a usable path"):
        ensure_writable(Path("/a\0b"))
