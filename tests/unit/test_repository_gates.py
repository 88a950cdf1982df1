"""Each gate of the repository is seen to fail on a planted violation."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts import check_docs_examples, check_import_rules, check_locks, check_sizes, check_wheel

ROOT = Path(__file__).parents[2]
HASH = "    --hash=sha256:" + "0" * 64
LOCK = f"# comment\nclick==8.2.1 \\\n{HASH} \\\n{HASH}\n    # via ymera (pyproject.toml)\n"
LOCK += f"uvloop==0.22 ; sys_platform != 'win32' \\\n{HASH}\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- sizes ---


@pytest.mark.proves("repo.sizes")
@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("src/ymera/long.py", "x = 1\n" * 451),
        ("tests/unit/test_long.py", "x = 1\n" * 451),
        ("src/ymera/engine/gateway.py", "x = 1\n" * 201),
        ("src/ymera/wordy.py", "async def f():\n" + "    x = 1\n" * 60),
        (
            "src/ymera/core/ports.py",
            "class Wide(Protocol[T]):\n"
            + "".join(f"    def m{n}(self) -> None: ...\n" for n in range(6)),
        ),
    ],
)
def test_what_is_too_large_fails_the_size_gate(name: str, source: str, tmp_path: Path) -> None:
    write(tmp_path / name, source)
    (finding,) = check_sizes.check_tree(tmp_path)
    assert finding.where.startswith(name)
    assert not finding.smell
    assert check_sizes.main([str(tmp_path)]) == 1


@pytest.mark.proves("repo.sizes")
def test_sizes_at_the_limit_pass_and_a_smell_only_warns(tmp_path: Path) -> None:
    write(tmp_path / "src/ymera/engine/gateway.py", "x = 1\n" * 200)
    write(tmp_path / "src/ymera/f.py", "def f():\n" + "    x = 1\n" * 59)
    write(tmp_path / "src/ymera/long.py", "x = 1\n" * 450)
    assert [str(finding) for finding in check_sizes.check_tree(tmp_path)] == [
        "smell: src/ymera/long.py: 450 lines, 300 are plenty"
    ]
    assert check_sizes.main([str(tmp_path)]) == 0


# --- locks ---


@pytest.mark.proves("repo.locks")
def test_a_lock_with_pins_and_hashes_passes() -> None:
    assert list(check_locks.check_requirements("requirements.txt", LOCK)) == []


@pytest.mark.proves("repo.locks")
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("--index-url https://packages.example/simple", "an address"),
        ("--find-links /srv/wheels", "a path"),
        ("-r ../other.txt", "a path"),
        ("#    uv pip compile /home/me/pyproject.toml", "a path"),
        ("-e .", "neither a pinned package nor a hash"),
        ("click @ file:///srv/click.whl", "an address"),
        ("click>=8", "neither a pinned package nor a hash"),
        ("click==8.2.1", "neither a pinned package nor a hash"),
        ("rich==14.0 \\\nclick==8.2.1 \\\n" + HASH, "the package above has no hash"),
        ("click==8.2.1 \\", "the last package has no hash"),
    ],
)
def test_an_address_a_path_and_a_missing_hash_fail(line: str, problem: str) -> None:
    problems = list(check_locks.check_requirements("requirements.txt", LOCK + line + "\n"))
    assert any(problem in found for found in problems)


@pytest.mark.proves("repo.locks")
def test_an_npm_lock_with_addresses_or_without_hashes_fails() -> None:
    lock = """{"packages": {"": {}, "node_modules/a": {"integrity": "sha512-x"},
        "node_modules/b": {"resolved": "somewhere", "integrity": "sha512-x"},
        "node_modules/c": {}}}"""
    first, second = check_locks.check_package_lock("package-lock.json", lock)
    assert "node_modules/b holds an address" in first
    assert "node_modules/c has no hash" in second


@pytest.mark.proves("repo.locks")
def test_the_dev_lock_pins_what_the_run_time_lock_pins() -> None:
    assert list(check_locks.check_superset(LOCK, LOCK + f"ruff==1.0 \\\n{HASH}\n")) == []
    elsewhere = LOCK.replace(" \\\n", " ; sys_platform != 'emscripten' \\\n", 1)
    assert elsewhere != LOCK
    assert list(check_locks.check_superset(elsewhere, LOCK)) == []
    assert len(list(check_locks.check_superset(LOCK, elsewhere))) == 1
    (problem,) = check_locks.check_superset(LOCK, LOCK.replace("8.2.1", "8.2.2"))
    assert "click==8.2.1" in problem


@pytest.mark.proves("repo.install-line")
def test_the_install_line_is_this_checkout_and_the_pins_of_the_dev_lock() -> None:
    lines = check_locks.install_line(LOCK).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "-e .[local]",
        "click==8.2.1",
        "uvloop==0.22 ; sys_platform != 'win32'",
    ]


@pytest.mark.proves("repo.no-index-hosts")
def test_a_file_that_names_a_registry_host_fails(tmp_path: Path) -> None:
    bad = write(tmp_path / "notes.md", "first\nsee files.python" + "hosted.org for it\n")
    good = write(tmp_path / "image.bin", "")
    good.write_bytes(b"\xff\xfe\x00")
    assert list(check_locks.check_hosts([bad, good], tmp_path)) == [
        "notes.md:2: names a registry's host"
    ]


@pytest.mark.proves("repo.locks", "repo.no-index-hosts")
def test_this_checkout_passes_the_lock_gate() -> None:
    assert check_locks.check_tree(ROOT) == []


@pytest.mark.proves("repo.dependencies")
def test_every_direct_dependency_says_why_it_is_here() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["local"],
        *project["dependency-groups"]["dev"],
    ]
    names = {re.split(r"[^A-Za-z0-9_.-]", requirement)[0] for requirement in wanted}
    table = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w.-]+)(?: \(extra `\w+`\))? \|", table, re.MULTILINE)
    assert set(rows) - {"package"} == names


# --- import rules; CI plants them all, here only what keeps that list honest ---


@pytest.mark.proves("repo.import-rules-complete")
def test_every_import_rule_has_a_plant() -> None:
    tried = {violation.contract for violation in check_import_rules.PLANTS}
    assert tried == check_import_rules.contracts().keys()


def test_a_plant_that_breaks_nothing_is_noticed() -> None:
    harmless = check_import_rules.Plant("fence-sql", "ymera.storage.planted", "sqlalchemy")
    assert "broke []" in check_import_rules.judge(harmless)


@pytest.mark.proves("repo.pure-clock")
@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("core", False),
        ("wire", False),
        ("routing", False),
        ("learning/math", False),
        ("engine", True),
        ("learning", True),
    ],
)
@pytest.mark.parametrize(
    "source",
    [
        "import datetime\n\nNOW = datetime.datetime.now(tz=datetime.UTC)\n",
        "import time\n\nNOW = time.monotonic()\n",
        "from random import choice\n\nPICK = choice((1, 2))\n",
    ],
)
def test_clock_and_chance_are_refused_in_pure_packages(
    package: str, allowed: bool, source: str
) -> None:
    name = f"src/ymera/{package}/planted.py"
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select=TID251", f"--stdin-filename={name}", "-"],
        input=source,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "TID251" in done.stdout) == (0 if allowed else 1, not allowed)


# --- documentation ---


def test_runnable_blocks_and_examples_are_run_and_others_are_not(tmp_path: Path) -> None:
    await_block = "```python runnable\nimport asyncio\nawait asyncio.sleep(0)\n```\n"
    write(tmp_path / "README.md", f"Text.\n\n{await_block}\n```python\nnot python\n```\n")
    write(tmp_path / "docs/guide.md", "```python runnable\nraise SystemExit(3)\n```\n")
    write(tmp_path / "examples/one.py", 'if __name__ == "__main__":\n    1 / 0\n')
    examples = list(check_docs_examples.find_examples(tmp_path))
    assert [example.where for example in examples] == [
        "README.md:3",
        "docs/guide.md:1",
        "examples/one.py",
    ]
    results = [check_docs_examples.run(example) for example in examples]
    assert results[:2] == ["", "exit code 3"]
    assert "ZeroDivisionError" in results[2]
    assert check_docs_examples.main([str(tmp_path)]) == 1


# --- the wheel ---


def test_a_stranger_or_a_missing_file_in_the_wheel_is_found(tmp_path: Path) -> None:
    names = {
        "ymera/__init__.py",
        "ymera/py.typed",
        "ymera/data/prices.json",
        "core_services/ai_mcp/ai_orchestrator.py",
    }
    for name in names:
        write(tmp_path / name, "")
    assert list(check_wheel.check_names(names | {"ymera-0.1.0.dist-info/METADATA"}, tmp_path)) == []
    spoiled = (names | {"tests/conftest.py", "ymera/x.pth"}) - {"ymera/data/prices.json"}
    assert list(check_wheel.check_names(spoiled, tmp_path)) == [
        "a stranger: tests/conftest.py",
        "does not belong in a wheel: ymera/x.pth",
        "missing: ymera/data/prices.json",
    ]
