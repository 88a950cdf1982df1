"""How much a prompt asks of a model: a documented rule, no training.

Points are added up; 2 or more is complex, -2 or fewer is simple, between them the prompt shows no
clear sign and the caller's default holds (the user's document: medium).

| sign | points |
|---|---|
| chat, translation and actions are light; research, reasoning and code analysis heavy | -1 / +1 |
| up to 8 words / 150 words and more / 600 and more | -1 / +1 / +2 |
| a word of wide scope ("codebase", "architecture", "end-to-end", "prove") | +2 each, at most 4 |
| a word of small scope ("hello", "simple", "one-liner") | -1 each, at most 2 |
| three list items or more / six or more | +1 / +2 |
| "CRUD", "API", "database" and the like in a request for code: more than a snippet | +1 |

So "Say hello" is simple, "Create Python hello world function" simple, "REST API with CRUD"
medium, "Codebase analysis" complex.
"""

from __future__ import annotations

import re

from ymera.core.task import TaskComplexity, TaskType
from ymera.routing.features import excerpt

__all__ = ["infer_complexity"]

_TYPE_POINTS = {
    TaskType.CHAT: -1,
    TaskType.TRANSLATION: -1,
    TaskType.TOOL_USE: -1,
    TaskType.CODE_ANALYSIS: 1,
    TaskType.RESEARCH: 1,
    TaskType.REASONING: 1,
}

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_WIDE = frozenset(
    "codebase codebases repository repositories architecture architectural architect microservice"
    " microservices distributed scalable scalability end-to-end comprehensive comprehensively"
    " in-depth thorough thoroughly exhaustive exhaustively entire full-stack production-ready"
    " multi-tenant fault-tolerant concurrent concurrency prove proof derive theorem trade-off"
    " trade-offs tradeoffs roadmap strategy meta-analysis compiler"
    " architektur umfassend umfassende umfassenden ausführlich gründlich beweise beweis"
    " démontre preuve approfondi approfondie arquitectura exhaustivo exhaustiva demuestra".split()
)
_WIDE_PHRASES = (
    "code base",
    "end to end",
    "in depth",
    "whole system",
    "literature review",
    "state of the art",
    "security audit",
    "threat model",
    "migration plan",
    "operating system",
)
_SMALL = frozenset(
    "hello hallo hola bonjour hi simple simply basic short quick one-liner oneliner small tiny"
    " einfach einfache einfaches kurz kurze kurzen simplement court breve sencillo sencilla".split()
)
_SYSTEM = frozenset(
    "crud rest api apis graphql database auth authentication authorization webapp website server"
    " dashboard pipeline integration framework docker kubernetes".split()
)
_LIST_ITEM = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s", re.MULTILINE)
_CODE_TYPES = (TaskType.CODE_GENERATION, TaskType.CODE_ANALYSIS)

_COMPLEX_FROM = 2
_SIMPLE_TO = -2


def infer_complexity(text: str, task_type: TaskType) -> TaskComplexity | None:
    """Return simple or complex where the prompt shows it, else None.

    Args:
        text: the last user turn; only its first and last part is read.
        task_type: what the prompt was found or said to be.
    """
    shown = excerpt(text).lower()
    words = set(_WORD.findall(shown))
    wide = len(words & _WIDE) + sum(phrase in shown for phrase in _WIDE_PHRASES)
    points = (
        _TYPE_POINTS.get(task_type, 0)
        + _length_points(shown, len(text))
        + min(4, 2 * wide)
        - min(2, len(words & _SMALL))
        + min(2, len(_LIST_ITEM.findall(shown)) // 3)
        + (task_type in _CODE_TYPES and not words.isdisjoint(_SYSTEM))
    )
    if points >= _COMPLEX_FROM:
        return TaskComplexity.COMPLEX
    return TaskComplexity.SIMPLE if points <= _SIMPLE_TO else None


def _length_points(shown: str, chars: int) -> int:
    words = shown.count(" ") + shown.count("\n") + 1
    if chars > len(shown):  # the cut-out middle counts too, at six characters a word
        words += (chars - len(shown)) // 6
    if words <= 8:
        return -1
    return (words >= 150) + (words >= 600)
