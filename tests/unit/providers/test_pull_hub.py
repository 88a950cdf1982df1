from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.weights import CONTENT, Hub, serving, weights_of
from ymera.core.errors import ConfigError, MachineError
from ymera.core.model import HubFile
from ymera.providers.pull import is_pulled, model_path, pull

WEIGHTS = weights_of(CONTENT)
PART = "tiny.gguf.part"


def pull_from(hub: Hub, models_dir: Path) -> Path:
    with serving(hub) as url:
        return pull(WEIGHTS, models_dir, hub_url=url)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if not path.name.startswith(".")}


def test_a_hub_file_is_fetched_from_its_place_in_the_repository(models: Path) -> None:
    hub = Hub()

    path = pull_from(hub, models)

    assert path.read_bytes() == CONTENT
    assert hub.paths == ["/owner/tiny/resolve/main/tiny%20model.gguf"]


@pytest.mark.proves("pull.resume")
def test_a_cut_connection_is_followed_by_one_for_the_rest(models: Path) -> None:
    hub = Hub(cuts=[300_000, 500_000])

    path = pull_from(hub, models)

    assert path.read_bytes() == CONTENT
    assert hub.ranges == ["", "bytes=300000-", "bytes=800000-"]


@pytest.mark.proves("pull.resume")
def test_what_a_failed_pull_left_is_not_fetched_again(models: Path) -> None:
    with pytest.raises(MachineError, match="cannot be reached") as caught:
        pull_from(Hub(cuts=[300_000, 0]), models)
    assert caught.value.hint is not None
    assert "goes on where it stopped" in caught.value.hint
    assert names(models) == {PART}

    hub = Hub()
    path = pull_from(hub, models)

    assert path.read_bytes() == CONTENT
    assert hub.ranges == ["bytes=300000-"]
    assert names(models) == {"tiny.gguf", "tiny.gguf.sha256"}


def test_a_server_that_ignores_ranges_makes_the_pull_start_anew(models: Path) -> None:
    hub = Hub(cuts=[300_000], heeds_ranges=False)

    assert pull_from(hub, models).read_bytes() == CONTENT
    assert hub.ranges == ["", "bytes=300000-"]


def test_a_rest_longer_than_the_file_is_forgotten(models: Path) -> None:
    (models / PART).write_bytes(CONTENT + b"more")
    hub = Hub()

    assert pull_from(hub, models).read_bytes() == CONTENT
    assert hub.ranges == [""]


def test_a_rest_that_was_all_there_is_only_checked(models: Path) -> None:
    (models / PART).write_bytes(CONTENT)
    hub = Hub()

    assert pull_from(hub, models).read_bytes() == CONTENT
    assert hub.ranges == []


def test_a_range_the_server_does_not_have_makes_the_pull_start_anew(models: Path) -> None:
    (models / PART).write_bytes(CONTENT[:-10])
    hub = Hub(content=CONTENT[:-20])  # the hub's file has become shorter

    with pytest.raises(MachineError):
        pull_from(hub, models)

    assert hub.ranges[:2] == [f"bytes={len(CONTENT) - 10}-", ""]


@pytest.mark.proves("pull.verified")
@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT + b"more"])
def test_wrong_bytes_are_refused_and_nothing_is_left(models: Path, content: bytes) -> None:
    with pytest.raises(MachineError, match=r"not the expected file.*Nothing of it was kept"):
        pull_from(Hub(content=content), models)

    assert names(models) == set()
    assert not is_pulled(WEIGHTS, models)


@pytest.mark.proves("pull.offline")
def test_an_unreachable_hub_is_a_clear_error_that_names_the_way_out(models: Path) -> None:
    with serving(Hub()) as url:
        pass  # closed again: nobody listens there now

    with pytest.raises(MachineError, match=r"hub 127\.0\.0\.1 cannot be reached") as caught:
        pull(WEIGHTS, models, hub_url=url)

    assert caught.value.hint is not None
    assert "HF_ENDPOINT" in caught.value.hint
    assert names(models) == set()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "does not have hf:owner/tiny/tiny model.gguf"),
        (401, "does not give hf:owner/tiny/tiny model.gguf to everyone"),
        (503, "answered with status 503"),
    ],
)
def test_a_hub_that_refuses_is_quoted(models: Path, status: int, sentence: str) -> None:
    with pytest.raises(MachineError, match=sentence):
        pull_from(Hub(status=status), models)


@pytest.mark.parametrize("url", ["http://hub.example", "ftp://127.0.0.1", "file:///etc", ""])
def test_a_hub_that_is_not_https_is_refused(models: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="does not start with https://"):
        pull(WEIGHTS, models, hub_url=url)


def test_a_hub_that_cuts_again_and_again_is_given_up(models: Path) -> None:
    hub = Hub(cuts=[10] * 100)

    with pytest.raises(MachineError, match="cut again and again"):
        pull_from(hub, models)

    assert len(hub.ranges) == 20


@pytest.mark.proves("pull.resume")
def test_a_pull_that_the_user_interrupts_can_be_gone_on_with(models: Path) -> None:
    def interrupt(done_bytes: int, total_bytes: int) -> None:
        raise KeyboardInterrupt

    with serving(Hub()) as url, pytest.raises(KeyboardInterrupt):
        pull(WEIGHTS, models, hub_url=url, progress=interrupt)

    assert names(models) == {PART}


def test_the_source_is_shown_as_people_write_it() -> None:
    assert str(HubFile(repo="owner/name", file="a.gguf")) == "hf:owner/name/a.gguf"
    assert model_path(WEIGHTS, Path("models")) == Path("models/tiny.gguf")
