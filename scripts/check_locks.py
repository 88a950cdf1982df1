"""The lock gate: no address and no path in a lock, a hash for every package.

A lock that names an index or a folder works on the machine that wrote it and nowhere else, and
an entry without a hash is no lock. The same scan over every tracked file keeps registries' hosts
out of the rest of the repository. Run: `python scripts/check_locks.py [checkout]`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PINNED = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[\w,-]+\])?==[^\s;]+( ; [^\\]+)? \\$")
HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}( \\)?$")
ADDRESS = re.compile(r"\w+://|\b(file|git|hg|svn)[:+]|@ ", re.ASCII)
ABSOLUTE_PATH = re.compile(r"(^|[\s=:'\"(])(~?/|\.{1,2}/|[A-Za-z]:\\)")
# Written in pieces, so that this file passes its own check.
HOSTS = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("python" + "hosted", "org"),
            ("registry", "npmjs", "org"),
            ("registry", "yarnpkg", "com"),
            ("deb", "debian", "org"),
        )
    )
)


def check_requirements(name: str, text: str) -> Iterator[str]:
    """Yield what is wrong with a `requirements*.txt` lock."""
    hashes = 1  # of the package above; there is none yet
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        where = f"{name}:{number}"
        if ADDRESS.search(line):
            yield f"{where}: an address: {line}"
        elif ABSOLUTE_PATH.search(line):
            yield f"{where}: a path: {line}"
        if not line or line.startswith("#"):
            continue
        if HASH.match(line):
            hashes += 1
        elif PINNED.match(line):
            if not hashes:
                yield f"{where}: the package above has no hash"
            hashes = 0
        else:
            yield f"{where}: neither a pinned package nor a hash: {line}"
    if not hashes:
        yield f"{name}: the last package has no hash"


def check_package_lock(name: str, text: str) -> Iterator[str]:
    """Yield what is wrong with an npm lock."""
    for path, entry in json.loads(text).get("packages", {}).items():
        if "resolved" in entry:
            yield f"{name}: {path} holds an address: {entry['resolved']}"
        if path and "integrity" not in entry and not entry.get("link"):
            yield f"{name}: {path} has no hash"


def check_superset(runtime: str, dev: str) -> Iterator[str]:
    """Yield the packages that the two locks do not pin alike."""
    for pin in sorted(_pins(runtime) - _pins(dev)):
        yield f"requirements-dev.txt: differs from requirements.txt in {pin}"


def _pins(text: str) -> set[str]:
    return {line.removesuffix(" \\") for line in text.splitlines() if PINNED.match(line)}


def check_hosts(paths: Iterable[Path], root: Path) -> Iterator[str]:
    """Yield the lines of text files that name a package registry's host."""
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # binary, or removed and not committed yet
        for number, line in enumerate(text.splitlines(), start=1):
            if HOSTS.search(line):
                yield f"{path.relative_to(root).as_posix()}:{number}: names a registry's host"


def tracked_files(root: Path) -> list[Path]:
    """Return what git tracks, or would track, in the checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [root / name for name in listing.split("\0") if name]


def check_tree(root: Path) -> list[str]:
    """Return everything that is wrong with the locks of a checkout."""
    files = tracked_files(root)
    problems = list(check_hosts(files, root))
    for path in files:
        name = path.relative_to(root).as_posix()
        if path.match("requirements*.txt"):
            problems += check_requirements(name, path.read_text(encoding="utf-8"))
        elif path.name == "package-lock.json":
            problems += check_package_lock(name, path.read_text(encoding="utf-8"))
    locks = [root / "requirements.txt", root / "requirements-dev.txt"]
    problems += [f"{lock.name}: missing" for lock in locks if not lock.exists()]
    if not problems:
        problems += check_superset(*(lock.read_text(encoding="utf-8") for lock in locks))
    return problems


def main(arguments: list[str]) -> int:
    """Print every problem; return 1 when there is one."""
    root = Path(arguments[0] if arguments else Path(__file__).parents[1])
    problems = check_tree(root)
    for problem in problems:
        print(f"error: {problem}")
    print(f"locks: {len(problems)} errors")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
