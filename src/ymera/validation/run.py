"""Runs the components of validation, one after another."""

from __future__ import annotations

import asyncio
import importlib
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ymera.core.errors import InvalidRequest
from ymera.validation.report import Check, CheckState, ComponentReport, explained

if TYPE_CHECKING:
    from ymera.validation.installation import Installation

__all__ = ["COMPONENTS", "Component", "named", "validate"]

Examine = Callable[["Installation"], AsyncGenerator[Check, None]]
"""Makes a component's checks, in order; an error ends them."""


@dataclass(frozen=True)
class Component:
    """A part of Ymera that is validated by `ymera.validation.components.<name>.examine`.

    Attributes:
        name: as in the document.
        deadline_s: seconds all its checks may take; generous, since machines are busy.
    """

    name: str
    deadline_s: float = 120.0

    def examine(self, installation: Installation) -> AsyncGenerator[Check, None]:
        """Make the checks."""
        module = importlib.import_module(f"ymera.validation.components.{self.name}")
        examine: Examine = module.examine
        return examine(installation)


COMPONENTS = (
    Component("models", deadline_s=300),
    Component("security"),
    Component("multi_model", deadline_s=900),
    Component("mcp"),
    Component("tools"),
    Component("performance", deadline_s=600),
    Component("monitoring"),
    Component("training"),
    Component("configuration"),
)
"""In the document's order; the last three are of this project's plan."""


def named(names: Sequence[str]) -> tuple[Component, ...]:
    """Return the components of these names, all for none, in the order they are run.

    Raises:
        InvalidRequest: a name is none of theirs.
    """
    known = {each.name: each for each in COMPONENTS}
    for name in names:
        if name not in known:
            raise InvalidRequest(
                f"There is no component {name!r} to validate.",
                hint=f"One of: {', '.join(known)}.",
                param="component",
            )
    return tuple(each for each in COMPONENTS if not names or each.name in names)


async def validate(
    components: Sequence[Component] = COMPONENTS,
    *,
    environ: Mapping[str, str] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[ComponentReport]:
    """Yield the report of each component as soon as it is made.

    Args:
        components: what to validate; see `named`.
        environ: environment variables; None is this process's.
        monotonic: seconds that only grow.
    """
    from ymera.validation.installation import Installation

    environ = os.environ if environ is None else environ
    for component in components:
        started = monotonic()
        # One each: what one component broke or used up cannot decide about the next.
        with tempfile.TemporaryDirectory(
            prefix="ymera-validation-", ignore_cleanup_errors=True
        ) as scratch:
            checks = await _checks(component, Installation(environ, Path(scratch)))
        yield ComponentReport(name=component.name, checks=checks, seconds=monotonic() - started)


async def _checks(component: Component, installation: Installation) -> tuple[Check, ...]:
    """Return the checks; a component that breaks off or is too slow ends with one that failed."""
    found: list[Check] = []
    deadline = asyncio.timeout(component.deadline_s)
    try:
        async with deadline, aclosing(component.examine(installation)) as checks:
            async for each in checks:
                found.append(each)  # noqa: PERF401 - what was found stays when the next one breaks
    except TimeoutError as error:
        found.append(_too_slow(component) if deadline.expired() else explained("run", error))
    except Exception as error:  # noqa: BLE001 - a broken component is a finding
        found.append(explained("run", error))
    return tuple(found)


def _too_slow(component: Component) -> Check:
    return Check(
        name="run",
        state=CheckState.FAILED,
        detail=f"It was not done within {component.deadline_s:.0f} seconds.",
        hint="If the machine is not just busy, `ymera doctor` may say why.",
    )
