"""Loading settings: layers laid over each other, each value remembering where it came from.

The strongest first:

1. flags of the command line
2. `YMERA_*` variables
3. `ymera.toml` of the project, or the file that `YMERA_CONFIG` names
4. `config.toml` in the user's configuration directory
5. `config/ai_config_{env}.json` in the working directory
6. the defaults

A list replaces the list below it; tables are merged. What says where prompts and keys go, or what
may be spent, is refused from a project's file that the user did not name: a checkout must not be
able to send the user's keys elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ymera.config.files import FileStamp, file_stamp, read_table
from ymera.config.keys import KeyPath, all_keys, dotted
from ymera.config.layers import Given, LayerReader, default_sources, nested
from ymera.config.problems import raise_problems
from ymera.config.schema import Settings
from ymera.config.sources import Layer, Source
from ymera.core.errors import ConfigError, MachineError

__all__ = ["DEFAULT_ENV", "Layer", "Loaded", "LookedAt", "Source", "load_settings"]

DEFAULT_ENV = "development"
PROJECT_FILE = "ymera.toml"
USER_FILE = "config.toml"

_ENV_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class LookedAt:
    """A file that was looked for.

    Attributes:
        path: where.
        layer: what it would be.
        stamp: as it was just before it was read; None when it did not exist.
    """

    path: Path
    layer: Layer
    stamp: FileStamp | None


@dataclass(frozen=True)
class Loaded:
    """Settings and where they came from.

    Attributes:
        settings: the values.
        sources: for every key of `values()`, in the same order.
        files: every file looked at, found or not, the strongest first.
        env: the environment's name (`development`, `production`, ...).
    """

    settings: Settings
    sources: Mapping[str, Source]
    files: tuple[LookedAt, ...]
    env: str

    def values(self) -> dict[str, object]:
        """Return every value by dotted key, in the order of the schema, as JSON would hold it."""
        tree = self.settings.model_dump(mode="json")
        return {dotted(path): _at(tree, path) for path, _ in all_keys(self.settings)}


@dataclass(frozen=True)
class _Place:
    """A file to look at; relative paths in it start from `base_dir`.

    `trusted`: the user named it or wrote it; it did not come with a checkout.
    """

    path: Path
    layer: Layer
    base_dir: Path
    trusted: bool = False


def load_settings(
    *,
    flags: Mapping[str, object] | None = None,
    env: str | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user_dir: Path | None = None,
    config_file: Path | None = None,
) -> Loaded:
    """Read all layers.

    Args:
        flags: values of the command line by dotted key; text is parsed as a variable's would be.
        env: picks `config/ai_config_{env}.json`; else `YMERA_ENV`, else development.
        environ: environment variables; None reads this process's.
        cwd: absolute working directory; None is this process's.
        user_dir: directory of the user's `config.toml`; None is the platform's.
        config_file: read in place of a `ymera.toml`; else `YMERA_CONFIG`.

    Returns:
        The settings with their sources.

    Raises:
        ConfigError: a file cannot be read or parsed, a name is unknown or a value is wrong; all
            wrong names and values are told at once.
        MachineError: the working directory is gone.
    """
    environ = os.environ if environ is None else environ
    cwd = _working_directory() if cwd is None else cwd
    env = _env_name(env, environ)
    files: list[LookedAt] = []
    found: set[Layer] = set()
    readers = [_read_flags(flags or {}, cwd), _read_environment(environ, cwd)]
    for place in _places(environ, cwd, user_dir, config_file, env):
        if place.layer in found:
            continue  # of several ymera.toml the nearest counts
        stamp = file_stamp(place.path)
        table = read_table(place.path)
        files.append(LookedAt(place.path, place.layer, stamp))
        if table is not None:
            found.add(place.layer)
            reader = LayerReader(place.layer, place.base_dir, trusted=place.trusted)
            reader.read_file(place.path, table)
            readers.append(reader)
    return _merged(readers, tuple(files), env)


def _merged(readers: list[LayerReader], files: tuple[LookedAt, ...], env: str) -> Loaded:
    raise_problems(problem for reader in readers for problem in reader.problems)
    values: dict[KeyPath, Given] = {}
    for reader in reversed(readers):
        values.update(reader.values)
    settings = Settings.model_validate(nested(values))
    sources = default_sources(settings)
    sources |= {dotted(path): given.source for path, given in values.items() if given.value != {}}
    return Loaded(settings, sources, files, env)


def _read_flags(flags: Mapping[str, object], cwd: Path) -> LayerReader:
    reader = LayerReader(Layer.FLAGS, cwd)
    reader.read_flags(flags)
    return reader


def _read_environment(environ: Mapping[str, str], cwd: Path) -> LayerReader:
    reader = LayerReader(Layer.ENVIRONMENT, cwd)
    reader.read_environment(environ)
    return reader


def _places(
    environ: Mapping[str, str],
    cwd: Path,
    user_dir: Path | None,
    config_file: Path | None,
    env: str,
) -> Iterator[_Place]:
    named = config_file or (Path(value) if (value := environ.get("YMERA_CONFIG")) else None)
    if named is not None:
        path = cwd / _expanded(named)
        if file_stamp(path) is None:
            name = "config_file" if config_file else "YMERA_CONFIG"
            raise ConfigError(
                f"The configuration file {path} does not exist.",
                hint=f"Correct {name}, or create the file.",
            )
        yield _Place(path, Layer.PROJECT, path.parent, trusted=True)
    else:
        for folder in _project_folders(cwd, _home(environ)):
            yield _Place(folder / PROJECT_FILE, Layer.PROJECT, folder)
    user_dir = user_dir or platformdirs.user_config_path("ymera", appauthor=False)
    yield _Place(user_dir / USER_FILE, Layer.USER, user_dir, trusted=True)
    # Its paths start from where the document's scripts are started, not from config/.
    yield _Place(cwd / "config" / f"ai_config_{env}.json", Layer.AI_CONFIG, cwd)


def _project_folders(cwd: Path, home: Path | None) -> list[Path]:
    """Return where a project's file may stand, the nearest first.

    Upward to the root of the git checkout, else to the home directory. Outside of both only the
    working directory counts: a file that somebody left in a shared folder above (`/tmp`) must not
    decide where keys are sent.
    """
    folders = [cwd, *cwd.parents]
    for index, folder in enumerate(folders):
        if file_stamp(folder / ".git") is not None:
            return folders[: index + 1]
        if folder == home:
            return folders[: index + 1]
    return [cwd]


def _home(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get("HOME"):
        return Path(named)
    try:
        return Path.home()
    except RuntimeError:
        return None


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise MachineError(
            "The working directory no longer exists.", hint="Change to another directory."
        ) from error


def _env_name(env: str | None, environ: Mapping[str, str]) -> str:
    name = env or environ.get("YMERA_ENV") or DEFAULT_ENV
    if not _ENV_NAME.fullmatch(name):  # it becomes part of a file's name
        raise ConfigError(
            f"{name[:64]!a} is not the name of an environment.",
            hint="Use letters, digits, - and _, such as production.",
            param="env" if env else "YMERA_ENV",
        )
    return name


def _at(tree: object, path: KeyPath) -> object:
    for name in path:
        assert isinstance(tree, dict)  # noqa: S101 - the path came from the same schema
        tree = tree[name]
    return tree
