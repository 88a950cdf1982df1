"""`ymera chat`: a conversation."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from ymera.cli.output import echo_styled, note
from ymera.cli.session import open_session, read_line, stdin_is_terminal
from ymera.cli.task_options import answer_options, asked_model, task_options, tool_names

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.core.chat import Message
    from ymera.engine.orchestrator import AIRequest

__all__ = ["command"]

_GOODBYE = frozenset({"/exit", "/quit"})


@click.command(name="chat", short_help="A conversation.")
@task_options
@answer_options
@click.option("--system", metavar="TEXT", help="System prompt.")
def command(
    model: str | None,
    task_type: str | None,
    complexity: str | None,
    agent: str | None,
    tools: str | None,
    system: str | None,
) -> None:
    """Talk with the best model that costs nothing; /exit or end of input leaves."""
    from ymera.engine.orchestrator import AIRequest

    asked, offered = asked_model(model, agent), tool_names(tools)
    with open_session() as session:
        app = session.app
        history: list[Message] = []
        max_chars = app.settings.security.max_input_length
        while (line := _next_line(max_chars)) is not None:
            request = AIRequest(
                prompt=line,
                model=asked,
                tools=offered,
                task_type=task_type,
                complexity=complexity,
                system=system,
                messages=tuple(history),
            )
            session.run(_turn(app, request, history))


def _next_line(max_chars: int) -> str | None:
    """Return the next thing said, or None at the end."""
    while True:
        if stdin_is_terminal():
            echo_styled("> ", bold=True)
        line = read_line(max_chars=max_chars)
        if not line or line.strip() in _GOODBYE:
            return None
        if line.strip():
            return line.strip()


async def _turn(app: App, request: AIRequest, history: list[Message]) -> None:
    from ymera.core.answer import TextDelta
    from ymera.core.chat import (
        Message,
        Role,
        TextPart,
    )
    from ymera.core.errors import YmeraError

    said: list[str] = []
    try:
        reply = await app.orchestrator.begin(request, stream=True)
        async with aclosing(reply.events()) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    click.echo(event.text, nl=False)
                    said.append(event.text)
        click.echo()
    except YmeraError as error:
        if not stdin_is_terminal():
            raise
        note(f"{error.message} {error.hint or ''}".strip())
        return
    history += [
        Message(role=Role.USER, content=(TextPart(request.prompt),)),
        Message(role=Role.ASSISTANT, content=(TextPart("".join(said)),)),
    ]
