"""`ymera logs`: the stored requests; show, rate and replay one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table, note, usd
from ymera.cli.session import open_session
from ymera.core.errors import InvalidRequest, UnknownRequest

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.storage.rows import RequestSummary, StoredRequest

__all__ = ["command"]

_MAX_LIMIT = 10_000


@click.group(name="logs", cls=DefaultGroup, default="list")
def command() -> None:
    """List, show, rate and replay requests; `list` by default."""


@command.command(name="list")
@click.option("--limit", type=click.IntRange(1, _MAX_LIMIT), default=20, help="At most so many.")
@click.option("--before", metavar="ID", help="Only those that finished before request ID.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_requests(limit: int, before: str | None, as_json: bool) -> None:
    """List requests, last finished first."""
    with open_session() as session:
        found = session.app.records.recent(limit, before_id=before)
        if as_json:
            echo_json(found)
            return
        echo_table(
            ("ID", "AT (UTC)", "MODEL", "TASK", "SECONDS", "COST", "OUTCOME"),
            [_row(each) for each in found],
        )
        if len(found) == limit:
            note(f"Older ones: ymera logs --before {found[-1].id}")


def _row(request: RequestSummary) -> tuple[str, ...]:
    return (
        request.id,
        f"{request.at:%Y-%m-%d %H:%M:%S}",
        request.model_id or "-",
        request.task_type or "-",
        f"{request.latency_s:.2f}",
        usd(request.cost_usd) if request.model_id else "-",
        request.error_code or "ok",
    )


@command.command(name="show")
@click.argument("request_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(request_id: str, as_json: bool) -> None:
    """Show everything stored of request ID: choice, calls, tokens, cost, rating."""
    with open_session() as session:
        stored = _stored(session.app, request_id)
        rating = session.app.observing.feedback.get(request_id)
        if as_json:
            echo_json({"request": stored, "feedback": rating})
            return
        for name in stored.summary.__struct_fields__:
            value = getattr(stored.summary, name)
            if value is not None:
                click.echo(f"{name.replace('_', ' ')}: {value}")
        for attempt in stored.detail.attempts:
            outcome = attempt.error_code or "answered"
            click.echo(f"call: {attempt.model_id}, {attempt.latency_s:.2f} s, {outcome}")
        for place, each in enumerate(
            stored.detail.plan.candidates if stored.detail.plan else (), 1
        ):
            click.echo(f"candidate {place}: {each.model_id} ({each.score:.3f}) {each.reason}")
        if rating is not None:
            click.echo(f"rating: {rating.rating:g} {rating.comment or ''}".rstrip())
        for name, text in (("prompt", stored.prompt), ("answer", stored.answer)):
            if text is not None:
                click.echo(f"--- {name}\n{text}")


@command.command(name="rate")
@click.argument("request_id", metavar="ID")
@click.argument("rating", metavar="RATING")
@click.option("--comment", metavar="TEXT", help="In words.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rate(request_id: str, rating: str, comment: str | None, as_json: bool) -> None:
    """Rate the answer of request ID: 1 (worst) to 5 (best), pass or fail.

    Rating it again replaces the rating. The router learns from it.
    """
    from ymera.app.observing import rating_of

    with open_session() as session:
        rated = session.app.observing.rate(request_id, rating_of(_number(rating)), comment)
        if as_json:
            echo_json(rated)
            return
        before = "" if rated.replaced is None else f" instead of {rated.replaced:g}"
        about = "no model answered it" if rated.model is None else rated.model
        click.echo(f"Rated {rated.rating:g}{before}: {about}.")


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@command.command(name="replay")
@click.argument("request_id", metavar="ID")
@click.option("-m", "--model", metavar="NAME", required=True, help="Who is to answer this time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(request_id: str, model: str, as_json: bool) -> None:
    """Ask another model what request ID asked.

    Only the text is stored, so a conversation is sent as one message.
    """
    from ymera.engine.orchestrator import AIRequest

    with open_session() as session:
        stored = _stored(session.app, request_id)
        request = AIRequest(
            prompt=_prompt_of(stored),
            model=model,
            task_type=stored.summary.task_type,
            complexity=stored.summary.complexity,
        )
        answer = session.run(session.app.orchestrator.ask(request))
        if as_json:
            echo_json(
                {
                    "replayed": request_id,
                    "before": {"model": stored.summary.model_id, "answer": stored.answer},
                    "now": {
                        "request_id": answer.request_id,
                        "model": answer.model,
                        "answer": answer.response,
                        "latency_s": answer.latency_s,
                        "cost_usd": answer.cost,
                    },
                }
            )
            return
        click.echo(answer.response)
        note(
            f"{answer.model} in {answer.latency_s:.1f} s, cost {usd(answer.cost)}; before: "
            f"{stored.summary.model_id or 'no answer'} in {stored.summary.latency_s:.1f} s."
        )


def _prompt_of(stored: StoredRequest) -> str:
    """Return the stored text of a request.

    Raises:
        InvalidRequest: it was not stored.
    """
    if stored.prompt is not None:
        return stored.prompt
    if stored.summary.private:
        why, hint = "it was private", "The text of private requests is never stored."
    else:
        why = "storing text was off, or the caller asked not to store it"
        hint = "Set monitoring.store_prompts to true to replay later requests."
    raise InvalidRequest(
        f"The text of {stored.summary.id} was not stored: {why}.", hint=hint, param="request_id"
    )


def _stored(app: App, request_id: str) -> StoredRequest:
    """Return a stored request.

    Raises:
        UnknownRequest: there is none of that id.
    """
    stored = app.records.get(request_id)
    if stored is None:
        raise UnknownRequest(
            f"No request has the id {request_id!r}.", hint="`ymera logs` lists them."
        )
    return stored
