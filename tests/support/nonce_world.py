"""A workspace, a Git repository and a database with nonces planted in them, and the judge."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

from tests.scenarios.nonce_questions import Question

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_SYLLABLES = (
    "ba bel dor fen gar hal jor kem lin mar nor pel quin ros sel tam ul vor wen zan".split()
)
_MOST_OTHER_NONCES = 1


@dataclass(frozen=True)
class NonceWorld:
    """What was planted where.

    Attributes:
        files: folder of the text files.
        repository: folder of the Git repository.
        database: SQLite file.
        nonces: by name, sums included.
    """

    files: Path
    repository: Path
    database: Path
    nonces: dict[str, str]


def plant(data: ModuleType, folder: Path, rng: random.Random) -> NonceWorld:
    """Make nonces and plant them as `data` (a module such as nonce_questions) says."""
    nonces = {name: _nonce(kind, rng) for name, kind in data.NONCES.items()}
    sums = {
        name: str(sum(int(nonces[part]) for part in parts)) for name, parts in data.SUMS.items()
    }
    world = NonceWorld(
        files=folder / "files",
        repository=folder / "repository",
        database=folder / "shop.sqlite3",
        nonces={**nonces, **sums},
    )
    for name, text in data.FILES.items():
        path = world.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**nonces), encoding="utf-8")
    _plant_commits(data, world.repository, nonces)
    _plant_rows(data, world.database, nonces)
    return world


def is_right(
    question: Question, answer: str, world: NonceWorld, asked: datetime, answered: datetime
) -> bool:
    """Whether an answer holds what was asked for, and is no dump of everything."""
    text = answer.lower()
    if question.place == "clock":
        return any(form.lower() in text for form in _clock_forms(question, asked, answered))
    wanted = {each.format(**world.nonces) for each in question.expects}
    plain = re.sub(r"(?<=\d)[,. ](?=\d{3}\b)", "", text)
    if not all(each.lower() in plain for each in wanted):
        return False
    whole = {word.lower() for each in wanted for word in each.split()}
    others = {nonce for nonce in world.nonces.values() if nonce.lower() in plain}
    others = {nonce for nonce in others if not whole & set(nonce.lower().split())}
    return len(others - wanted) <= _MOST_OTHER_NONCES


def _nonce(kind: str, rng: random.Random) -> str:
    match kind:
        case "code":
            letters = "".join(rng.choice(_LETTERS) for _ in range(3))
            return f"{letters}-{rng.randrange(1000, 9999)}"
        case "number":
            return str(rng.randrange(1001, 9800))
        case "version":
            return f"{rng.randrange(11, 60)}.{rng.randrange(11, 60)}.{rng.randrange(11, 60)}"
        case "person":
            return f"{_word(rng).capitalize()} {_word(rng).capitalize()}"
        case "word":
            return _word(rng)
        case _:
            raise ValueError(kind)


def _word(rng: random.Random) -> str:
    return "".join(rng.sample(_SYLLABLES, 3))


def _plant_commits(data: ModuleType, repository: Path, nonces: dict[str, str]) -> None:
    repository.mkdir(parents=True)
    _git(repository, "init", "--quiet", "--initial-branch=main")
    for day, commit in enumerate(data.COMMITS, 1):
        for name, text in commit.changes.items():
            (repository / name).write_text(text.format(**nonces), encoding="utf-8")
        _git(repository, "add", "--all")
        author = commit.author.format(**nonces)
        _git(
            repository,
            *("-c", f"user.name={author}", "-c", "user.email=someone@example.org"),
            *("commit", "--quiet", "--message", commit.message.format(**nonces)),
            at=f"2031-03-{day:02}T10:00:00+00:00",
        )
    _git(repository, "branch", data.BRANCH.format(**nonces))
    for name, text in data.UNCOMMITTED.items():
        (repository / name.format(**nonces)).write_text(text, encoding="utf-8")
    _git(repository, "add", "--all")


def _git(repository: Path, *arguments: str, at: str = "2031-03-30T10:00:00+00:00") -> None:
    environ = {**os.environ, "GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
    subprocess.run(
        ["git", *arguments],
        cwd=repository,
        env=environ,
        check=True,
        capture_output=True,
        timeout=60,
    )


def _plant_rows(data: ModuleType, path: Path, nonces: dict[str, str]) -> None:
    connection = sqlite3.connect(path)
    for statement in data.SCHEMA:
        connection.execute(statement)
    for table, rows in data.ROWS.items():
        for row in rows:
            values = [each.format(**nonces) if isinstance(each, str) else each for each in row]
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608
    connection.commit()
    connection.close()


def _clock_forms(question: Question, asked: datetime, answered: datetime) -> set[str]:
    """Return every usual way to write the date, or the minutes between question and answer."""
    kind, _, zone = question.expects[0].partition(":")
    first, last = (at.astimezone(ZoneInfo(zone)) for at in (asked, answered))
    if kind == "date":
        return {form for at in (first, last) for form in _date_forms(at)}
    minutes = int((last - first).total_seconds() // 60) + 1
    moments = [first + timedelta(minutes=each) for each in range(minutes + 1)]
    return {form for at in moments for form in (f"{at:%H:%M}", f"{at:%I:%M}".lstrip("0"))}


def _date_forms(at: datetime) -> set[str]:
    return {
        f"{at:%Y-%m-%d}",
        f"{at:%B} {at.day}, {at.year}",
        f"{at.day} {at:%B} {at.year}",
        f"{at:%b} {at.day}, {at.year}",
        f"{at.day} {at:%b} {at.year}",
        f"{at:%B} {at.day} {at.year}",
        f"{at:%m/%d/%Y}",
        f"{at:%d/%m/%Y}",
        f"{at:%d.%m.%Y}",
    }
