"""Executes what the documentation shows: examples that are not run rot.

Runs every fenced block of README.md and docs/ that is marked ```` ```python runnable ````
(`await` at top level is welcome) and every file in examples/. Each runs in a process of its own,
in an empty folder, with this process's environment. Run: `python scripts/check_docs_examples.py`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 120
BLOCK = re.compile(r"^```python runnable\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
# Compiles as the asyncio REPL does, so that a block may `await` without an `async def main()`.
RUN_BLOCK = """
import ast, asyncio, inspect, sys
code = compile(sys.stdin.read(), "<block>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
result = eval(code, {"__name__": "__main__"})
if inspect.iscoroutine(result):
    asyncio.run(result)
"""


@dataclass(frozen=True)
class Example:
    """Code with the place a reader finds it at."""

    where: str
    code: str


def find_examples(root: Path) -> Iterator[Example]:
    """Yield the runnable blocks and the example files of a checkout."""
    for path in [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Example(f"{path.relative_to(root).as_posix()}:{line}", match["code"])
    for path in sorted((root / "examples").rglob("*.py")):
        yield Example(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))


def run(example: Example) -> str:
    """Return what went wrong, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-c", RUN_BLOCK],
                input=example.code,
                cwd=folder,
                check=False,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return f"still running after {TIMEOUT_S} s"
    return "" if done.returncode == 0 else (done.stderr or f"exit code {done.returncode}")


def main(arguments: list[str]) -> int:
    """Run every example of a checkout; return 1 when one fails."""
    failed = 0
    examples = list(find_examples(Path(arguments[0]) if arguments else ROOT))
    for example in examples:
        problem = run(example)
        failed += bool(problem)
        print(f"{'FAIL' if problem else 'ok  '} {example.where}")
        if problem:
            print(problem, file=sys.stderr)
    print(f"documentation: {len(examples)} examples run, {failed} errors")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
