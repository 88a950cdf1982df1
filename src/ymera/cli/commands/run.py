"""`ymera run`: a task done by an agent, a model for each phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ymera.cli.run_follow import bound_options, carry_out
from ymera.cli.session import open_session, read_prompt
from ymera.core.task import TaskComplexity

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["command"]


@click.command(name="run", short_help="A task done in phases, a model for each.")
@click.argument("task", required=False)
@click.argument("more", nargs=-1, metavar="")
@click.option(
    "-a", "--agent", default="general_agent", show_default=True, help="See `ymera agents`."
)
@click.option(
    "-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="What the agent asks."
)
@click.option(
    "--strategy",
    type=click.Choice(["single_model", "multi_model"]),
    metavar="STRATEGY",
    help="single_model or multi_model; default: by agent and complexity.",
)
@click.option(
    "--complexity",
    type=click.Choice([each.value for each in TaskComplexity]),
    metavar="LEVEL",
    help=f"{', '.join(TaskComplexity)}; default: inferred.",
)
@click.option("--private", is_flag=True, help="Keep nothing; it cannot be resumed then.")
@bound_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    task: str | None,
    more: tuple[str, ...],
    agent: str,
    pairs: tuple[str, ...],
    strategy: str | None,
    complexity: str | None,
    private: bool,
    max_calls: int | None,
    max_tokens: int | None,
    max_usd: Decimal | None,
    max_seconds: float | None,
    as_json: bool,
) -> None:
    """Do TASK with an agent and print what it made; phases are shown on stderr.

    Text on stdin is appended to TASK. The exit code is 0 when every phase is done. Ctrl-C leaves
    the run so that `ymera runs resume` carries it on.
    """
    from ymera.app.running import bounds

    if more:
        raise click.UsageError(f'The task is one argument: ymera run "{task} {" ".join(more)}"')
    with open_session() as session:
        app = session.app
        spec = app.running.plan(
            agent,
            read_prompt(task, max_chars=app.settings.security.max_input_length),
            _parameters(pairs),
            strategy=strategy,
            complexity=None if complexity is None else TaskComplexity(complexity),
            private=private,
            budget=bounds(calls=max_calls, tokens=max_tokens, usd=max_usd, seconds=max_seconds),
        )
        code = carry_out(session, app.runs.submit(spec), as_json=as_json)
    if code:
        raise click.exceptions.Exit(code)


def _parameters(pairs: tuple[str, ...]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"{pair!r} is no parameter; write NAME=VALUE.")
        if name.strip() in parameters:
            raise click.UsageError(f"The parameter {name.strip()!r} is given twice.")
        parameters[name.strip()] = value
    return parameters
