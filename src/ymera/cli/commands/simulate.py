"""`ymera simulate`: every provider of the catalogue, played on loopback."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ymera.cli.output import echo_json, echo_table, note
from ymera.core.errors import MachineError

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.testing.answers import Answers
    from ymera.testing.every_pair import Totals
    from ymera.testing.fault_plan import FaultPlan
    from ymera.testing.providers import ProviderSimulator

__all__ = ["command"]

_EMBEDDED = "embedded"
_PROVES = (
    "Every call went through the real application, codecs and HTTP to simulated providers: "
    "this proves our side only."
)
_BUDGET_USD = "1000"
"""Lets paid models be asked by name; nothing is spent on loopback."""


@click.command(name="simulate", short_help="Play every provider of the catalogue on loopback.")
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), default=0, help="0: any.")
@click.option("--provider", "providers", metavar="P", multiple=True, help="Only these.")
@click.option("--seed", metavar="N", type=int, default=0, help="Of the faults' chances.")
@click.option(
    "--faults",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What goes wrong: JSON lines (docs/simulator.md).",
)
@click.option(
    "--answers",
    metavar="FILE|embedded",
    help="What models say: JSON lines, or the embedded model's words; default: an echo.",
)
@click.option(
    "--quota",
    type=click.Choice(["documented", "none"]),
    default="documented",
    help="Whether documented limits are enforced.",
)
@click.option("--print-config", is_flag=True, help="Print the settings that lead there, as TOML.")
@click.option("--check", is_flag=True, help="Call every model once plain, once streamed; then end.")
@click.option("--json", "as_json", is_flag=True, help="With --check: print one JSON object.")
def command(
    port: int,
    providers: tuple[str, ...],
    seed: int,
    faults: Path | None,
    answers: str | None,
    quota: str,
    print_config: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Play the providers of the catalogue on a loopback port, quotas and errors included.

    Runs until Ctrl-C. With --print-config stdout gets the settings that point Ymera there.
    """
    from ymera.testing.fault_plan import FaultPlan

    plan = FaultPlan.read(faults, seed=seed) if faults is not None else FaultPlan(seed=seed)
    if check:
        if faults is not None or answers is not None:
            raise click.UsageError("--check calls every model as it is: no --faults, no --answers.")
        asyncio.run(_check(providers, enforced=quota == "documented", as_json=as_json))
        return

    async def play() -> None:
        async with _answers_from(answers) as said:
            simulator = _simulator(providers, said, plan, port, enforced=quota == "documented")
            async with _listening(simulator):
                _introduce(simulator, print_config=print_config)
                await asyncio.Event().wait()  # until Ctrl-C

    asyncio.run(play())


def _simulator(
    providers: tuple[str, ...],
    answers: Answers | None,
    plan: FaultPlan,
    port: int,
    *,
    enforced: bool,
) -> ProviderSimulator:
    from ymera.testing.providers import ProviderSimulator

    try:
        return ProviderSimulator(
            providers=providers, answers=answers, faults=plan, quota=enforced, port=port
        )
    except ValueError as error:
        raise click.UsageError(f"{error}. See: ymera providers list") from error


@asynccontextmanager
async def _listening(simulator: ProviderSimulator) -> AsyncIterator[None]:
    try:
        await simulator.__aenter__()
    except OSError as error:
        raise MachineError(
            f"The simulator cannot listen: {error.strerror or error}.",
            hint="Choose another port with --port, or 0 for any.",
        ) from error
    try:
        yield
    finally:
        await simulator.__aexit__(None, None, None)


@asynccontextmanager
async def _answers_from(wish: str | None) -> AsyncIterator[Answers | None]:
    from ymera.testing.answers import embedded_answers, script_answers

    if wish == _EMBEDDED:
        async with embedded_answers() as answers:
            yield answers
    else:
        yield None if wish is None else script_answers(Path(wish))


def _introduce(simulator: ProviderSimulator, *, print_config: bool) -> None:
    for provider_id in simulator.providers:
        note(f"{provider_id:14} {simulator.base_url(provider_id)}")
    note(f"Listening on {simulator.origin}: {len(simulator.providers)} in all. Ctrl-C stops them.")
    if print_config:
        click.echo(simulator.toml())
        sys.stdout.flush()  # a reader of a pipe waits for it
    else:
        note("--print-config prints the settings that point Ymera there.")


async def _check(providers: tuple[str, ...], *, enforced: bool, as_json: bool) -> None:
    from ymera.catalog.load import load
    from ymera.testing.every_pair import call_every_pair, totals_of
    from ymera.testing.fault_plan import FaultPlan

    simulator = _simulator(providers, None, FaultPlan(), 0, enforced=enforced)
    with tempfile.TemporaryDirectory(prefix="ymera-simulate-") as folder:
        async with _listening(simulator), _app_at(simulator, Path(folder)) as app:
            results = [result async for result in call_every_pair(app, simulator)]
    totals = totals_of(results, load())
    if as_json:
        echo_json(totals)
        note(_PROVES)
    else:
        _print(totals)
    if totals.failures:
        raise click.exceptions.Exit(1)


def _app_at(simulator: ProviderSimulator, folder: Path) -> App:
    """Return an app of its own that knows nothing but the simulated providers."""
    from ymera.app import App
    from ymera.config.load import Loaded, load_settings
    from ymera.engine.trace import Clock

    file = folder / "simulated.toml"
    file.write_text(simulator.toml(vouched=True), encoding="utf-8")
    environ = simulator.environ
    flags = {"data_dir": str(folder / "data"), "budget.max_usd_per_request": _BUDGET_USD}

    def settings() -> Loaded:
        return load_settings(
            flags=flags, environ=environ, cwd=folder, user_dir=folder, config_file=file
        )

    begun = simulator.clock()

    def seconds() -> float:
        return (simulator.clock() - begun).total_seconds()

    return App(settings, environ=environ, clock=Clock(now=simulator.clock, monotonic=seconds))


def _print(totals: Totals) -> None:
    rows = [
        (
            each.provider,
            each.dialect,
            f"{each.passed} of {each.pairs} passed",
            "(a stand-in: the catalogue holds no model of it)" if each.stand_in else "",
        )
        for each in totals.providers
    ]
    echo_table(("PROVIDER", "DIALECT", "PAIRS", ""), rows)
    whole = sum(each.passed == each.pairs for each in totals.providers)
    click.echo(
        f"{totals.passed} of {totals.pairs} pairs passed, chat and tool calls both plain and "
        "streamed; "
        f"{whole} of {len(totals.providers)} providers passed whole; "
        f"{totals.hosted_free_chat} different hosted chat models are free now."
    )
    if totals.vouched:
        click.echo(
            f"{totals.vouched} of the pairs have no known price, so no budget lets them be asked; "
            "here the settings vouch for them."
        )
    click.echo(_PROVES)
    for failure in totals.failures:
        note(failure)
