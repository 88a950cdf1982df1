"""`ymera security`: judge texts, and what happened lately."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table, note
from ymera.cli.session import open_session, read_prompt
from ymera.core.errors import InvalidRequest

if TYPE_CHECKING:
    from ymera.security.channels import Verdict

__all__ = ["command"]

_BLOCKED = 6
_MAX_LINE_BYTES = 8_000_000
_MAX_TEXT_CHARS = 10_000_000


class _Line(msgspec.Struct, frozen=True):
    """One line of `scan --jsonl`; unknown fields are ignored."""

    id: str | int
    text: str
    channel: str = "user_input"


@click.group(name="security", cls=DefaultGroup, default="report")
def command() -> None:
    """Scan texts and report on security; `report` by default."""


@command.command(name="scan")
@click.argument("text", required=False)
@click.option("--channel", default="user_input", help="Where the text comes from.")
@click.option("--jsonl", is_flag=True, help="Judge lines of id, text and channel from stdin.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def scan(ctx: click.Context, text: str | None, channel: str, jsonl: bool, as_json: bool) -> None:
    """Say what TEXT (or stdin) would be judged: allow, flag or block.

    Channels: user_input, retrieved_document, tool_output, tool_description, tool_argument,
    model_output. Exit code 6 when one text is blocked; with --jsonl always 0.
    """
    if jsonl:
        for number, line in _lines():
            click.echo(msgspec.json.encode(_judged(number, line)))
        return
    verdict = _verdict(read_prompt(text, max_chars=_MAX_TEXT_CHARS), channel)
    if as_json:
        echo_json(verdict)
    else:
        click.echo(f"{verdict.action}  {verdict.score:.2f}  {' '.join(verdict.findings)}".rstrip())
    if verdict.action == "block":
        ctx.exit(_BLOCKED)


@command.command(name="report")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def report(as_json: bool) -> None:
    """Show what was found and refused in 7 days, how keys are kept, and what is not covered."""
    with open_session() as session:
        found = session.app.securing.manager.get_security_report()
    if as_json:
        echo_json(found)
        return
    rows = [
        (name, text)
        for name, value in found.items()
        if name != "not_covered"
        for text in _texts(value)
    ]
    echo_table(("WHAT", "VALUE"), rows)
    note("Not covered:")
    not_covered = found["not_covered"]
    for line in not_covered if isinstance(not_covered, list) else ():
        note(f"  {line}")


def _texts(value: object) -> Iterator[str]:
    """Yield a value as lines for people."""
    match value:
        case dict():
            if not value:
                yield "none"
            for name, inner in value.items():
                for text in _texts(inner):
                    yield f"{name}: {text}"
        case list():
            if not value:
                yield "none"
            for each in value:
                yield ", ".join(_texts(each))
        case None:
            yield "none"
        case bool():
            yield "on" if value else "off"
        case _:
            yield str(value)


def _lines() -> Iterator[tuple[int, bytes]]:
    if sys.stdin is None:
        return
    number = 0
    while line := sys.stdin.buffer.readline(_MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > _MAX_LINE_BYTES:
            raise InvalidRequest(
                f"Line {number} on stdin is over {_MAX_LINE_BYTES:,} bytes.",
                hint="Cut its text.",
            )
        if line.strip():
            yield number, line


def _judged(number: int, line: bytes) -> dict[str, object]:
    try:
        row = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"Line {number} on stdin is no text to scan: {error}.",
            hint='Each line is {"id": ..., "text": ..., "channel": ...}.',
        ) from error
    verdict = _verdict(row.text, row.channel)
    return {
        "id": row.id,
        "action": verdict.action,
        "score": verdict.score,
        "findings": verdict.findings,
    }


def _verdict(text: str, channel: str) -> Verdict:
    from ymera.security.channels import Channel, judge

    if channel not in list(Channel):
        raise InvalidRequest(
            f"Unknown channel {channel!r}.", hint=f"One of: {', '.join(Channel)}.", param="channel"
        )
    return judge(text, Channel(channel))
