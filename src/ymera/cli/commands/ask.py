"""`ymera ask`: one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ymera.cli.advice import better_model_advice
from ymera.cli.output import echo_json, note, stdout_is_terminal, usd
from ymera.cli.session import open_session, read_prompt
from ymera.cli.task_options import answer_options, asked_model, task_options, tool_names

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.core.route import RoutePlan
    from ymera.engine.orchestrator import AIRequest, AIResponse

__all__ = ["command"]


@click.command(name="ask", short_help="One answer.")
@click.argument("prompt", required=False)
@click.argument("more", nargs=-1, metavar="")
@task_options
@answer_options
@click.option("--stream/--no-stream", default=None, help="Print while the model writes.")
@click.option("--explain", is_flag=True, help="Say on stderr which model answered and why.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    prompt: str | None,
    more: tuple[str, ...],
    model: str | None,
    task_type: str | None,
    complexity: str | None,
    agent: str | None,
    tools: str | None,
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
            model=asked_model(model, agent),
            task_type=task_type,
            complexity=complexity,
            tools=tool_names(tools),
        )
        live = not as_json and (stdout_is_terminal() if stream is None else stream)
        explained = (explain or as_json) and agent is None  # an agent's phases have routes
        every = _explained(app, request) if explained else None
        answering = _print_live(app, request) if live else app.orchestrator.ask(request)
        response = session.run(answering)
        plan = None if every is None else _decided(response, every)
        if as_json:
            _print_json(response, plan)
        elif not live:
            click.echo(response.response)
        _print_notes(app, response, plan if explain else None, explain=explain)


def _explained(app: App, request: AIRequest) -> RoutePlan | None:
    """Return the plan as it is before the answer teaches anything; None where asking will fail."""
    from ymera.core.errors import YmeraError

    try:
        return app.orchestrator.route(request)
    except YmeraError:  # raised again by asking, and then kept as a record
        return None


def _decided(response: AIResponse, every: RoutePlan) -> RoutePlan:
    """Return the plan that was acted on, with why the rest of the catalogue was left out."""
    import msgspec

    if response.route is None:
        return every
    return msgspec.structs.replace(response.route, exclusions=every.exclusions)


async def _print_live(app: App, request: AIRequest) -> AIResponse:
    """Print the answer as it is written; return the facts about it."""
    from contextlib import aclosing

    from ymera.core.answer import TextDelta
    from ymera.engine.orchestrator import response_of

    reply = await app.orchestrator.begin(request, stream=True)
    async with aclosing(reply.events()) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                click.echo(event.text, nl=False)
    click.echo()
    return response_of(request, reply)


def _print_json(response: AIResponse, plan: RoutePlan | None) -> None:
    """Print the answer and the facts about it as one JSON object."""
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
            "tools": response.tools,
            "context": response.context,
            "route": None if plan is None else plan_json(plan),
        }
    )


def _print_notes(app: App, response: AIResponse, plan: RoutePlan | None, *, explain: bool) -> None:
    """Say on stderr which model answered and why, and how to get a better one."""
    if explain:
        from ymera.cli.explain import plan_lines, use_lines

        for line in plan_lines(plan) if plan is not None else ():
            note(line)
        for line in use_lines(response.tools, response.context):
            note(line)
        by = response.model or "several models"
        note(f"Answered by {by} in {response.latency_s:.1f} s, cost {usd(response.cost)}.")
    advice = better_model_advice(app, response.model)
    if advice:
        note(advice)
