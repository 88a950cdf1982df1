"""The options that `ask`, `chat` and `route` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ymera.core.task import TaskComplexity, TaskType

__all__ = ["task_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def task_options(command: _Command) -> _Command:
    """Add --model, --task-type and --complexity."""
    for option in (
        click.option(
            "--complexity",
            metavar="LEVEL",
            type=click.Choice([each.value for each in TaskComplexity]),
            help=f"{', '.join(TaskComplexity)}; default: inferred.",
        ),
        click.option(
            "--task-type",
            metavar="TYPE",
            type=click.Choice([each.value for each in TaskType]),
            help="What kind of task it is; default: inferred.",
        ),
        click.option(
            "-m",
            "--model",
            metavar="NAME",
            help="auto, free, fast, best, cheapest, or a model of `ymera models`.",
        ),
    ):
        command = option(command)
    return command
