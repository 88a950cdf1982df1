"""The document asks for so many tests of each kind; functions are counted, not parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECURITY = ("tests/unit/security/**/test_*.py", "tests/property/test_security_*.py")
ASKED_FOR = {
    "model selection": (15, ("tests/unit/routing/test_*.py", "tests/unit/engine/test_attempts.py")),
    "security": (10, SECURITY),
    "multi-model": (8, ("tests/unit/phases/test_*.py", "tests/ai_mcp/test_two_models.py")),
    "integration": (20, ("tests/integration/test_*.py",)),
    "real-world scenarios": (15, ("tests/scenarios/test_real_world*.py",)),
}


def functions_that_test(source: str) -> Iterator[str]:
    """Yield the names of test functions that can fail: they assert, or expect an error."""
    for node in _defined(ast.parse(source).body):
        if any(_can_fail(each) for each in ast.walk(node)):
            yield node.name


def _defined(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _defined(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_test(node.name):
            yield node


def _is_test(name: str) -> bool:
    return name.startswith("test_")


def _can_fail(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"pytest.raises", "pytest.fail"}
    return isinstance(node, ast.Assert)


def _count(patterns: tuple[str, ...]) -> int:
    files = {path for pattern in patterns for path in ROOT.glob(pattern)}
    return sum(len(set(functions_that_test(path.read_text(encoding="utf-8")))) for path in files)


@pytest.mark.proves("document.test-counts")
@pytest.mark.parametrize("kind", ASKED_FOR)
def test_there_are_as_many_test_functions_as_the_document_asks_for(kind: str) -> None:
    wanted, patterns = ASKED_FOR[kind]
    assert _count(patterns) >= wanted


@pytest.mark.proves("document.test-counts")
def test_parameters_helpers_and_tests_that_cannot_fail_do_not_count() -> None:
    source = """
@pytest.mark.parametrize("n", [1, 2, 3])
def test_one(n):
    assert n

class TestClass:
    async def test_two(self):
        with pytest.raises(ValueError):
            int("x")

def test_nothing():
    pass

def helper():
    assert True
"""
    assert list(functions_that_test(source)) == ["test_one", "test_two"]
