"""Models, profiles and the shipped classifier for tests of routing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from ymera.core.model import FreeTerms, HubFile, LocalWeights, Model
from ymera.core.task import TaskComplexity, TaskProfile, TaskType
from ymera.routing.classify import TaskClassifier

ROOT = Path(__file__).parents[2]
FREE = FreeTerms(free_now=True, may_auto_route=True, reason="It is on the allow-list.")
PAID = FreeTerms(free_now=False, may_auto_route=False, reason="It has no free tier.")
HUB_FILE = HubFile(repo="a/b", file="tiny.gguf")
WEIGHTS = LocalWeights(
    filename="tiny.gguf", sha256="0" * 64, size_bytes=1, licence="MIT", source=HUB_FILE
)


def shipped_bytes() -> bytes:
    """Return the weights file as the application reads it."""
    return files("ymera.routing").joinpath("data", "task_model.bin").read_bytes()


@cache
def shipped() -> TaskClassifier:
    """Return the shipped classifier."""
    return TaskClassifier.from_bytes(shipped_bytes())


def model(id: str = "sim/plain", /, **facts: object) -> Model:
    """Return a free chat model; `facts` are further fields."""
    provider, _, name = id.partition("/")
    base = Model(id=id, provider=provider, upstream_id=name, name=name, free=FREE)
    return msgspec.structs.replace(base, **facts)


def task(**facts: object) -> TaskProfile:
    """Return the profile of a short request for code; `facts` are further fields."""
    base = TaskProfile(
        type=TaskType.CODE_GENERATION,
        complexity=TaskComplexity.MEDIUM,
        est_input_tokens=100,
        est_output_tokens=1_000,
    )
    return msgspec.structs.replace(base, **facts)


@dataclass(frozen=True)
class Prompt:
    """A labelled prompt; batch 3 was written after the last change of the training data."""

    batch: int
    type: TaskType
    text: str


@cache
def labelled_prompts() -> tuple[Prompt, ...]:
    """Return the hand-written test prompts."""
    lines = (ROOT / "tests/unit/routing/task_prompts_test.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return tuple(Prompt(row["batch"], TaskType(row["type"]), row["text"]) for row in rows)


@cache
def training_texts() -> frozenset[str]:
    """Return every prompt and template of the training data, folded for comparison."""
    lines = (ROOT / "training/task_prompts.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return frozenset(folded(row.get("text") or row["template"]) for row in rows)


def folded(text: str) -> str:
    """Return `text` without case, outer punctuation and runs of blanks."""
    return " ".join(text.lower().split()).strip(" .?!¿¡")
