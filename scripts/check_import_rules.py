"""Plants one violation of each import rule and demands that precisely that rule breaks.

A rule nobody has seen fail may be a rule that cannot fail. Each plant goes into its own copy of
`src/`, so the plants need nothing of the packages they name: what is missing is created empty.
Run: `python scripts/check_import_rules.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIGURATION = ROOT / "pyproject.toml"
VERDICT = re.compile(r"^(?P<name>.+) (?P<verdict>KEPT|BROKEN)\b", re.MULTILINE)
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@dataclass(frozen=True)
class Plant:
    """A violation: `importer` gets one line that imports `imported`.

    Modules of ours are new or replaced ones, so that no real module's imports take part.
    """

    contract: str
    importer: str
    imported: str


PLANTS = (
    Plant("layers", "ymera.catalog.planted", "ymera.engine.target"),
    Plant("layers", "ymera.storage.planted", "ymera.security.target"),  # siblings
    Plant("layers", "ymera.undeclared", "ymera.core.target"),  # a package without a layer
    Plant("config-importers", "ymera.engine.planted", "ymera.config.target"),
    Plant("config-imports", "ymera.config.planted", "ymera.storage.target"),
    Plant("testing-importers", "ymera.__main__", "ymera.testing.target"),
    Plant("document-paths", "core_services.ai_mcp.planted", "ymera.engine.target"),
    Plant("document-paths-last", "ymera.cli.planted", "core_services.ai_mcp.target"),
    Plant("pure", "ymera.core.planted", "socket"),
    Plant("pure", "ymera.wire.planted", "time"),
    Plant("pure", "ymera.routing.planted", "asyncio"),
    Plant("pure", "ymera.learning.math.planted", "pathlib"),
    Plant("fence-http-client", "ymera.engine.planted", "aiohttp"),
    Plant("fence-sql", "ymera.monitoring.planted", "sqlalchemy"),
    Plant("fence-dbos", "ymera.phases.planted", "dbos"),
    Plant("fence-mcp", "ymera.server.planted", "mcp"),
    Plant("fence-web", "ymera.engine.planted", "starlette"),
    Plant("fence-terminal", "ymera.server.planted", "rich"),
    Plant("fence-numeric", "ymera.engine.planted", "numpy"),
    Plant("fence-analysis", "ymera.learning.planted", "pyarrow"),
    Plant("fence-vendor-sdk", "ymera.providers.planted", "openai"),
)


def contracts() -> dict[str, str]:
    """Return the contracts of the configuration: id -> name."""
    with CONFIGURATION.open("rb") as file:
        tables = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return {table["id"]: table["name"] for table in tables}


def broken_contracts(source: Path) -> set[str]:
    """Return the ids of the contracts that import-linter finds broken in a source tree.

    Raises:
        RuntimeError: import-linter did not judge every contract.
    """
    output = subprocess.run(
        [sys.executable, "-c", LINT, "--no-logo", "--no-cache", "--config", str(CONFIGURATION)],
        cwd=source,
        env=os.environ | {"PYTHONPATH": str(source), "COLUMNS": "250"},
        check=False,
        capture_output=True,
        text=True,
    ).stdout
    verdicts = {match["name"].strip(): match["verdict"] for match in VERDICT.finditer(output)}
    unjudged = set(contracts().values()) - verdicts.keys()
    if unjudged:
        raise RuntimeError(f"import-linter said nothing about {sorted(unjudged)}:\n{output}")
    return {id_ for id_, name in contracts().items() if verdicts[name] == "BROKEN"}


def plant(source: Path, violation: Plant) -> None:
    """Write the violation into a source tree, with the packages it needs."""
    if violation.imported.partition(".")[0] in {"ymera", "core_services"}:
        _module_file(source, violation.imported).touch()
    path = _module_file(source, violation.importer)
    path.write_text(f"import {violation.imported}\n", encoding="utf-8")


def _module_file(source: Path, module: str) -> Path:
    """Return the module's path; parents that are missing become packages."""
    *parents, name = module.split(".")
    folder = source
    for parent in parents:
        folder /= parent
        folder.mkdir(exist_ok=True)
        if parent != "core_services":  # a namespace package has none
            (folder / "__init__.py").touch()
    return folder / f"{name}.py"


def judge(violation: Plant) -> str:
    """Return what went wrong with one plant, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        plant(source, violation)
        broken = broken_contracts(source)
    if broken == {violation.contract}:
        return ""
    return f"expected to break {violation.contract!r} alone, broke {sorted(broken)}"


def check_all() -> Iterator[str]:
    """Yield every rule that no plant tries, and every plant that broke the wrong rules."""
    untried = contracts().keys() - {violation.contract for violation in PLANTS}
    yield from (f"{contract}: nothing is planted for this contract" for contract in sorted(untried))
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for violation, problem in zip(PLANTS, pool.map(judge, PLANTS), strict=True):
            line = f"{violation.importer} -> {violation.imported}"
            print(f"{'FAIL' if problem else 'ok  '} {violation.contract:20} {line}")
            if problem:
                yield f"{line}: {problem}"


def main() -> int:
    """Return 1 when a rule was not seen to fail as it should."""
    problems = list(check_all())
    for problem in problems:
        print(f"error: {problem}")
    print(f"import rules: {len(PLANTS)} violations planted, {len(problems)} errors")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
