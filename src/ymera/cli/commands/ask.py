"""`ymera ask`: one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ymera.cli.advice import better_model_advice
from ymera.cli.output import echo_json, note, stdout_is_terminal, usd
from ymera.cli.session import open_session, read_prompt
from ymera.cli.task_options import task_options

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.core.route import RoutePlan
    from ymera.engine.orchestrator import AIRequest, AIResponse

__all__ = ["command"]


@click.command(name="ask", short_help="One answer.")
@click.argument("prompt", required=False)
@click.argument("more", nargs=-1, metavar="")
@task_options
@click.option("--stream/--no-stream", default=None, help="Print while the model writes.")
@click.option("--explain", is_flag=True, help="Say on stderr which model answered and why.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    prompt: str | None,
    more: tuple[str, ...],
    model: str | None,
    task_type: str | None,
    complexity: str | None,
    stream: bool | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Answer PROMPT with the best model that costs nothing.

    Text on stdin is appended to PROMPT.
    """
    from ymera.engine.orchestrator import AIRequest

    if more:
        raise click.UsageError(f'The prompt is one argument: ymera "{prompt} {" ".join(more)}"')
    with open_session() as session:
        app = session.app
        request = AIRequest(
            prompt=read_prompt(prompt, max_chars=app.settings.security.max_input_length),
            model=model,
            task_type=task_type,
            complexity=complexity,
        )
        live = not as_json and (stdout_is_terminal() if stream is None else stream)
        answering = _print_live(app, request) if live else app.orchestrator.ask(request)
        response = session.run(answering)
        plan = app.orchestrator.route(request) if explain or as_json else None
        if not live:
            _print_whole(response, plan if as_json else None)
        _print_notes(app, response, plan if explain else None)


async def _print_live(app: App, request: AIRequest) -> AIResponse:
    """Print the answer as it is written; return the facts about it."""
    from contextlib import aclosing

    from ymera.core.chat import TextDelta
    from ymera.engine.orchestrator import response_of

    reply = await app.orchestrator.begin(request, stream=True)
    async with aclosing(reply.events()) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                click.echo(event.text, nl=False)
    click.echo()
    return response_of(request, reply)


def _print_whole(response: AIResponse, plan: RoutePlan | None) -> None:
    """Print the answer: its text, or with a plan one JSON object."""
    if plan is None:
        click.echo(response.response)
        return
    from ymera.routing.plan_json import plan_json

    echo_json(
        {
            "answer": response.response,
            "model": response.model,
            "provider": response.provider,
            "cost_usd": response.cost,
            "usage": response.usage,
            "latency_s": round(response.latency_s, 3),
            "request_id": response.request_id,
            "route": plan_json(plan),
        }
    )


def _print_notes(app: App, response: AIResponse, plan: RoutePlan | None) -> None:
    """Say on stderr which model answered and why, and how to get a better one."""
    if plan is not None:
        from ymera.cli.explain import plan_lines

        for line in plan_lines(plan):
            note(line)
        note(
            f"Answered by {response.model} in {response.latency_s:.1f} s, "
            f"cost {usd(response.cost)}."
        )
    advice = better_model_advice(app, response.model)
    if advice:
        note(advice)
