"""`ymera`: the list of commands and what happens around every one of them."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from ymera.cli.output import report_bug, report_error
from ymera.core.errors import MachineError, YmeraError

__all__ = ["main"]


@dataclass(frozen=True)
class _Row:
    """One command: where it lives is `ymera.cli.commands.<module>`, attribute `command`."""

    name: str
    group: str
    help: str
    module: str


_COMMANDS = (
    _Row("ask", "Everyday", 'One answer; `ymera "question"` is short for it.', "ask"),
    _Row("chat", "Everyday", "A conversation.", "chat"),
    _Row("setup", "Everyday", "First run: find models, choose, test, write.", "setup"),
    _Row("connect", "Everyday", "Another program's settings for asking Ymera.", "connect"),
    _Row("keys", "Everyday", "Set, list, rotate and remove provider keys.", "keys"),
    _Row("quota", "Everyday", "What is left of every free quota.", "quota"),
    _Row("run", "Everyday", "A task done by an agent, a model for each phase.", "run"),
    _Row("runs", "Everyday", "List, show, resume, cancel and remove runs.", "runs"),
    _Row("serve", "Everyday", "The server: OpenAI-compatible, on loopback.", "serve"),
    _Row("models", "Operate", "List, show, pull and test models.", "models"),
    _Row("providers", "Operate", "List and test providers, open closed ones.", "providers"),
    _Row("agents", "Operate", "List and show agents.", "agents"),
    _Row("mcp", "Operate", "List, add, remove and try MCP servers.", "mcp"),
    _Row("catalog", "Operate", "Check, update and explain the model catalogue.", "catalog"),
    _Row("config", "Operate", "Show settings and where they come from.", "config"),
    _Row("stats", "Operate", "Requests, models, cost and times.", "stats"),
    _Row("logs", "Operate", "List, show, rate and replay requests.", "logs"),
    _Row("security", "Operate", "Scan texts; what was found, refused and kept.", "security"),
    _Row("audit", "Operate", "Show the audit log.", "audit"),
    _Row("doctor", "Operate", "Check this installation.", "doctor"),
    _Row("simulate", "Operate", "Play every provider of the catalogue on loopback.", "simulate"),
    _Row("route", "Evaluate", "Explain which model would be asked; asks none.", "route"),
    _Row("learn", "Evaluate", "What experience taught about models.", "learn"),
    _Row("validate", "Evaluate", "Try every part of this installation for real.", "validate"),
)
_BY_NAME = {row.name: row for row in _COMMANDS}
_OWN_OPTIONS = frozenset({"--help", "-h", "--version", "--traceback"})
_NAME = "ymera"
_COMPLETION = "_YMERA_COMPLETE"
"""The variable by which a shell asks click for completions."""
_NEAR = 2
"""A single word this many edits from a command is a typing error, not a prompt."""


class _Commands(click.Group):
    """Loads a command's module when it is used; anything else is a question for `ask`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [row.name for row in _COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = _BY_NAME.get(cmd_name)
        if row is None:
            return None
        module = importlib.import_module(f"ymera.cli.commands.{row.module}")
        command: click.Command = module.command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_default_command(args))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group in dict.fromkeys(row.group for row in _COMMANDS):
            with formatter.section(group):
                formatter.write_dl(
                    [(row.name, row.help) for row in _COMMANDS if row.group == group]
                )


def _with_default_command(args: list[str]) -> list[str]:
    """Put `ask` in front of a question.

    Raises:
        UsageError: a single word that is nearly a command.
    """
    own = [arg for arg in args if arg in _OWN_OPTIONS]
    rest = args[len(own) :] if args[: len(own)] == own else args
    if not rest or rest[0] in _BY_NAME:
        return args
    word = rest[0]
    if " " not in word and not word.startswith("-"):
        near = [name for name in _BY_NAME if _edits(word.lower(), name) <= _NEAR]
        if near:
            raise click.UsageError(
                f"{word!r} is not a command. Did you mean {near[0]!r}? "
                f"To send it as a prompt: ymera ask {word}"
            )
    return [*own, "ask", *rest]


def _edits(left: str, right: str) -> int:
    """Return the Levenshtein distance of two short words."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row = row, [i]
        for j, b in enumerate(right, 1):
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a != b)))
    return row[-1]


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(package_name="ymera")
@click.option("--traceback", is_flag=True, hidden=True, help="Show tracebacks of bugs.")
@click.pass_context
def _cli(ctx: click.Context, traceback: bool) -> None:
    """Ymera makes forty free models work like one good one.

    `ymera "question"` answers it with the best model that costs nothing.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code (SURFACE section 3)."""
    args = list(sys.argv[1:] if argv is None else argv)
    sys.exit(_run(args))


def _run(args: list[str]) -> int:
    """Return the exit code; 0 too when the reader left early, as in `ymera models | head -1`."""
    as_json, traceback = "--json" in args, "--traceback" in args  # the parser uses them up
    try:
        _invoke(args)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        report_error(error.format_message(), hint=_usage_hint(error), code="usage", as_json=as_json)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)  # ends the line in which the terminal shows ^C
        return 130
    except BrokenPipeError:
        _discard_output()
        return 0
    except YmeraError as error:
        report_error(
            error.message,
            hint=error.hint,
            code=error.code,
            request_id=error.request_id,
            as_json=as_json,
        )
        return error.exit_code
    except OSError as error:
        report_error(
            f"The system refuses: {error.strerror or error}.",
            hint="If the output goes to a file, its disk may be full.",
            code=MachineError.code,
            as_json=as_json,
        )
        _discard_output()
        return MachineError.exit_code
    except Exception as error:
        if traceback:
            raise
        report_bug(error, as_json=as_json)
        return 1
    return 0


def _invoke(args: list[str]) -> None:
    """Run the command. click's own `main` does not tell a closed pipe from a failure."""
    if _COMPLETION in os.environ:
        _cli.main(args, prog_name=_NAME)  # answers the shell and leaves
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an answer may hold what a terminal cannot show
    with _cli.make_context(_NAME, args) as ctx:
        _cli.invoke(ctx)
    if sys.stdout is not None:
        sys.stdout.flush()  # here, where a full disk can still be reported


def _discard_output() -> None:
    """Send what is still buffered nowhere: flushing it at exit would be an error again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


def _usage_hint(error: click.UsageError) -> str:
    return f"See: {error.ctx.command_path if error.ctx else _NAME} --help"
