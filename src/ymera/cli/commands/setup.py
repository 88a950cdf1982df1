"""`ymera setup`: what is there, what could be, and a configuration that uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ymera.cli.output import counted, echo_json, note
from ymera.cli.session import Session, open_session, stdin_is_terminal
from ymera.core.errors import InvalidRequest, MachineError

if TYPE_CHECKING:
    from pathlib import Path

    from ymera.cli.first_run import Choice, Findings
    from ymera.cli.setup_trials import Trial

__all__ = ["command"]

_FAILED = 1
_EXPLAINED = """\
Say what it shall do:
  ymera setup --dry-run                     look only
  ymera setup --yes                         use every local server that is found
  ymera setup --enable ollama               use this local server
  ymera setup --consent ovhcloud            agree to this host's terms; it needs no key
  ymera setup --embedded / --no-embedded    fetch the small embedded model, or use none"""


@click.command(name="setup", short_help="First run: find models, choose, test, write.")
@click.option("--yes", is_flag=True, help="Ask nothing; use every local server that is found.")
@click.option("--enable", multiple=True, metavar="SERVER", help="Use this local server.")
@click.option("--consent", multiple=True, metavar="HOST", help="Agree to the terms of this host.")
@click.option("--embedded/--no-embedded", default=None, help="Fetch the embedded model, or none.")
@click.option("--no-test", is_flag=True, help="Write without trying anything.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    yes: bool,
    enable: tuple[str, ...],
    consent: tuple[str, ...],
    embedded: bool | None,
    no_test: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Find keys, local servers and hosts without keys; choose, test and write.

    Nothing is chosen for you but local servers, with --yes: hosts without keys want your consent
    to their terms, and the embedded model is a download.
    """
    decided = yes or dry_run or bool(enable) or bool(consent) or embedded is not None
    if not decided and not stdin_is_terminal():
        if not as_json:
            note(_EXPLAINED)
        raise click.UsageError("`ymera setup` asks questions, and nobody is here to answer them.")
    with open_session() as session:
        findings = _look(session)
        if not as_json:
            _show(findings)
        if decided:
            choice = _choice_of(findings, enable, consent, embedded=embedded, every=yes)
        else:
            choice = _ask(findings)
        trials = () if no_test or dry_run else _try(session, findings, choice)
        choice = _without_failed(choice, trials)
        path, written = _write(session, findings, choice, dry_run=dry_run)
    if choice.embedded and findings.embedded and not findings.embedded.pulled and not dry_run:
        _pull(ctx, findings.embedded.model)
    if as_json:
        _print_json(findings, choice, trials, path, written=written)
    else:
        _tell(findings, trials, path, written=written, dry_run=dry_run)
    if any(trial.verdict == "failed" for trial in trials):
        ctx.exit(_FAILED)


def _look(session: Session) -> Findings:
    from ymera.app.probing import find_local_servers
    from ymera.cli.first_run import findings_of

    providers = session.app.catalog.providers.values()
    return findings_of(session.app, session.run(find_local_servers(providers)))


def _show(findings: Findings) -> None:
    """Tell what was found and what could be had."""
    note("Keys:" if findings.keys else "Keys: none is set.")
    for key in findings.keys:
        use = _free(key.free_models) if key.used else "not used: it would cost money"
        more = f" and {key.more} more" if key.more else ""
        note(f"  {key.name}: {key.key} ({key.source}){more}, {use}")
    note("Local servers:" if findings.local_servers else "Local servers: none answers.")
    for server in findings.local_servers:
        names = ", ".join(server.models[:4]) + (", ..." if len(server.models) > 4 else "")
        note(f"  {server.name} ({server.provider}) at {server.base_url}: {names or 'no model yet'}")
    note("Hosts that need no key, once you agree to their terms:")
    for host in findings.keyless:
        agreed = ", agreed to" if host.consented else ""
        note(f"  {host.name} ({host.provider}): {_free(host.free_models)}{agreed}")
        note(f"    allowance: {host.allowance}")
        note(f"    {host.training}")
        for line in host.terms:
            note(f"    {line}")
    if findings.obtainable_keys:
        note("Keys you could have for nothing, and what each gives:")
    for offer in findings.obtainable_keys:
        day = f"{offer.requests_per_day:,} requests a day" if offer.requests_per_day else None
        note(f"  {offer.name}: {_free(offer.free_models)}, {day or offer.allowance}")
        note(f"    {offer.training}; sign up: {offer.signup_url or 'not known'}")
    if (own := findings.embedded) is not None:
        state = "on this machine" if own.pulled else f"a download of {own.size_mb} MB"
        note(f"Embedded model: {own.model}, {state}.")


def _free(models: int) -> str:
    return counted(models, "free chat model")


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."


def _choice_of(
    findings: Findings,
    enable: tuple[str, ...],
    consent: tuple[str, ...],
    *,
    embedded: bool | None,
    every: bool,
) -> Choice:
    """Return what the flags decide.

    Raises:
        InvalidRequest: a server that does not answer, or a host that wants a key.
        MachineError: embedded models cannot run here.
    """
    from ymera.cli.first_run import Choice

    servers = {server.provider for server in findings.local_servers}
    hosts = {host.provider for host in findings.keyless}
    for name in enable:
        if name not in servers:
            raise InvalidRequest(
                f"No local server {name!r} answers.",
                hint=f"Start it first. Found: {', '.join(sorted(servers)) or 'none'}.",
                param="enable",
            )
    for name in consent:
        if name not in hosts:
            raise InvalidRequest(
                f"{name!r} is no host that answers without a key.",
                hint=f"These do: {', '.join(sorted(hosts))}.",
                param="consent",
            )
    if embedded and findings.embedded is not None and not findings.embedded.runnable:
        raise MachineError(
            "Embedded models need the package xllamacpp.", hint="pip install 'ymera[local]'"
        )
    found = [server.provider for server in findings.local_servers if server.models]
    return Choice(
        servers=tuple(dict.fromkeys((*enable, *(found if every else ())))),
        consent=tuple(dict.fromkeys(consent)),
        embedded=embedded,
    )


def _ask(findings: Findings) -> Choice:
    from ymera.cli.first_run import Choice

    servers = tuple(
        server.provider
        for server in findings.local_servers
        if server.models and click.confirm(f"Use {server.name}?", default=True, err=True)
    )
    consent = tuple(
        host.provider
        for host in findings.keyless
        if not host.consented
        and click.confirm(
            f"Send prompts to {host.name} without a key? {_sentence(host.training)}",
            default=False,
            err=True,
        )
    )
    own, embedded = findings.embedded, None
    if own is not None and own.runnable and not own.pulled:
        question = f"Fetch the embedded model {own.model} ({own.size_mb} MB)?"
        embedded = True if click.confirm(question, default=not servers, err=True) else None
    return Choice(servers=servers, consent=consent, embedded=embedded)


def _try(session: Session, findings: Findings, choice: Choice) -> tuple[Trial, ...]:
    from ymera.cli.setup_trials import try_choice

    note("Trying what was found ...")
    return try_choice(session, findings, choice)


def _without_failed(choice: Choice, trials: tuple[Trial, ...]) -> Choice:
    """Return the choice without what did not answer."""
    import msgspec

    failed = {trial.provider for trial in trials if trial.verdict == "failed"}
    return msgspec.structs.replace(
        choice,
        servers=tuple(each for each in choice.servers if each not in failed),
        consent=tuple(each for each in choice.consent if each not in failed),
    )


def _write(
    session: Session, findings: Findings, choice: Choice, *, dry_run: bool
) -> tuple[Path, bool]:
    """Write the user's file; return it, and whether that changed it.

    Raises:
        ConfigError: it cannot be edited; it is as it was.
        MachineError: it cannot be written; it is as it was.
    """
    from ymera.cli.clients.files import backup_of, read_text, replace_text
    from ymera.cli.clients.merge_toml import merged_toml
    from ymera.cli.first_run import settings_for
    from ymera.config.sources import Layer

    loaded = session.app.loaded
    path = next(file.path for file in loaded.files if file.layer is Layer.USER)
    settings = settings_for(choice, findings.local_servers, loaded.settings.keyless_consent)
    old = read_text(path)
    new = merged_toml(old or "", settings)
    if dry_run or new == (old or ""):
        return path, False
    replace_text(path, new, backup=None if old is None else backup_of(path))
    return path, True


def _pull(ctx: click.Context, model: str) -> None:
    from ymera.cli.commands.models import pull_model

    ctx.invoke(pull_model, name=model, sources=None)


def _print_json(
    findings: Findings, choice: Choice, trials: tuple[Trial, ...], path: Path, *, written: bool
) -> None:
    found = {name: getattr(findings, name) for name in findings.__struct_fields__}
    about = {"tests": trials, "chosen": choice, "file": str(path), "written": written}
    echo_json({**found, **about})


def _tell(
    findings: Findings, trials: tuple[Trial, ...], path: Path, *, written: bool, dry_run: bool
) -> None:
    for trial in trials:
        note(f"  {trial.verdict:8} {trial.provider}: {trial.detail}")
    if written:
        note(f"Written to {path}.")
    elif dry_run:
        note(f"Nothing was written; {path} is as it was.")
    else:
        note(f"{path} needs no change.")
    if findings.obtainable_keys:
        note("`ymera keys set PROVIDER` stores a key; the list above says what each gives.")
    note('Try it: ymera "What can you do?"')
