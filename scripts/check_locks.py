"""The lock gate: no address and no path in a lock, a hash for every package.

`locks/run.txt` and `locks/dev.txt` are the locks. `requirements.txt` is the document's install
line: the checkout itself, which pip cannot hash, and the pins of the dev lock without hashes;
`--write` makes it from that lock.

A lock that names an index or a folder works on the machine that wrote it and nowhere else, and
an entry without a hash is no lock. The same scan over every tracked file keeps registries' hosts
out of the rest of the repository. Run: `python scripts/check_locks.py [--write] [checkout]`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PINNED = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[\w,-]+\])?==[^\s;]+( ; [^\\]+)? \\$")
HEADER = (
    "# Made by `make lock`: what `pip install -r requirements.txt` needs to run and test a clone.",
    "# The same versions with hashes, for everything automatic: locks/run.txt and locks/dev.txt.",
)
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
    """Yield what is wrong with a lock of pip's."""
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
    """Yield the packages that the two locks do not pin alike.

    What one machine needs and another does not carries a marker; without one it is needed on all.
    """
    known = _pins(dev)
    for pin in sorted(_pins(runtime) - known):
        if pin.partition(" ;")[0] in known:
            continue
        yield f"locks/dev.txt: differs from locks/run.txt in {pin}"


def install_line(dev: str) -> str:
    """Return the text of `requirements.txt`: this checkout and the pins of the dev lock."""
    return "\n".join([*HEADER, "-e .[local]", *sorted(_pins(dev)), ""])


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
        if path.match("locks/*.txt"):
            problems += check_requirements(name, path.read_text(encoding="utf-8"))
        elif path.name == "package-lock.json":
            problems += check_package_lock(name, path.read_text(encoding="utf-8"))
    locks = [root / "locks" / "run.txt", root / "locks" / "dev.txt"]
    problems += [f"locks/{lock.name}: missing" for lock in locks if not lock.exists()]
    if not problems:
        run, dev = (lock.read_text(encoding="utf-8") for lock in locks)
        problems += check_superset(run, dev)
        written = root / "requirements.txt"
        if not written.exists() or written.read_text(encoding="utf-8") != install_line(dev):
            problems.append("requirements.txt: not made from locks/dev.txt; run with --write")
    return problems


def main(arguments: list[str]) -> int:
    """Print every problem; return 1 when there is one."""
    write = "--write" in arguments
    places = [argument for argument in arguments if argument != "--write"]
    root = Path(places[0] if places else Path(__file__).parents[1])
    if write:
        dev = (root / "locks" / "dev.txt").read_text(encoding="utf-8")
        (root / "requirements.txt").write_text(install_line(dev), encoding="utf-8")
    problems = check_tree(root)
    for problem in problems:
        print(f"error: {problem}")
    print(f"locks: {len(problems)} errors")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
