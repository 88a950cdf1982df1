"""The artefact in an answer: code out of its fence, JSON out of the words around it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from ymera.phases.parsers import parser_of
from ymera.phases.types import ArtefactKind

__all__ = ["Extract", "extract"]

_FENCE = re.compile(
    r"^[ ]{0,3}(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)\n(?P<body>.*?)"
    r"(?:(?P<end>^[ ]{0,3}(?P=mark)[`~]*[ \t]*$)|\Z)",
    re.MULTILINE | re.DOTALL,
)
_THINKING = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_SAME = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "ts": "typescript",
    "sh": "bash",
    "shell": "bash",
    "yml": "yaml",
    "c++": "cpp",
    "golang": "go",
    "md": "markdown",
    "postgresql": "sql",
    "postgres": "sql",
    "sqlite": "sql",
    "mysql": "sql",
}


@dataclass(frozen=True, kw_only=True)
class Extract:
    """What was found.

    Attributes:
        text: the artefact; empty when there is none.
        language: what its fence says; None without one.
        fenced: whether it stood in a closed fence.
        losses: what of the answer is not in it, one sentence each.
    """

    text: str
    language: str | None = None
    fenced: bool = False
    losses: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Block:
    language: str | None
    body: str
    closed: bool


def extract(kind: ArtefactKind, answer: str, language: str | None) -> Extract:
    """Return the artefact in `answer`.

    Args:
        kind: what it has to be.
        answer: the model's text; visible reasoning in front is no part of it.
        language: of code, in lower case; None takes what comes.
    """
    answer = _THINKING.sub("", answer, count=1).strip()
    match kind:
        case ArtefactKind.CODE | ArtefactKind.SQL:
            return _code(answer, language)
        case ArtefactKind.JSON:
            return _json(answer)
        case ArtefactKind.NOTES:
            return _notes(answer)
        case _:
            return _prose(answer)


def _blocks(answer: str) -> list[_Block]:
    found = []
    for match in _FENCE.finditer(answer):
        words = match["info"].strip().lower().split()
        name = words[0].strip("{}.") if words else None
        language = _SAME.get(name, name) if name else None
        found.append(_Block(language, match["body"].rstrip(), match["end"] is not None))
    return found


def _code(answer: str, language: str | None) -> Extract:
    """Return the code that parses, else the longest; a whole answer counts where it parses."""
    wanted = _SAME.get(language, language) if language else None
    parse = parser_of(wanted)
    blocks = [each for each in _blocks(answer) if each.body.strip()]
    fitting = [each for each in blocks if wanted is None or each.language in {wanted, None}]
    fitting.sort(key=lambda block: len(block.body), reverse=True)
    chosen = next((each for each in fitting if parse and parse(each.body) is None), None)
    if chosen is None and fitting:
        chosen = fitting[0]
    if chosen is None:
        if blocks or parse is None:
            return Extract(text="")
        return Extract(text=answer if parse(answer) is None else "")
    others = sum(len(each.body) for each in blocks) - len(chosen.body)
    losses = (f"{others:,} characters of other code blocks were left out.",) if others else ()
    return Extract(text=chosen.body, language=chosen.language, fenced=chosen.closed, losses=losses)


def _json(answer: str) -> Extract:
    for text in (answer, *(each.body for each in _blocks(answer))):
        if _is_json(text):
            return Extract(text=text.strip())
    decoder = json.JSONDecoder()
    for start in re.finditer(r"[\[{]", answer):
        try:
            _, end = decoder.raw_decode(answer, start.start())
        except (ValueError, RecursionError):
            continue
        return Extract(text=answer[start.start() : end])
    return Extract(text=answer)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _notes(answer: str) -> Extract:
    """Return the answer without code: models asked for a plan like to do the work at once."""
    text = _FENCE.sub("", answer).strip()
    left_out = len(answer) - len(text)
    losses = (f"{left_out:,} characters of code were left out.",) if _FENCE.search(answer) else ()
    return Extract(text=text, losses=losses)


def _prose(answer: str) -> Extract:
    """Return the answer; one that stands whole in a fence is taken out of it."""
    blocks = _blocks(answer)
    if len(blocks) == 1 and blocks[0].language in {"markdown", "text", "plaintext"}:
        whole = answer.startswith(("```", "~~~")) and answer.endswith(("```", "~~~"))
        if whole:
            return Extract(text=blocks[0].body)
    return Extract(text=answer)
