"""`ymera agents`: list, show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table, note
from ymera.cli.session import open_session

if TYPE_CHECKING:
    from ymera.phases.load import Listed
    from ymera.phases.types import AgentSpec, PhaseSpec

__all__ = ["command"]

_FAILED = 2


@click.group(name="agents", cls=DefaultGroup, default="list")
def command() -> None:
    """List and show agents; `list` by default.

    An agent turns a task into phases. Your own stand in the folder `agents` beside your
    configuration, one TOML file each; one of the same name replaces a bundled one.
    """


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def list_agents(ctx: click.Context, as_json: bool) -> None:
    """List all agents, and what is wrong with a file that cannot be used."""
    with open_session() as session:
        listed = session.app.running.agents.list()
    if as_json:
        echo_json([_summary(each) for each in listed])
    else:
        echo_table(("AGENT", "PHASES", "FROM", "DOES"), [_row(each) for each in listed])
        for each in listed:
            if each.error is not None:
                note(f"{each.error.message} {each.error.hint or ''}".rstrip())
    if any(each.error is not None for each in listed):
        ctx.exit(_FAILED)


@command.command(name="show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Show an agent: parameters, budget, phases and what each must answer."""
    with open_session() as session:
        agents = session.app.running.agents
        agent = agents.get(name)
        source = agents.source(name)
    if as_json:
        echo_json({"source": source, "agent": agent})
        return
    _show(agent, source)


def _summary(listed: Listed) -> dict[str, object]:
    agent, error = listed.agent, listed.error
    return {
        "name": listed.name,
        "source": listed.source,
        "description": agent.description if agent else None,
        "phases": [phase.name for phase in agent.phases] if agent else None,
        "strategy": agent.strategy if agent else None,
        "parameters": sorted(agent.parameters) if agent else None,
        "error": error.message if error else None,
    }


def _row(listed: Listed) -> tuple[str, ...]:
    agent = listed.agent
    phases = str(len(agent.phases)) if agent else "?"
    does = agent.description if agent else "cannot be used, see below"
    return (listed.name, phases, listed.source, does)


def _show(agent: AgentSpec, source: str) -> None:
    click.echo(f"{agent.name} ({source})\n  {agent.description}")
    click.echo(f"strategy: {agent.strategy or 'by the complexity of the task'}")
    bounds = agent.budget
    click.echo(f"at most: {bounds.calls} calls, {bounds.tokens:,} tokens, {bounds.seconds:g} s")
    if agent.parameters:
        click.echo("parameters:")
    for name, parameter in agent.parameters.items():
        facts = [parameter.description] if parameter.description else []
        facts += ["required"] if parameter.required else []
        facts += [f"default {parameter.default}"] if parameter.default is not None else []
        facts += [f"one of {', '.join(parameter.choices)}"] if parameter.choices else []
        click.echo(f"  {name}: {'; '.join(facts)}")
    click.echo("as one call:")
    echo_table(_PHASE_HEADER, [_phase_row(agent.single)])
    click.echo("phases:")
    echo_table(_PHASE_HEADER, [_phase_row(phase) for phase in agent.phases])


_PHASE_HEADER = ("PHASE", "TASK TYPE", "MODEL", "AFTER", "ANSWER", "TOOLS")


def _phase_row(phase: PhaseSpec) -> tuple[str, ...]:
    after = ", ".join(phase.after) or "-"
    if phase.review_of:
        after = f"{phase.review_of} (reviews it)"
    elif phase.revises:
        after = f"{after} (revises {phase.revises})"
    answer = f"{phase.output.kind}{' (optional)' if phase.optional else ''}"
    tools = ", ".join((*phase.tools, *(f"context of {name}" for name in phase.context))) or "-"
    return (f"  {phase.name}", phase.task_type, phase.model, after, answer, tools)
