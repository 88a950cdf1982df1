"""Looks into the built wheel: both packages and the marker are in, strangers are not.

What users get is the wheel, not the tree. Run: `python scripts/check_wheel.py ymera-*.whl`.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
PACKAGES = ("ymera", "core_services")


def check_names(names: set[str], source: Path) -> Iterator[str]:
    """Yield what is wrong with a wheel's file names, compared with the source folder."""
    for name in sorted(names):
        top = PurePosixPath(name).parts[0]
        if top not in PACKAGES and not top.endswith(".dist-info"):
            yield f"a stranger: {name}"
        elif name.endswith((".pth", ".pyc", ".map")) or "/tests/" in name:
            yield f"does not belong in a wheel: {name}"
    for name in sorted(_source_names(source) - names):
        yield f"missing: {name}"
    for name in ("ymera/py.typed", "core_services/ai_mcp/ai_orchestrator.py"):
        if name not in names:
            yield f"missing: {name}"
    if "core_services/__init__.py" in names:
        yield "core_services is a namespace package and has no __init__.py"


def _source_names(source: Path) -> set[str]:
    """Return every file under src/, data files included, as the wheel should name it."""
    paths = (path for package in PACKAGES for path in (source / package).rglob("*"))
    return {
        path.relative_to(source).as_posix()
        for path in paths
        if path.is_file() and path.suffix != ".pyc"
    }


def main(arguments: list[str]) -> int:
    """Print what is wrong with one wheel; return 1 when something is."""
    (wheel,) = arguments
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    problems = list(check_names(names, ROOT / "src"))
    for problem in problems:
        print(f"error: {problem}")
    size_kb = Path(wheel).stat().st_size // 1024
    print(f"wheel: {len(names)} files, {size_kb} KiB, {len(problems)} errors")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
