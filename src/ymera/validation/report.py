"""What validation found: one check, one component, and their form in the document."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from enum import StrEnum

import msgspec

from ymera.core.errors import YmeraError

__all__ = [
    "Check",
    "CheckState",
    "ComponentReport",
    "Unchecked",
    "Unmet",
    "check",
    "explained",
]

_BUG_HINT = "Please report it; `ymera doctor` and `ymera --traceback validate` show more."


class CheckState(StrEnum):
    """How a check went; what could not be looked at is not passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNCHECKED = "unchecked"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried: what came of it, and how to mend it."""

    name: str
    state: CheckState
    detail: str
    hint: str | None = None


class ComponentReport(msgspec.Struct, frozen=True, kw_only=True):
    """Every check of one component.

    Attributes:
        name: as in the document: `models`, `security`, ...
        checks: in the order they were made.
        seconds: wall time of all of them.
    """

    name: str
    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether no check failed and at least one passed."""
        return bool(self.tests_passed) and not self.failures

    @property
    def tests_passed(self) -> int:
        """How many checks passed."""
        return sum(each.state is CheckState.PASSED for each in self.checks)

    @property
    def tests_total(self) -> int:
        """How many checks were made; those that could not be are not among them."""
        return sum(each.state is not CheckState.UNCHECKED for each in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(each for each in self.checks if each.state is CheckState.FAILED)

    @property
    def unchecked(self) -> tuple[Check, ...]:
        """The checks that could not be made."""
        return tuple(each for each in self.checks if each.state is CheckState.UNCHECKED)

    def as_data(self) -> dict[str, object]:
        """Return the document's keys (`passed`, `tests_passed`, ...) and everything behind them."""
        return {
            "component": self.name,
            "passed": self.passed,
            "tests_passed": self.tests_passed,
            "tests_total": self.tests_total,
            "issues": [_sentence(each) for each in self.failures],
            "unchecked": [_sentence(each) for each in self.unchecked],
            "seconds": round(self.seconds, 3),
            "checks": self.checks,
        }

    def lines(self, *, verbose: bool = False) -> Iterator[str]:
        """Yield the component's lines as the document prints them.

        Args:
            verbose: also name what passed, with what was found.
        """
        yield f"{'✅' if self.passed else '❌'} {self.name.upper()}"
        yield f"   Tests: {self.tests_passed}/{self.tests_total}"
        for each in self.checks:
            if each.state is CheckState.FAILED:
                yield f"   ⚠️  {_sentence(each)}"
            elif each.state is CheckState.UNCHECKED:
                yield f"   not checked: {_sentence(each)}"
            elif verbose:
                yield f"   {each.name}: {each.detail}"


class Unmet(Exception):
    """Something is not as it has to be; `hint` is what mends it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Unchecked(Unmet):
    """Something optional cannot be looked at here."""


async def check(name: str, work: Awaitable[str]) -> Check:
    """Return how `work` went: its text is the detail; what it raises is a failure.

    Args:
        name: what is tried, in a few words.
        work: tries it; returns what was found, raises `Unmet`, `Unchecked` or any error.
    """
    try:
        detail = await work
    except Exception as error:  # noqa: BLE001 - one broken part must not hide the others
        return explained(name, error)
    return Check(name=name, state=CheckState.PASSED, detail=detail)


def explained(name: str, error: Exception) -> Check:
    """Return the check that `error` ended: its own sentence and hint, never a traceback."""
    state, detail, hint = CheckState.FAILED, str(error), None
    if isinstance(error, Unchecked):
        state, hint = CheckState.UNCHECKED, error.hint
    elif isinstance(error, (Unmet, YmeraError)):
        hint = error.hint
    elif isinstance(error, TimeoutError) and not detail:
        detail = "It took too long."
    else:
        detail, hint = f"{type(error).__name__}: {detail}", _BUG_HINT
    return Check(name=name, state=state, detail=" ".join(detail.split()), hint=hint)


def _sentence(each: Check) -> str:
    return f"{each.name}: {each.detail}" + (f" {each.hint}" if each.hint else "")
