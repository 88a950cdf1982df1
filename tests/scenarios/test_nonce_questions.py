"""Must show: a real small model answers from files, Git, a database and the clock with tools.

The questions stand in `nonce_questions.py`, written before any prompt was. Real embedded model,
real MCP servers (Git, time), real files and a real database; the answers are made anew for each
run, so that nothing but looking can find them.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.scenarios import nonce_questions as data
from tests.support import local_model
from tests.support.nonce_world import NonceWorld, is_right, plant
from ymera.app import App
from ymera.engine.orchestrator import AIRequest

PLACES = ("files", "git", "database", "clock")
AT_LEAST_WITH = 0.80
AT_MOST_WITHOUT = 0.10
AT_ONCE = 2

CONFIG = """\
[local]
models_dir = "{models}"

[tools]
read_root = "{world.files}"

[tools.databases.{data.DATABASE}]
url = "sqlite:///{world.database}"
description = "{data.DATABASE_DESCRIPTION}"

[mcp.servers.git]
command = "{bin}/mcp-server-git"
args = ["--repository", "{world.repository}"]
read_only = ["git_status", "git_log", "git_show", "git_branch", "git_diff", "git_diff_staged"]

[mcp.servers.time]
command = "{bin}/mcp-server-time"
args = ["--local-timezone", "UTC"]
read_only = ["*"]
"""


@dataclass
class Exam:
    """Asks each place once, with tools and without, and keeps the marks.

    Attributes:
        marks: by place and whether tools were allowed, then by question.
        lines: what was answered, for the reader of a failure.
    """

    world: NonceWorld
    config: Path
    marks: dict[tuple[str, bool], dict[str, bool]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    async def sit(self, place: str, *, with_tools: bool) -> dict[str, bool]:
        """Return which questions about `place` were answered rightly."""
        key = place, with_tools
        if key not in self.marks:
            asked = [question for question in data.QUESTIONS if question.place == place]
            turns = asyncio.Semaphore(AT_ONCE)
            async with App.create() as app:
                answers = (self._ask(app, each, turns, with_tools=with_tools) for each in asked)
                right = await asyncio.gather(*answers)
            names = (question.id for question in asked)
            self.marks[key] = dict(zip(names, right, strict=True))
        return self.marks[key]

    async def _ask(
        self, app: App, question: data.Question, turns: asyncio.Semaphore, *, with_tools: bool
    ) -> bool:
        request = AIRequest(
            prompt=question.ask,
            model=local_model.LARGER,
            max_tokens=None if with_tools else 80,
            tools=("*",) if with_tools else (),
        )
        async with turns:
            asked = datetime.now(UTC)
            response = await app.orchestrator.execute(request)
            answered = datetime.now(UTC)
        right = is_right(question, response.response, self.world, asked, answered)
        self.lines.append(
            f"{'right' if right else 'WRONG'} {'with' if with_tools else 'without'} "
            f"{question.id} in {(answered - asked).total_seconds():.1f} s: "
            f"{(response.response or str(response.error))[:150]!r} "
            f"[{', '.join(use.name for use in response.tools)}]"
        )
        return right


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    models = local_model.pulled(local_model.LARGER)
    seed = secrets.randbelow(2**32)
    folder = tmp_path_factory.mktemp("nonces")
    world = plant(data, folder, random.Random(seed))
    config = folder / "ymera.toml"
    programs = Path(sys.executable).parent
    config.write_text(
        CONFIG.format(models=models, world=world, data=data, bin=programs), encoding="utf-8"
    )
    return Exam(world, config, lines=[f"nonces of seed {seed}"])


@pytest.fixture(autouse=True)
def configured(exam: Exam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YMERA_CONFIG", str(exam.config))


@pytest.mark.full
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.proves("tools.small-model")
async def test_with_tools_the_small_model_finds_most_of_what_stands_there(
    exam: Exam, place: str
) -> None:
    marks = await exam.sit(place, with_tools=True)

    assert sum(marks.values()) >= 0.5 * len(marks), "\n".join(exam.lines)


@pytest.mark.full
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.proves("tools.small-model")
async def test_without_tools_it_can_only_guess(exam: Exam, place: str) -> None:
    marks = await exam.sit(place, with_tools=False)

    assert sum(marks.values()) <= 1, "\n".join(exam.lines)


@pytest.mark.full
@pytest.mark.proves("tools.small-model")
async def test_tools_make_the_difference_over_all_questions(
    exam: Exam, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(data.QUESTIONS) >= 30
    rates = {}
    for with_tools in (True, False):
        marks = [await exam.sit(place, with_tools=with_tools) for place in PLACES]
        right = sum(sum(each.values()) for each in marks)
        rates[with_tools] = right / len(data.QUESTIONS)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(data.QUESTIONS)} questions with nonce answers, {local_model.LARGER}: "
            f"{rates[True]:.0%} right with tools and MCP, {rates[False]:.0%} without\n"
        )

    assert rates[True] >= AT_LEAST_WITH, "\n".join(exam.lines)
    assert rates[False] <= AT_MOST_WITHOUT, "\n".join(exam.lines)
