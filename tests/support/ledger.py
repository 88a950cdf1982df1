"""Compares the promises of `tests/requirements.py` with what tests and CI steps claim to prove."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.requirements import Requirement

STEP = re.compile(r"^step ([a-z-]+)\b", re.MULTILINE)
ID = re.compile(r"^[a-z0-9]+\.[a-z0-9-]+$")


def claims_in(source: str, where: str) -> Iterator[tuple[str, str]]:
    """Yield (id, place) for every id in a `pytest.mark.proves(...)` of one test file.

    Raises:
        ValueError: an id is not written out, so that nobody could search for it.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != "pytest.mark.proves":
            continue
        for argument in node.args:
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                raise ValueError(f"{where}:{node.lineno}: proves() takes written-out ids")
            yield argument.value, f"{where}:{node.lineno}"


def claims_under(folder: Path) -> list[tuple[str, str]]:
    """Return every claim of the test files under a folder."""
    return [
        claim
        for path in sorted(folder.rglob("test_*.py"))
        if "node_modules" not in path.parts  # other people's tests prove nothing of ours
        for claim in claims_in(path.read_text(encoding="utf-8"), path.name)
    ]


def find_problems(
    requirements: Iterable[Requirement], claims: Iterable[tuple[str, str]], ci_script: str
) -> list[str]:
    """Return what does not match, in both directions."""
    claims = list(claims)
    claimed = {id_ for id_, _ in claims}
    steps = {f"ci:{name}" for name in STEP.findall(ci_script)}
    known: set[str] = set()
    problems = []
    for row in requirements:
        if not ID.match(row.id) or row.id in known:
            problems.append(f"{row.id}: not of the form area.name, or listed twice")
        known.add(row.id)
        if row.proved_by and row.proved_by not in steps:
            problems.append(f"{row.id}: .ci/run has no step {row.proved_by!r}")
        elif not row.proved_by and row.id not in claimed:
            problems.append(f"{row.id}: no test proves it: {row.behaviour}")
    problems += [f"{where}: no such promise: {id_}" for id_, where in claims if id_ not in known]
    return problems
