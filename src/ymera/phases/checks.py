"""What a phase answered: the artefact in it, and the checks that decide whether it counts.

A check that is executed (a parser, a schema) decides. What another model thinks of an artefact is
a review: it advises, and `Verdict` is all that is read of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from ymera.core.answer import FinishReason
from ymera.phases.extract import Extract, extract
from ymera.phases.loops import code_before_loop, loop_problem, prose_without_loop
from ymera.phases.parsers import longest_beginning, parser_of
from ymera.phases.types import Artefact, ArtefactKind, Check, PhaseSpec

__all__ = [
    "REVIEW_SCHEMA",
    "Beginning",
    "Examined",
    "Verdict",
    "beginning_of",
    "examine",
    "no_shrinking",
    "verdict_of",
]

REVIEW_SCHEMA = msgspec.json.encode(
    {
        "type": "object",
        "properties": {
            "verdict": {"enum": ["accept", "revise"]},
            "issues": {
                "type": "array",
                "items": {"type": "string", "minLength": 8, "maxLength": 120},
                "maxItems": 3,
            },
        },
        "required": ["verdict", "issues"],
        "additionalProperties": False,
    }
).decode()
"""What a review has to be."""

_CODE = frozenset({ArtefactKind.CODE, ArtefactKind.SQL})
_PROSE = frozenset({ArtefactKind.TEXT, ArtefactKind.NOTES, ArtefactKind.MARKDOWN})
_REFUSAL = re.compile(
    r"(?:i['\u2019]?m|i am)? ?(?:really |very |truly )?(?:sorry|apologi[sz]e)\b.{0,60}?\b"
    r"(?:can['\u2019]?t|cannot|can not|unable|not able|won['\u2019]?t)\b"
    r"|i (?:can['\u2019]?t|cannot|can not|won['\u2019]?t|am unable to|am not able to) "
    r"(?:help|assist|provide|create|write|generate|do|fulfil|comply|answer)"
    r"|as an ai(?: language)?(?: model| assistant)?\b.{0,60}?"
    r"\b(?:can['\u2019]?t|cannot|unable|don['\u2019]?t)",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST_REFUSAL = 600
_LEAST_WORDS = 3
"""Less is no issue: small models write numbers and single words."""
_LEAST_SHARE_KEPT = 0.5

_LEAST_SHARE_THAT_PARSES = 0.5
"""A shorter beginning of rejected code is another program."""

_LOOP_CHECK = "not caught in a loop"
_LEAST_KEPT = 60
"""Prose that has less than this before it repeats itself says nothing."""


class Verdict(msgspec.Struct, frozen=True):
    """A review: `accept` or `revise`, and what is wrong."""

    verdict: str
    issues: tuple[str, ...] = ()

    @property
    def wants_changes(self) -> bool:
        """Whether it says what to change; `revise` without a sentence says nothing."""
        return self.verdict == "revise" and any(
            len(issue.split()) >= _LEAST_WORDS for issue in self.issues
        )


@dataclass(frozen=True, kw_only=True)
class Examined:
    """An artefact with its checks, and what was left out of the answer, one sentence each."""

    artefact: Artefact
    checks: tuple[Check, ...]
    losses: tuple[str, ...] = ()

    @property
    def problem(self) -> str | None:
        """What the first failed check that decides found; None when none failed."""
        return next((each.detail for each in self.checks if each.decides and not each.passed), None)

    @property
    def loops(self) -> bool:
        """Whether the model was caught in a loop."""
        return any(each.name == _LOOP_CHECK and not each.passed for each in self.checks)


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The part of rejected code that parses, and one sentence about the rest."""

    artefact: Artefact
    loss: str


def examine(
    phase: PhaseSpec, answer: str, finish: FinishReason, *, language: str | None
) -> Examined:
    """Return the artefact in `answer` and how it fares.

    Args:
        phase: what was asked for.
        answer: the model's text.
        finish: why the model stopped.
        language: of code, in lower case; None for any.
    """
    contract = phase.output
    language = language or _language_of_kind(contract.kind)
    found = extract(contract.kind, answer, language)
    checks = [_answered(phase, found)]
    if checks[0].passed and phase.review_of is None:  # a review only advises: no need to be good
        found = _without_repetition(phase, found)
        checks.append(_not_looping(contract.kind, found.text))
    if checks[0].passed:
        checks += _parsed(phase, found, language)
    if finish is FinishReason.LENGTH:
        detail = "The answer was cut at the most tokens it could have."
        checks.append(Check(name="whole", passed=False, detail=detail, decides=False))
    losses = [each.detail for each in checks if not each.passed and not each.decides]
    artefact = Artefact(
        phase=phase.name,
        kind=contract.kind,
        text=found.text,
        language=language or found.language,
    )
    return Examined(artefact=artefact, checks=tuple(checks), losses=(*losses, *found.losses))


def verdict_of(artefact: Artefact) -> Verdict | None:
    """Return the review in `artefact`, None when it cannot be read."""
    try:
        return msgspec.json.decode(artefact.text, type=Verdict)
    except msgspec.DecodeError:
        return None


def no_shrinking(revision: Artefact, before: Artefact) -> Check:
    """Check that a revision did not lose most of what it was to improve."""
    share = len(revision.text) / max(1, len(before.text))
    passed = share >= _LEAST_SHARE_KEPT
    detail = "" if passed else f"The revision keeps {share:.0%} of {before.phase}'s length."
    return Check(name="nothing lost", passed=passed, detail=detail)


def beginning_of(rejected: Examined, least_chars: int) -> Beginning | None:
    """Return what of rejected code can be used all the same, None when it is no program.

    Args:
        rejected: an answer that loops, or breaks off, or does not parse to its end.
        least_chars: that the beginning must have.
    """
    made = rejected.artefact
    parse = parser_of(made.language or _language_of_kind(made.kind))
    if parse is None or made.kind not in _CODE:
        return None
    if rejected.loops:
        text = code_before_loop(made.text, parse)
        loss = "The model began to repeat itself; what it wrote before that parses and is used."
    else:
        text = longest_beginning(made.text, parse)
        least_chars = max(least_chars, int(len(made.text) * _LEAST_SHARE_THAT_PARSES))
        lines = len((text or "").splitlines()), len(made.text.splitlines())
        loss = f"{rejected.problem} Its first {lines[0]} of {lines[1]} lines parse and are used."
    if text is None or len(text) < least_chars:
        return None
    return Beginning(artefact=msgspec.structs.replace(made, text=text), loss=loss)


def _language_of_kind(kind: ArtefactKind) -> str | None:
    return "sql" if kind is ArtefactKind.SQL else None


def _answered(phase: PhaseSpec, found: Extract) -> Check:
    text = found.text.strip()
    least = phase.output.min_chars
    detail = ""
    if not text:
        missing = {ArtefactKind.NOTES: "prose", ArtefactKind.TEXT: "text"}
        detail = f"There is no {missing.get(phase.output.kind, phase.output.kind)} in the answer."
    elif len(text) < least:
        detail = f"The answer has {len(text)} characters, at least {least} are wanted."
    elif len(text) <= _LONGEST_REFUSAL and _REFUSAL.match(text):
        detail = "The model declined to answer."
    return Check(name="answered", passed=not detail, detail=detail)


def _without_repetition(phase: PhaseSpec, found: Extract) -> Extract:
    """Return prose up to where the model began to repeat itself, when enough of it is left."""
    kind, text = phase.output.kind, found.text
    if kind not in _PROSE or loop_problem(kind, text) is None:
        return found
    text = prose_without_loop(text)
    if len(text) < max(_LEAST_KEPT, phase.output.min_chars):
        return found
    loss = f"{len(found.text) - len(text):,} characters of repetitions were left out."
    return Extract(text=text, language=found.language, losses=(*found.losses, loss))


def _not_looping(kind: ArtefactKind, text: str) -> Check:
    problem = loop_problem(kind, text)
    return Check(name=_LOOP_CHECK, passed=problem is None, detail=problem or "")


def _parsed(phase: PhaseSpec, found: Extract, language: str | None) -> list[Check]:
    kind = phase.output.kind
    if kind is ArtefactKind.JSON:
        return _json_checks(phase, found)
    if kind not in _CODE:
        return []
    parse = parser_of(language or found.language)
    if parse is None:
        detail = "" if found.fenced else "The code does not stand in a closed code block."
        return [Check(name="code block (not parsed)", passed=found.fenced, detail=detail)]
    problem = parse(found.text)
    name = f"parses as {language or found.language}"
    return [Check(name=name, passed=problem is None, detail=problem or "")]


def _json_checks(phase: PhaseSpec, found: Extract) -> list[Check]:
    parse = parser_of("json")
    problem = parse(found.text) if parse else None
    checks = [Check(name="parses as json", passed=problem is None, detail=problem or "")]
    if problem is None and phase.output.schema is not None:
        problem = _schema_problem(found.text, phase.output.schema)
        checks.append(Check(name="fits its schema", passed=problem is None, detail=problem or ""))
    return checks


def _schema_problem(text: str, schema: str) -> str | None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    validator = Draft202012Validator(msgspec.json.decode(schema))
    error = best_match(validator.iter_errors(msgspec.json.decode(text)))
    if error is None:
        return None
    place = ".".join(str(part) for part in error.absolute_path) or "the whole"
    return f"{place}: {error.message[:200]}."
