"""Results made easy to read for a small model: the record that counts, no noise around it."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from ymera.tools.relevance import relevance, terms

__all__ = [
    "focused_records",
    "hashes",
    "is_empty",
    "is_grounded",
    "may_answer",
    "only_fact",
    "readable",
]

_LEAST_RECORDS = 3
_CLEARLY = 1.5
_HASH = re.compile(r"\b[0-9a-f]{40}\b|\b[0-9a-f]{64}\b")
_ONLY_HASH = re.compile(r"^.{0,20}\b(?:[0-9a-f]{40}|[0-9a-f]{64})\s*$\n?", re.MULTILINE)
_WANTS_HASH = re.compile(r"\b(hash|sha|which commit|what commit)\b", re.IGNORECASE)
_SPECIFIC = re.compile(r"[^\W_][\w.:/-]*\d[\w.:/-]*|\b[A-Z][\w-]+|\d+")
_SENTENCE_BEGINS = re.compile(r"(?:^|\w{4}[.!?])[\s\"']*$")
_EXCLUDED = re.compile(
    r"\b(?:apart from|besides|beside|except(?: for)?|other than|other \w+ than) ([\w/-]+)",
    re.IGNORECASE,
)
_COLUMN = re.compile(r"[A-Za-z_][\w -]{0,40}")
_ONE_FACT = re.compile(r"[\s*-]*(?:[\w ]{1,40}: )?(\S.{0,120})\s*")
_QUOTED = re.compile(r"(?<!\w)(['\"])(.+?)\1(?!\w)")
_WORD = re.compile(r"\w+")
_LABEL = re.compile(r"^([A-Za-z][\w ]*):", re.MULTILINE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
_NEWEST = re.compile(r"\b(latest|newest|most recent|last)\b")
_OLDEST = re.compile(r"\b(first|oldest|earliest|initial)\b")
_ORDER_WORDS = frozenset(terms("latest newest recent last first oldest earliest initial"))
_SECTION = re.compile(r"^\[+([\w. -]+)\]+\s*$")
_SETTING = re.compile(r"^[\w.\"-]+\s*=\s*\S")
_DIFF_NOISE = re.compile(r"^(?:index [0-9a-f]+\.\.|--- |\+\+\+ |@@ |(?:old|new) mode )")


def readable(text: str, question: str) -> str:
    """Return a text with what confuses left out, and nothing else changed.

    Settings carry the name of their section, table rows those of their columns, a diff is file
    names and changed lines. What the question excludes by name goes, and so do hashes unless it
    is for one: a hash looks like the answer to anything.
    """
    if not _WANTS_HASH.search(question):
        text = _ONLY_HASH.sub("", text)
    if "diff --git " in text:
        text = _plain_diff(text)
    return _labelled_rows(_with_sections(_without_excluded(text, question)))


def focused_records(text: str, question: str) -> str:
    """Return the record of a result that the question is about, if that can be told by rule.

    Records are blocks of equally labelled lines, parted by blank lines. Those with most of the
    question's words count; of several the newest or first, if that is asked and they have dates.
    """
    records = _records(text)
    if len(records) < _LEAST_RECORDS:
        return text
    near = _nearest(records, question)
    if len(near) == 1:
        return near[0]
    words = question.lower()
    newest_first = _is_newest_first(records)
    if newest_first is not None and _NEWEST.search(words):
        return near[0] if newest_first else near[-1]
    if newest_first is not None and _OLDEST.search(words):
        return near[-1] if newest_first else near[0]
    return text


def hashes(text: str) -> list[str]:
    """Return the hashes that stand in a text, each once."""
    return list(dict.fromkeys(_HASH.findall(text)))


def is_empty(text: str) -> bool:
    """Whether a result says that there was nothing."""
    return text.strip().rstrip(".").lower() in {"", "no rows", "[]", "{}", "null", "none"}


def is_grounded(answer: str, source: str, question: str) -> bool:
    """Whether an answer says something new that stands in the source.

    Its names and numbers must all stand in the source or the question.
    """
    new = set(terms(answer)) - set(terms(question))
    if not new & set(terms(source)):
        return False
    known = f"{source}\n{question}".lower()
    return all(word.lower().rstrip(".:-/") in known for word in _specific_words(answer))


def _specific_words(answer: str) -> list[str]:
    """Return names and numbers; a plain word that begins a sentence is neither."""
    return [
        match.group()
        for match in _SPECIFIC.finditer(answer)
        if any(sign.isdigit() for sign in match.group())
        or not _SENTENCE_BEGINS.search(answer[max(0, match.start() - 12) : match.start()])
    ]


def only_fact(text: str) -> str | None:
    """Return the value of a result that is a single short line, without label or bullet.

    Returns:
        None for anything longer, and for nothing.
    """
    match = _ONE_FACT.fullmatch(text)
    fact = match.group(1).strip() if match else ""
    return fact if fact and fact != "NULL" and not fact.endswith(":") else None


def may_answer(source: str, question: str) -> bool:
    """Whether a text can hold the answer: what a question puts in quotes has to occur in it."""
    quoted = [match.group(2) for match in _QUOTED.finditer(question)]
    known = set(terms(source))
    return all(known.intersection(terms(words)) or not terms(words) for words in quoted)


def _nearest(records: Sequence[str], question: str) -> list[str]:
    """Return the records that have clearly most of the words that not all of them have."""
    bags = [set(terms(record)) for record in records]
    common = set.intersection(*bags)
    idle = common | _ORDER_WORDS
    telling = [word for word in _WORD.findall(question) if not idle.issuperset(terms(word))]
    scores = relevance(" ".join(telling), records)
    best = max(scores)
    if best == 0:
        return list(records)
    return [
        record for record, score in zip(records, scores, strict=True) if score * _CLEARLY > best
    ]


def _records(text: str) -> list[str]:
    """Return the blocks of a text if they all have the same labels, without what is around."""
    blocks = [block.splitlines() for block in re.split(r"\n\s*\n", text) if block.strip()]
    shapes = [tuple(_LABEL.findall("\n".join(block))) for block in blocks]
    labels = shapes[-1] if shapes else ()
    if not labels or any(shape[-len(labels) :] != labels for shape in shapes):
        return []
    return ["\n".join(block[-len(labels) :]) for block in blocks]


def _is_newest_first(records: Sequence[str]) -> bool | None:
    """Return how records are ordered by their dates; None when they have none or no order."""
    found = [_DATE.search(record) for record in records]
    dates = [match.group() for match in found if match is not None]
    if len(dates) < len(records):
        return None
    if dates == sorted(dates, reverse=True):
        return True
    return False if dates == sorted(dates) else None


def _plain_diff(text: str) -> str:
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("diff --git "):
            lines.append(f"file {line.rpartition(' b/')[2]}")
        elif line.startswith(("new file mode", "deleted file mode")):
            lines[-1] = f"{line.split()[0]} {lines[-1]}"
        elif not _DIFF_NOISE.match(line):
            lines.append(line)
    return "\n".join(lines)


def _without_excluded(text: str, question: str) -> str:
    """Return a list without the entry that a question wants others than."""
    excluded = {match.group(1).lower() for match in _EXCLUDED.finditer(question)}
    lines = text.splitlines()
    kept = [line for line in lines if line.strip(" *-\t").lower() not in excluded]
    return "\n".join(kept) if excluded and any(line.strip() for line in kept) else text


def _labelled_rows(text: str) -> str:
    """Return rows of comma-separated values with the names of their columns."""
    rows = [row for row in csv.reader(text.strip().splitlines()) if row]
    names = rows[0] if rows else []
    is_table = (
        len(rows) > 1
        and len(names) > 1
        and all(len(row) == len(names) for row in rows)
        and all(_COLUMN.fullmatch(name.strip()) for name in names)
    )
    if not is_table:
        return text
    return "\n".join(
        ", ".join(f"{name.strip()}: {cell.strip()}" for name, cell in zip(names, row, strict=True))
        for row in rows[1:]
    )


def _with_sections(text: str) -> str:
    """Return settings in sections as `section.name = value`."""
    lines: list[str] = []
    section = ""
    for line in text.splitlines():
        head = _SECTION.match(line)
        if head is not None:
            section = f"{head.group(1)}."
        elif section and _SETTING.match(line):
            lines.append(section + line)
        else:
            lines.append(line)
    return "\n".join(lines)
