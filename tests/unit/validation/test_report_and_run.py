"""Reports count only what was checked; a component that breaks is a finding, not the end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.errors import InvalidRequest, MachineError
from ymera.validation.installation import Installation
from ymera.validation.report import (
    Check,
    CheckState,
    ComponentReport,
    Unchecked,
    Unmet,
    check,
)
from ymera.validation.run import COMPONENTS, Component, named, validate

Examine = Callable[[Installation], AsyncGenerator[Check, None]]
Play = Callable[[str, Examine], Component]

STATES = st.lists(st.sampled_from(CheckState), max_size=6)


def report(*states: CheckState) -> ComponentReport:
    checks = tuple(
        Check(name=f"n{i}", state=state, detail="d", hint="Do this.")
        for i, state in enumerate(states)
    )
    return ComponentReport(name="tools", checks=checks, seconds=1.0)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return a function that makes a component of a few checks."""

    def played(name: str, examine: Examine) -> Component:
        module = ModuleType(f"ymera.validation.components.{name}")
        module.examine = examine  # type: ignore[attr-defined]  # as the files there do
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return Component(name)

    return played


async def passing(installation: Installation) -> AsyncGenerator[Check, None]:
    yield await check("fine", asyncio.sleep(0, "all well"))


@pytest.mark.proves("validation.unchecked")
@given(STATES)
def test_a_component_passes_with_something_passed_and_nothing_failed(
    states: list[CheckState],
) -> None:
    made = report(*states)
    assert made.passed == (CheckState.PASSED in states and CheckState.FAILED not in states)
    assert made.tests_passed == states.count(CheckState.PASSED)
    assert made.tests_total == len(states) - states.count(CheckState.UNCHECKED)


@pytest.mark.proves("validation.unchecked")
def test_what_could_not_be_checked_is_said_and_not_counted() -> None:
    made = report(CheckState.PASSED, CheckState.UNCHECKED)
    assert list(made.lines()) == ["✅ TOOLS", "   Tests: 1/1", "   not checked: n1: d Do this."]
    alone = report(CheckState.UNCHECKED)
    assert list(alone.lines())[:2] == ["❌ TOOLS", "   Tests: 0/0"]
    assert alone.as_data()["unchecked"] == ["n0: d Do this."]


@pytest.mark.proves("validation.components")
def test_lines_and_data_are_the_documents() -> None:
    made = report(CheckState.PASSED, CheckState.FAILED)
    assert list(made.lines()) == ["❌ TOOLS", "   Tests: 1/2", "   ⚠️  n1: d Do this."]
    assert "   n0: d" in list(made.lines(verbose=True))
    data = made.as_data()
    assert [data[key] for key in ("passed", "tests_passed", "tests_total", "issues")] == [
        False,
        1,
        2,
        ["n1: d Do this."],
    ]


@pytest.mark.proves("validation.crash")
@pytest.mark.parametrize(
    ("error", "state", "detail", "hint"),
    [
        (Unmet("It is so.", hint="Mend it."), CheckState.FAILED, "It is so.", "Mend it."),
        (Unchecked("No network."), CheckState.UNCHECKED, "No network.", None),
        (MachineError("Disk full.", hint="Free some."), CheckState.FAILED, "Disk full.", "Free"),
        (TimeoutError(), CheckState.FAILED, "It took too long.", None),
        (KeyError("x\ny"), CheckState.FAILED, "KeyError: 'x\\ny'", "Please report it"),
    ],
)
async def test_an_error_becomes_a_sentence_with_its_hint(
    error: Exception, state: CheckState, detail: str, hint: str | None
) -> None:
    async def fails() -> str:
        raise error

    found = await check("it", fails())
    assert (found.state, found.detail) == (state, detail)
    assert (found.hint or "").startswith(hint or "")
    assert (found.hint is None) == (hint is None)


@pytest.mark.proves("validation.crash")
async def test_a_component_that_breaks_keeps_what_it_found_and_the_next_one_runs(
    play: Play,
) -> None:
    async def breaks(installation: Installation) -> AsyncGenerator[Check, None]:
        yield await check("first", asyncio.sleep(0, "fine"))
        raise MachineError("The disk is full.", hint="Free some space.")

    components = [play("broken", breaks), play("sound", passing)]
    broken, sound = [each async for each in validate(components)]
    assert [each.state for each in broken.checks] == [CheckState.PASSED, CheckState.FAILED]
    assert broken.checks[1].detail == "The disk is full."
    assert broken.checks[1].hint == "Free some space."
    assert not broken.passed
    assert sound.passed


@pytest.mark.proves("validation.crash")
async def test_a_component_that_hangs_is_ended_with_its_deadline(play: Play) -> None:
    cleaned: list[str] = []

    async def hangs(installation: Installation) -> AsyncGenerator[Check, None]:
        try:
            yield await check("never", never())
        finally:
            cleaned.append("yes")

    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    slow = Component(play("hanging", hangs).name, deadline_s=0.01)
    (found,) = [each async for each in validate([slow])]
    assert "not done within" in found.checks[-1].detail
    assert not found.passed
    assert cleaned == ["yes"]


@pytest.mark.proves("validation.apart")
async def test_each_component_has_a_scratch_directory_that_is_removed(play: Play) -> None:
    seen: list[Path] = []

    async def look(installation: Installation) -> AsyncGenerator[Check, None]:
        made = installation.directory("x")
        (made / "left.txt").write_text("behind")
        seen.append(made)
        yield await check("fine", asyncio.sleep(0, "fine"))

    _ = [each async for each in validate([play("one", look), play("two", look)])]
    assert len(set(seen)) == 2
    assert not any(each.exists() for each in seen)


@pytest.mark.proves("validation.components")
def test_components_are_the_documents_and_ours_and_unknown_ones_are_refused() -> None:
    names = [each.name for each in COMPONENTS]
    assert names[:6] == ["models", "security", "multi_model", "mcp", "tools", "performance"]
    assert names[6:] == ["monitoring", "training", "configuration"]
    assert [each.name for each in named(["tools", "models"])] == ["models", "tools"]
    with pytest.raises(InvalidRequest) as refused:
        named(["modles"])
    assert "models" in str(refused.value.hint)
