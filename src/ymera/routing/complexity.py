"""How much a prompt asks of a model: a documented rule, no training.

Points are added up; 2 or more is complex, -2 or fewer is simple, between them the prompt shows no
clear sign and the caller's default holds (the user's document: medium).

| sign | points |
|---|---|
| kind of task: greetings, translations and actions are light; research and code analysis heavy | -1..+1 |
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

_WIDE = re.compile(
    r"\b(?:code ?base\w*|repositor(?:y|ies)|architect\w+|micro-?services?|distributed|scalab\w+"
    r"|end[- ]to[- ]end|comprehensive\w*|in[- ]depth|thorough\w*|exhaustive\w*|entire|whole system"
    r"|full[- ]stack|production[- ]ready|multi-?tenant|fault[- ]toleran\w+|concurren\w+"
    r"|prove|proof|derive|theorem|trade-?offs?|roadmap|migration plan|strategy|literature review"
    r"|state of the art|meta-analysis|security audit|threat model|compiler|operating system"
    r"|architektur\w*|umfassend\w*|ausführlich\w*|gründlich\w*|beweise?|démontre\w*|approfondi\w*"
    r"|arquitectura|exhaustiv[oa]|demuestra)\b",
)
_SMALL = re.compile(
    r"\b(?:hello|hallo|hola|bonjour|hi|simple|simply|basic|short|quick|one-?liner|one sentence"
    r"|small|tiny|einfach\w*|kurz\w*|simplement|court|breve|sencill[oa])\b"
)
_SYSTEM = re.compile(
    r"\b(?:crud|rest|apis?|graphql|database|auth\w*|web ?app\w*|website|server|dashboard|pipeline"
    r"|integration|framework|docker|kubernetes|full)\b"
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
    points = (
        _TYPE_POINTS.get(task_type, 0)
        + _length_points(shown, len(text))
        + min(4, 2 * len(set(_WIDE.findall(shown))))
        - min(2, len(set(_SMALL.findall(shown))))
        + min(2, len(_LIST_ITEM.findall(shown)) // 3)
        + (task_type in _CODE_TYPES and _SYSTEM.search(shown) is not None)
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
