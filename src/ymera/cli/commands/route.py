"""`ymera route`: which model would be asked, and why; asks none."""

from __future__ import annotations

import click

from ymera.cli.output import echo_json
from ymera.cli.session import open_session, read_prompt
from ymera.cli.task_options import task_options

__all__ = ["command"]


@click.command(name="route", short_help="Explain which model would be asked; asks none.")
@click.argument("prompt", required=False)
@task_options
@click.option("--all", "all_exclusions", is_flag=True, help="List every model left out, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    prompt: str | None,
    model: str | None,
    task_type: str | None,
    complexity: str | None,
    all_exclusions: bool,
    as_json: bool,
) -> None:
    """Explain which model PROMPT would go to: ranked candidates, scores, exclusions."""
    from ymera.cli.explain import plan_lines
    from ymera.engine.orchestrator import AIRequest
    from ymera.routing.explain import explain_no_route
    from ymera.routing.plan_json import plan_json

    with open_session() as session:
        app = session.app
        request = AIRequest(
            prompt=read_prompt(prompt, max_chars=app.settings.security.max_input_length),
            model=model,
            task_type=task_type,
            complexity=complexity,
        )
        plan = app.orchestrator.route(request)
        if as_json:
            echo_json(plan_json(plan))
            return
        for line in plan_lines(plan, all_exclusions=all_exclusions):
            click.echo(line)
        if not plan.candidates:
            message, hint = explain_no_route(plan)
            click.echo(f"{message} {hint}")
