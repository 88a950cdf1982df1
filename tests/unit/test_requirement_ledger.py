"""The ledger matches the tests, and the check that says so can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.requirements import REQUIREMENTS, Requirement
from tests.support.ledger import claims_in, claims_under, find_problems

ROOT = Path(__file__).parents[2]
ROW = Requirement("area.name", "here", "It holds.")


@pytest.mark.proves("repo.ledger")
def test_every_promise_has_a_proof_and_every_proof_a_promise() -> None:
    ci_script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    problems = find_problems(REQUIREMENTS, claims_under(ROOT / "tests"), ci_script)
    assert not problems, "\n".join(problems)


def test_a_promise_without_a_test_is_found() -> None:
    assert find_problems([ROW], [], "") == ["area.name: no test proves it: It holds."]


def test_a_test_without_a_promise_is_found() -> None:
    claims = [("area.name", "test_a.py:1"), ("area.mistyped", "test_a.py:9")]
    assert find_problems([ROW], claims, "") == ["test_a.py:9: no such promise: area.mistyped"]


def test_a_missing_ci_step_is_found() -> None:
    row = Requirement("area.name", "here", "It holds.", proved_by="ci:smoke")
    assert find_problems([row], [], "step smoke-test run_it\n")
    assert not find_problems([row], [], "step smoke run_it\n")


@pytest.mark.parametrize("rows", [[ROW, ROW], [Requirement("NoArea", "here", "It holds.")]])
def test_a_repeated_or_malformed_id_is_found(rows: list[Requirement]) -> None:
    assert (
        "not of the form" in find_problems(rows, [(row.id, "test_a.py:1") for row in rows], "")[0]
    )


def test_claims_are_read_from_decorators_classes_and_modules() -> None:
    source = """
pytestmark = [pytest.mark.proves("a.module")]

@pytest.mark.proves("a.class")
class TestIt:
    @pytest.mark.proves("a.one", "a.two")
    async def test_it(self): ...
"""
    found = {id_ for id_, _ in claims_in(source, "test_a.py")}
    assert found == {"a.module", "a.class", "a.one", "a.two"}


def test_an_id_that_is_not_written_out_is_refused() -> None:
    with pytest.raises(ValueError, match=r"test_a\.py:1"):
        list(claims_in("pytest.mark.proves(NAME)", "test_a.py"))
