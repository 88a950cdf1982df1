"""Every command line that README.md and docs/ show is one that the parser takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ymera.cli import main as entry

ROOT = Path(__file__).parents[3]
LINE = re.compile(r"^(?: {4}|\$ )?(?:\.venv/bin/)?(ymera .+)$", re.MULTILINE)
SHELL = frozenset({"|", "<", ">", "&", "&&", ";"})


def documented() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for line in LINE.findall(path.read_text(encoding="utf-8")):
            yield f"{path.name}: {line}", line


def arguments(line: str) -> list[str]:
    words = shlex.split(line, comments=True)[1:]
    end = next((at for at, word in enumerate(words) if word in SHELL), len(words))
    return words[:end]


def parse(command: click.Command, name: str, args: list[str], parent: click.Context | None) -> None:
    """Parse as click would, through every group, and run nothing."""
    with command.make_context(name, args, parent=parent) as ctx:
        if isinstance(command, click.Group):
            rest = [*ctx._protected_args, *ctx.args]
            sub_name, sub, rest = command.resolve_command(ctx, rest)
            assert sub is not None
            parse(sub, sub_name or "", rest, ctx)


@pytest.mark.proves("docs.commands")
@pytest.mark.parametrize("line", [pytest.param(line, id=where) for where, line in documented()])
def test_a_documented_command_is_one(line: str) -> None:
    parse(entry._cli, "ymera", arguments(line), None)


@pytest.mark.proves("docs.commands")
@pytest.mark.parametrize("line", ["ymera quota --nope", "ymera keys polish groq", "ymera connect"])
def test_what_is_no_command_would_be_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(entry._cli, "ymera", arguments(line), None)


def test_the_documents_show_commands() -> None:
    assert len({line for _, line in documented()}) > 50
