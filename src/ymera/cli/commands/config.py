"""`ymera config`: settings and where they come from."""

from __future__ import annotations

import click

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table
from ymera.core.errors import ConfigError

__all__ = ["command"]


@click.group(name="config", cls=DefaultGroup, default="show")
def command() -> None:
    """Show settings and where they come from; `show` by default."""


@command.command(name="show")
@click.option("--sources", is_flag=True, help="Say where each value comes from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(sources: bool, as_json: bool) -> None:
    """Show every setting."""
    from ymera.config.load import load_settings

    loaded = load_settings()
    values = loaded.values()
    if as_json:
        with_sources = {
            k: {"value": v, "source": str(loaded.sources[k])} for k, v in values.items()
        }
        echo_json(with_sources if sources else values)
        return
    rows = [(key, _text(value), str(loaded.sources[key])) for key, value in values.items()]
    header = ("SETTING", "VALUE", "SOURCE")
    width = len(header) if sources else len(header) - 1
    echo_table(header[:width], [row[:width] for row in rows])


@command.command(name="get")
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print the value as JSON.")
def get(key: str, as_json: bool) -> None:
    """Print the value of setting KEY, such as security.max_input_length."""
    from difflib import get_close_matches

    from ymera.config.load import load_settings

    values = load_settings().values()
    if key not in values:
        near = get_close_matches(key, values, n=1)
        raise ConfigError(
            f"There is no setting {key!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else "`ymera config show` lists all.",
            param=key,
        )
    if as_json:
        echo_json(values[key])
    else:
        click.echo(_text(values[key]))


@command.command(name="path")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def path(as_json: bool) -> None:
    """Print the files that are looked at, strongest first, and the data directory."""
    from ymera.config.load import load_settings
    from ymera.config.paths import locate_data_dir

    loaded = load_settings()
    data_dir = locate_data_dir(loaded.settings.data_dir).root
    if as_json:
        files = [{"path": str(f.path), "found": f.stamp is not None} for f in loaded.files]
        echo_json({"files": files, "data_dir": str(data_dir)})
        return
    for file in loaded.files:
        click.echo(f"{file.path}{'' if file.stamp else '  (not there)'}")
    click.echo(f"{data_dir}  (data)")


def _text(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return ", ".join(map(_text, value)) or "(none)"
        case dict():
            return "(none)" if not value else str(value)
        case _:
            return str(value)
