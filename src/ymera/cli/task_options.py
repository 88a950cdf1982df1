"""The options that `ask`, `chat` and `route` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ymera.core.task import TaskComplexity, TaskType

__all__ = ["answer_options", "asked_model", "task_options", "tool_names"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def answer_options(command: _Command) -> _Command:
    """Add --agent and --tools."""
    for option in (
        click.option(
            "--tools",
            metavar="NAMES",
            help="Tools to answer with, separated by commas: names, patterns such as git__*, or "
            "all.",
        ),
        click.option("--agent", metavar="NAME", help="Let this agent answer; see `ymera agents`."),
    ):
        command = option(command)
    return command


def tool_names(text: str | None) -> tuple[str, ...] | None:
    """Return the names of --tools; None when it was not given."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return tuple("*" if name == "all" else name for name in names)


def asked_model(model: str | None, agent: str | None) -> str | None:
    """Return what --model or --agent names.

    Raises:
        UsageError: both were given.
    """
    if model is not None and agent is not None:
        raise click.UsageError("--model and --agent exclude each other.")
    return model if agent is None else agent


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
