"""The validation script: green on a fresh offline install, red with the right hint when broken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.local_model import LARGER, SMALL, linked, model, pulled
from ymera.providers.pull import model_path

CHECKOUT = Path(__file__).parents[2]
SCRIPT = CHECKOUT / "scripts" / "validate_phase_2e.py"
CHILD_SITE = Path(__file__).parents[1] / "support" / "child_site"
WITHIN_S = 400
COMPONENTS = (
    *("MODELS", "SECURITY", "MULTI_MODEL", "MCP", "TOOLS", "PERFORMANCE"),
    *("MONITORING", "TRAINING", "CONFIGURATION"),
)

pytestmark = pytest.mark.full


@dataclass
class Install:
    """A fresh installation, unplugged: its data directory, project folder and variables."""

    data: Path
    project: Path
    refused: Path
    variables: dict[str, str] = field(default_factory=dict)

    def validate(self, *components: str) -> tuple[int, str]:
        """Run the script in a process of its own; return exit code and output."""
        path = os.pathsep.join(filter(None, (str(CHILD_SITE), os.environ.get("PYTHONPATH"))))
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *components],
            cwd=self.project,
            env={
                **os.environ,
                "PYTHONPATH": path,
                "YMERA_DATA_DIR": str(self.data),
                "YMERA_TEST_REFUSED": str(self.refused),
                **self.variables,
            },
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=WITHIN_S,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done.returncode, done.stdout


@pytest.fixture
def install(tmp_path: Path, clean_environment: Path) -> Install:
    return Install(tmp_path / "data", clean_environment, tmp_path / "refused-hosts.txt")


@pytest.fixture(scope="module", autouse=True)
def embedded_models() -> None:
    """Pull the models while pip's own configuration can be seen."""
    for each in (SMALL, LARGER):
        pulled(each)


@pytest.mark.proves("validation.script", "validation.apart", "document.validation-script")
def test_a_fresh_offline_install_is_green(install: Install) -> None:
    for each in (SMALL, LARGER):  # the small one alone passes too, but its run takes minutes
        linked(install.data / "models", each)
    before = sorted(install.data.rglob("*"))
    code, out = install.validate()
    lines = out.splitlines()
    assert lines[:3] == ["=" * 60, "Phase 2E Validation", "=" * 60]
    assert [line[2:] for line in lines if line.startswith("✅ ")] == [
        *COMPONENTS,
        "PHASE 2E VALIDATION SUCCESSFUL",
    ], out
    counts = re.findall(r"^   Tests: (\d+)/(\d+)$", out, re.MULTILINE)
    assert len(counts) == len(COMPONENTS)
    assert all(passed == total and int(total) >= 3 for passed, total in counts)
    assert code == 0, out
    assert sorted(install.data.rglob("*")) == before
    assert not install.refused.exists(), install.refused.read_text()


Break = Callable[[Install], object]


def no_model(install: Install) -> None:
    install.data.mkdir()


def damaged_weights(install: Install) -> None:
    folder = install.data / "models"
    linked(folder)
    weights = model(SMALL).weights
    assert weights is not None
    path = model_path(weights, folder)
    original = path.resolve()
    path.unlink()
    shutil.copyfile(original, path)
    with path.open("r+b") as file:
        file.seek(weights.size_bytes // 2)
        file.write(b"damaged")


def no_llama_cpp(install: Install) -> None:
    linked(install.data / "models")
    install.variables["YMERA_TEST_HIDE"] = "xllamacpp"


def file_in_the_way(install: Install) -> None:
    install.data.write_text("not a directory")


def broken_json(install: Install) -> None:
    install.variables["YMERA_ENV"] = "production"
    folder = install.project / "config"
    folder.mkdir()
    (folder / "ai_config_production.json").write_text('{"performance": {"timeout_seconds": "30"}}')


def broken_toml(install: Install) -> None:
    (install.project / "ymera.toml").write_text("[models]\nmax_retrys = 3\n")


def damaged_records(install: Install) -> None:
    install.data.mkdir()
    (install.data / "records.sqlite3").write_bytes(b"SQLite format 3\0" + b"garbage" * 1000)


def open_key_file(install: Install) -> None:
    environment = {**os.environ, "YMERA_DATA_DIR": str(install.data)}
    command = [sys.executable, "-m", "ymera", "keys", "set", "groq", "--no-test"]
    subprocess.run(command, input=b"gsk_notarealkey0123456789\n", env=environment, check=True)
    for path in (install.data / "security" / "encryption").iterdir():
        path.chmod(0o644)


def no_mcp(install: Install) -> None:
    install.variables["YMERA_TEST_HIDE"] = "mcp"


def no_fallback(install: Install) -> None:
    install.variables["YMERA_MODELS__MAX_RETRIES"] = "0"


def short_timeout(install: Install) -> None:
    install.variables["YMERA_PERFORMANCE__TIMEOUT_SECONDS"] = "1"


def broken_agent(install: Install) -> None:
    linked(install.data / "models")
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "ymera" / "agents"
    folder.mkdir(parents=True)
    (folder / "coding_agent.toml").write_text('description = "Mine."\nphasez = []\n')


def newer_experience(install: Install) -> None:
    folder = install.data / "ai_performance"
    folder.mkdir(parents=True)
    (folder / "experience.json").write_text('{"format": 99, "rows": []}')


@pytest.mark.proves("validation.breaks")
@pytest.mark.parametrize(
    ("break_it", "component", "says"),
    [
        (no_model, "models", "Run: ymera models pull"),
        (damaged_weights, "models", "is damaged. Run: ymera models pull smollm2-135m"),
        (no_llama_cpp, "models", "pip install 'ymera[local]'"),
        (file_in_the_way, "configuration", "another data directory with YMERA_DATA_DIR"),
        (broken_json, "configuration", "performance.timeout_seconds"),
        (broken_toml, "configuration", "max_retries"),
        (damaged_records, "monitoring", "records.sqlite3"),
        (open_key_file, "security", "chmod 600"),
        (no_mcp, "mcp", "package mcp is not installed. Reinstall ymera."),
        (no_fallback, "performance", "models.max_retries is 0: raise it"),
        (short_timeout, "performance", "performance.timeout_seconds is 1: raise it"),
        (broken_agent, "multi_model", "coding_agent.toml"),
        (newer_experience, "training", "Upgrade Ymera"),
    ],
)
@pytest.mark.proves("document.validation-script")
def test_what_is_broken_turns_its_component_red_and_says_what_mends_it(
    install: Install, break_it: Break, component: str, says: str
) -> None:
    break_it(install)
    code, out = install.validate(component)
    assert code == 1
    assert f"❌ {component.upper()}" in out, out
    assert "❌ PHASE 2E VALIDATION FAILED" in out
    issues = [line for line in out.splitlines() if line.startswith("   ⚠️  ")]
    assert any(says in line for line in issues), out


@pytest.mark.proves("validation.script")
def test_an_unknown_component_is_a_usage_error(install: Install) -> None:
    code, out = install.validate("modles")
    assert code == 2
    assert "Phase 2E" in out
