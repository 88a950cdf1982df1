"""The size gate: long files, long functions and wide ports fail.

Average length never was the problem of a code base, the tail is; so the tail is what this
measures. Run it from anywhere: `python scripts/check_sizes.py [checkout]`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKED = ("src", "tests", "scripts", "training", "bench", "examples")
FILE_LINES = 450
FILE_LINES_SMELL = 300
FUNCTION_LINES = 60
PORT_METHODS = 5
PORTS = "src/ymera/core/ports.py"
# The story of a request has to stay readable in one sitting.
FILE_LINES_OF = {"src/ymera/engine/gateway.py": 200}


@dataclass(frozen=True)
class Finding:
    """One thing that is too large; a smell is listed and does not fail."""

    where: str
    what: str
    smell: bool = False

    def __str__(self) -> str:
        return f"{'smell' if self.smell else 'error'}: {self.where}: {self.what}"


def check_tree(root: Path) -> list[Finding]:
    """Return what is too large in the checked folders of `root`, in path order."""
    paths = sorted(path for folder in CHECKED for path in (root / folder).rglob("*.py"))
    return [finding for path in paths for finding in check_file(path, root)]


def check_file(path: Path, root: Path) -> Iterator[Finding]:
    """Yield what is too large in one file."""
    name = path.relative_to(root).as_posix()
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, filename=name)
    yield from _check_length(name, len(source.splitlines()))
    yield from _check_functions(name, tree)
    if name == PORTS:
        yield from _check_ports(name, tree)


def _check_length(name: str, lines: int) -> Iterator[Finding]:
    limit = FILE_LINES_OF.get(name, FILE_LINES)
    if lines > limit:
        yield Finding(name, f"{lines} lines, at most {limit}")
    elif lines > FILE_LINES_SMELL:
        yield Finding(name, f"{lines} lines, {FILE_LINES_SMELL} are plenty", smell=True)


def _check_functions(name: str, tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                what = f"{node.name}() has {lines} lines, at most {FUNCTION_LINES}"
                yield Finding(f"{name}:{node.lineno}", what)


def _check_ports(name: str, tree: ast.Module) -> Iterator[Finding]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and _is_protocol(node):
            methods = sum(isinstance(x, ast.FunctionDef | ast.AsyncFunctionDef) for x in node.body)
            if methods > PORT_METHODS:
                what = f"port {node.name} has {methods} methods, at most {PORT_METHODS}"
                yield Finding(f"{name}:{node.lineno}", what)


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).split("[")[0].endswith("Protocol") for base in node.bases)


def main(arguments: list[str]) -> int:
    """Print every finding; return 1 when one of them is an error."""
    root = Path(arguments[0] if arguments else Path(__file__).parents[1])
    findings = check_tree(root)
    for finding in findings:
        print(finding)
    errors = sum(not finding.smell for finding in findings)
    print(f"sizes: {errors} errors, {len(findings) - errors} smells")
    return int(errors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
