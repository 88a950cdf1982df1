from __future__ import annotations

import pytest

from ymera.core.task import TaskComplexity, TaskType
from ymera.routing.complexity import infer_complexity

SIMPLE, COMPLEX = TaskComplexity.SIMPLE, TaskComplexity.COMPLEX
CODE = TaskType.CODE_GENERATION
LIST = "Build a shop:\n- catalogue\n- basket\n- checkout\n- invoices\n- refunds\n- search\n"


@pytest.mark.proves("routing.classify")
@pytest.mark.parametrize(
    ("text", "task_type", "expected"),
    [
        ("Say hello", TaskType.TEXT_GENERATION, SIMPLE),
        ("Hi!", TaskType.CHAT, SIMPLE),
        ("Translate good night to Dutch", TaskType.TRANSLATION, SIMPLE),
        ("Create Python hello world function", CODE, SIMPLE),
        ("REST API with CRUD", CODE, None),
        ("Create a REST API", CODE, None),
        ("Write a function that sorts a list of dates and removes the duplicates", CODE, None),
        ("Codebase analysis", TaskType.CODE_ANALYSIS, COMPLEX),
        ("Prove that there are infinitely many primes", TaskType.REASONING, COMPLEX),
        ("Design a distributed, fault-tolerant job queue with a web dashboard", CODE, COMPLEX),
        (LIST, CODE, COMPLEX),
        ("\n".join(LIST.splitlines()[:4]), CODE, None),
        ("word " * 700, TaskType.TEXT_GENERATION, COMPLEX),
        ("x" * 9_000, TaskType.TEXT_GENERATION, COMPLEX),
    ],
)
def test_complexity_follows_the_documented_signs(
    text: str, task_type: TaskType, expected: TaskComplexity | None
) -> None:
    assert infer_complexity(text, task_type) is expected
