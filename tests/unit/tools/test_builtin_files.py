"""Files below a root: read, listed, and nothing outside."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ymera.tools.builtin import ToolFailed
from ymera.tools.builtin.files_below import FilesBelow
from ymera.tools.builtin.read_file import make_list_files, make_read_file
from ymera.tools.schemas import argument_problem

pytestmark = pytest.mark.proves("tools.files")

SECRET = "top secret 4711"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "notes").mkdir(parents=True)
    (made / "notes" / "plan.md").write_text("# Plan\nThe heron is blue.\n", encoding="utf-8")
    (made / "todo.txt").write_text("Water the plants.\n", encoding="utf-8")
    (made / ".env").write_text(f"KEY={SECRET}\n", encoding="utf-8")
    (tmp_path / "outside.txt").write_text(SECRET, encoding="utf-8")
    (made / "link.txt").symlink_to(tmp_path / "outside.txt")
    (made / "up").symlink_to(tmp_path, target_is_directory=True)
    (made / "inner.txt").symlink_to(made / "todo.txt")
    (made / "picture.bin").write_bytes(b"\x89PNG\x00\x01")
    (made / "latin.txt").write_bytes(b"caf\xe9")
    return made


async def test_a_file_is_read_by_its_name_below_the_root(root: Path) -> None:
    read = make_read_file(root)

    assert await read.run({"path": "notes/plan.md"}) == "# Plan\nThe heron is blue.\n"
    assert await read.run({"path": str(root / "todo.txt")}) == "Water the plants.\n"


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "notes/../../outside.txt",
        "/etc/passwd",
        "link.txt",
        "up/outside.txt",
        "inner.txt",
        ".env",
        "notes/../.env",
        "..\\outside.txt",
        "todo.txt\x00.md",
        "",
        ".",
        "notes",
        "missing.txt",
        "picture.bin",
        "latin.txt",
        "/dev/zero",
    ],
)
async def test_nothing_else_is_read(root: Path, path: str) -> None:
    with pytest.raises(ToolFailed) as caught:
        await make_read_file(root).run({"path": path})

    assert SECRET not in str(caught.value)


async def test_a_pipe_does_not_keep_the_reader_waiting(root: Path) -> None:
    os.mkfifo(root / "pipe.txt")

    with pytest.raises(ToolFailed, match="no plain file"):
        await make_read_file(root).run({"path": "pipe.txt"})


async def test_a_long_file_is_read_up_to_the_bound(root: Path) -> None:
    (root / "long.txt").write_text("ä" * 1000, encoding="utf-8")

    assert len(await make_read_file(root, max_bytes=101).run({"path": "long.txt"})) == 50


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="./\\ab~-\x00otupink.x ", max_size=24))
def test_no_path_leads_outside(root: Path, path: str) -> None:
    try:
        text = FilesBelow(root).read(path)
    except ToolFailed:
        return
    assert SECRET not in text


async def test_models_are_told_which_files_there_are_and_no_hidden_ones(root: Path) -> None:
    described = await make_read_file(root).describe()
    listed = await make_list_files(root).run({})

    names = ["latin.txt", "notes/plan.md", "picture.bin", "todo.txt"]
    assert listed.splitlines() == names
    assert await make_list_files(root).run({"folder": "notes/"}) == "notes/plan.md"
    schema = msgspec.json.decode(described.parameters)
    assert schema["properties"]["path"]["enum"] == names
    assert argument_problem(described, {"path": "../outside.txt"}) is not None


async def test_a_file_the_question_names_is_brought_in_whole(root: Path) -> None:
    context = make_read_file(root).context
    assert context is not None

    (item,) = await context("What does plan.md say about the heron?")
    assert (item.source, "heron is blue" in item.text) == ("file:notes/plan.md", True)


async def test_else_the_files_that_bear_on_it_are_listed_by_name_and_content(root: Path) -> None:
    context = make_read_file(root).context
    assert context is not None

    (item,) = await context("What colour is the heron?")
    assert item.source == "tool:read_file"
    assert item.text == "Files:\nnotes/plan.md (heron)"
