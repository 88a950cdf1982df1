"""The file for pytest that docs/simulator.md shows does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"
_BLOCK = re.compile(r"^```python pytest\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.proves("simulator.own-tests")
def test_the_documented_tests_of_an_application_pass(tmp_path: Path) -> None:
    (code,) = _BLOCK.findall(_PAGE.read_text(encoding="utf-8"))
    (tmp_path / "test_my_app.py").write_text(code, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        ".",
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
