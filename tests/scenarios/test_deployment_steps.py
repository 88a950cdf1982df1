"""The document's deployment steps, word for word, in a fresh clone with a new environment."""

from __future__ import annotations

import faulthandler
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import LEAKY
from tests.support.local_model import CACHE_VARIABLE, LARGER, SMALL, linked, pulled
from tests.support.requires import require_or_skip

CHECKOUT = Path(__file__).parents[2]
GUIDE = "docs/deployment.md"
BLOCK = re.compile(r"^```(?P<language>bash|python)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN_S = 900

pytestmark = [pytest.mark.full, pytest.mark.proves("deployment.steps")]


@dataclass
class Reader:
    """Somebody who follows the guide in one shell: what they export stays exported."""

    folder: Path
    environment: dict[str, str]

    def bash(self, lines: str, *, within_s: float = WITHIN_S) -> subprocess.CompletedProcess[str]:
        """Run lines in bash; fail on the first that fails; keep what they export."""
        kept = self.folder.parent / "environment"
        done = self._run(
            ["bash", "-e", "-o", "pipefail", "-c", f'{lines}\nenv -0 > "{kept}"'], "", within_s
        )
        pairs = (pair.partition("=") for pair in kept.read_text(encoding="utf-8").split("\0"))
        self.environment = {name: value for name, _, value in pairs if name}
        return done

    def console(self, lines: str) -> str:
        """Paste lines into `python -m asyncio`; return what it printed."""
        done = self._run(["python", "-m", "asyncio"], f"{lines}\nexit()\n", WITHIN_S)
        assert "Traceback" not in done.stderr, done.stderr
        assert "Error" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def _run(
        self, command: list[str], typed: str, within_s: float
    ) -> subprocess.CompletedProcess[str]:
        faulthandler.cancel_dump_traceback_later()  # pytest's watchdog: `within_s` is ours
        program = shutil.which(command[0], path=self.environment["PATH"])
        assert program is not None
        done = subprocess.run(
            [program, *command[1:]],
            input=typed,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=within_s,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done


def blocks(guide: Path) -> list[tuple[str, str]]:
    """Return language and code of each block of the guide, in order."""
    found = BLOCK.finditer(guide.read_text(encoding="utf-8"))
    return [(each["language"], each["code"]) for each in found]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Clone the checkout and make an environment; the guide's first step installs into it."""
    require_or_skip("index")
    if not (CHECKOUT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs a git checkout to clone")
    folder = tmp_path_factory.mktemp("deployment") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(folder)], check=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        # Nor is the clone measured: its source is gone when coverage reports.
        if not LEAKY.search(name) and not name.startswith("COVERAGE_")
    }
    venv = folder.parent / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    environment["PATH"] = f"{venv / 'bin'}{os.pathsep}{environment['PATH']}"
    environment["VIRTUAL_ENV"] = str(venv)
    environment[CACHE_VARIABLE] = str(pulled())
    pulled(LARGER)
    yield Reader(folder, environment)
    shutil.rmtree(folder.parent, ignore_errors=True)


@pytest.fixture(scope="module")
def steps(reader: Reader) -> list[str]:
    """Return the code of the four steps; carry out the first, as the others need it."""
    found = blocks(reader.folder / GUIDE)
    assert [language for language, _ in found] == ["bash", "python", "bash", "python"]
    reader.bash(found[0][1])
    home = reader.folder.parent / "home"  # only now: pip reads its own settings from the real one
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        reader.environment[name] = str(home / name.lower())
    return [code for _, code in found]


@pytest.mark.proves("document.deploy-setup")
def test_step_1_installs_makes_directories_and_sets_the_environment(
    reader: Reader, steps: list[str]
) -> None:
    assert steps[0].splitlines()[1] == "pip install -r requirements.txt"
    for name in ("security/audit_logs", "security/encryption", "ai_performance"):
        assert (reader.folder / "_data" / name).is_dir()
    assert reader.environment["YMERA_ENV"] == "production"
    shown = reader.bash("ymera config get data_dir; ymera config path; ymera --version").stdout
    assert "ymera" in shown


@pytest.mark.proves("document.deploy-initialise")
def test_step_2_initialises_the_system(reader: Reader, steps: list[str]) -> None:
    lines = f"{steps[1]}\nprint([type(orchestrator).__name__, type(security).__name__])"
    assert "['AIOrchestrator', 'SecurityManager']" in reader.console(lines)


@pytest.mark.proves("document.deploy-tests")
def test_step_3_runs_the_documents_tests_with_its_own_line(
    reader: Reader, steps: list[str]
) -> None:
    assert steps[2] == "pytest tests/ -v --cov=core_services/ai_mcp --cov-report=html\n"
    others = [
        f"--ignore=tests/{each.name}"
        for each in sorted((reader.folder / "tests").iterdir())
        if each.is_dir() and each.name != "ai_mcp"
    ]
    kept = dict(reader.environment)
    reader.environment["PYTEST_ADDOPTS"] = " ".join(others)  # all of them would run this one too
    try:
        done = reader.bash(steps[2])
    finally:
        reader.environment = kept
    assert re.search(r"=+ \d+ passed.* in ", done.stdout), done.stdout[-2000:]
    assert "failed" not in done.stdout.splitlines()[-1]
    assert (reader.folder / "htmlcov" / "index.html").is_file()


@pytest.mark.proves("document.deploy-metrics")
def test_step_4_gives_the_metrics(reader: Reader, steps: list[str]) -> None:
    lines = f"{steps[3]}\nprint(sorted(metrics.get_dashboard_data())[-1])"
    assert "usage" in reader.console(lines)


def test_the_validation_script_passes_in_the_clone(reader: Reader, steps: list[str]) -> None:
    del steps
    linked(reader.folder / "_data" / "models", SMALL)
    done = reader.bash("python scripts/validate_phase_2e.py")
    assert "PHASE 2E VALIDATION SUCCESSFUL" in done.stdout
