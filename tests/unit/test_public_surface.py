"""What `import ymera` gives, and what it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ymera

HEAVY = (
    "aiohttp, httptools, httpx, mcp, msgspec, numpy, openai, pydantic, pyreqwest, rich, "
    "sqlalchemy, starlette, uvicorn, uvloop, xllamacpp, ymera.app"
).split(", ")


@pytest.mark.proves("repo.public-names")
def test_the_public_names_are_pinned() -> None:
    assert ymera.__all__ == [
        "AIOrchestrator",
        "AIRequest",
        "AIResponse",
        "MultiModelExecutor",
        "RoutePlan",
        "RunResult",
        "SyncYmera",
        "TaskComplexity",
        "TaskType",
        "TextDelta",
        "Usage",
        "Ymera",
        "YmeraError",
        "__version__",
        "connect",
        "connect_sync",
        "get_multi_model_executor",
        "get_orchestrator",
    ]
    assert all(getattr(ymera, name) is not None for name in ymera.__all__)
    assert dir(ymera) == ymera.__all__
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = ymera.nothing_like_it


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stderr.split())


@pytest.mark.proves("repo.lazy-import")
def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import ymera")
    assert loaded.isdisjoint(HEAVY)
    assert {name for name in loaded if name.startswith("ymera")} == {"ymera"}


@pytest.mark.proves("repo.lazy-import")
@pytest.mark.parametrize("args", [["--help"], ["--version"]])
def test_the_help_screen_loads_nothing_heavy(args: list[str]) -> None:
    loaded = loaded_by(
        f"from ymera.cli.main import main\ntry: main({args!r})\nexcept SystemExit: pass"
    )
    assert loaded.isdisjoint(set(HEAVY) - {"msgspec"})


@pytest.mark.proves("repo.lazy-import")
def test_building_the_app_loads_neither_server_nor_sql() -> None:
    loaded = loaded_by("import ymera.app.app")
    assert loaded.isdisjoint({"numpy", "sqlalchemy", "starlette", "uvicorn", "xllamacpp", "rich"})
