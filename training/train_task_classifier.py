"""Train the task classifier that ships as src/ymera/routing/data/task_model.bin.

    python training/train_task_classifier.py --out src/ymera/routing/data/task_model.bin

Reads `task_prompts.jsonl` (prompts and templates written for this project) and `task_slots.json`
(what templates are filled with), measures on prompts, templates and fillings held back from
training, then trains on everything and writes the weights. Seeded: the same files and the same
numpy give the same bytes.

`--data DIR` adds rows of public benchmarks whose licence is permissive (see `BENCHMARKS`), read
from `queries_*.parquet`; this needs pyarrow. Only weights come out, never text.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))

from ymera.core.task import TaskType  # noqa: E402 - runs from a checkout, installed or not
from ymera.routing import features  # noqa: E402

SEED = 20_261_122
ROWS = 16_384
FOLDS = 5
FILLINGS = 24
"""Prompts made of each template; a prompt written out counts as `COPIES`."""
COPIES = 10
L2 = 3e-6
STEPS = 220
LEARNING_RATE = 0.3
SMOOTHING = 0.05
BENCHMARK_ROWS = 100
"""At most this many per benchmark: few, or every unknown word speaks for a question."""

TYPES = tuple(TaskType)
OWN = ("prompt", "template")
SLOT = re.compile(r"\[\[([a-z_]+)\]\]")

# Sets with a stated permissive licence: zeroeval, mmlupro and routellm Apache-2.0, llmrouter MIT.
BENCHMARK_SETS = ("zeroeval", "mmlupro", "routellm", "llmrouter")
BENCHMARK_TYPES = {
    "math": TaskType.REASONING,
    "science_reasoning": TaskType.REASONING,
    "code_reasoning": TaskType.CODE_ANALYSIS,
    "code_generation": TaskType.CODE_GENERATION,
    "knowledge_qa": TaskType.QUESTION_ANSWERING,
    "commonsense": TaskType.QUESTION_ANSWERING,
}

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """One prompt with its task type; `origin` names what it was made from."""

    type: TaskType
    text: str
    origin: str


def fold_of(text: str) -> int:
    """Return 0..FOLDS-1, the same for the same text."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % FOLDS


def fill(
    template: str, slots: dict[str, list[str]], rng: random.Random, fold: int | None, held: bool
) -> str:
    """Fill the slots: with values of `fold` when held out, with the others when training."""

    def value(found: re.Match[str]) -> str:
        values = slots[found[1]]
        if fold is not None:
            values = [each for each in values if (fold_of(each) == fold) == held] or values
        return rng.choice(values)

    return SLOT.sub(value, template)


OPENINGS = (
    "please ", "can you ", "could you please ", "hey, ", "hi! ", "i need you to ", "i want to ",
    "help me ", "quick question: ", "ok, now ", "kannst du ", "bitte ",
)  # fmt: skip
CLOSINGS = (" please", " thanks", ", thank you!", " asap", "??", "!")


def disturb(text: str, rng: random.Random) -> str:
    """Return `text` as another person might have typed it."""
    chance = rng.random()
    if chance < 0.12:
        text = rng.choice(OPENINGS) + text
    elif chance < 0.18:
        text += rng.choice(CLOSINGS)
    elif chance < 0.28:
        text = text.rstrip(".?!")
    if rng.random() < 0.06 and len(text) > 3:
        at = rng.randrange(min(len(text) - 1, 40))
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text


def own_examples(fold: int | None, held: bool) -> list[Example]:
    """Return our own prompts: all (fold None), those of `fold` (held), or all others."""
    rng = random.Random(SEED)
    slots = json.loads((HERE / "task_slots.json").read_text("utf-8"))
    examples = []
    for line in (HERE / "task_prompts.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        task_type, text = TaskType(row["type"]), row.get("text")
        source = text or row["template"]
        if fold is not None and (fold_of(source) == fold) != held:
            continue
        if held:
            made = [text or fill(source, slots, rng, fold, held)]
        elif text:
            made = [disturb(text, rng) for _ in range(COPIES)]
        else:
            made = [disturb(fill(source, slots, rng, fold, held), rng) for _ in range(FILLINGS)]
        origin = OWN[0] if text else OWN[1]
        examples += [Example(task_type, each, origin) for each in made]
    return examples


def benchmark_examples(directory: Path, split: str) -> list[Example]:
    """Return rows of the permissively licensed benchmarks, evenly over the benchmarks."""
    from pyarrow import parquet  # type: ignore[import-not-found]  # only with --data

    examples = []
    taken: Counter[str] = Counter()
    for name in BENCHMARK_SETS:
        rows = parquet.read_table(directory / f"queries_{name}.parquet").to_pylist()
        random.Random(SEED).shuffle(rows)
        for row in rows:
            origin = f"{row['family']}/{row['benchmark']}"
            if row["split"] != split or taken[origin] >= BENCHMARK_ROWS:
                continue
            taken[origin] += 1
            examples.append(Example(BENCHMARK_TYPES[row["family"]], row["prompt"], origin))
    return examples


@dataclass(frozen=True)
class Matrix:
    """Examples as rows of features of unit length, stored sparsely.

    Attributes:
        columns: feature ids, row after row. starts: where each row begins in `columns`.
        values: 1/sqrt(features of the row), per row.
        by_column: the entries in the order of their feature; used: the features that occur and
            where each begins in that order.
    """

    columns: Ints
    starts: Ints
    row_of: Ints
    values: Floats
    by_column: Ints
    used: Ints
    used_starts: Ints

    @classmethod
    def of(cls, examples: list[Example]) -> Matrix:
        """Return the matrix of `examples`."""
        ids = [sorted(features.feature_ids(each.text, ROWS - 1)) for each in examples]
        lengths = np.array([len(each) for each in ids])
        columns = np.concatenate([np.array(each, dtype=np.int64) for each in ids])
        by_column = np.argsort(columns, kind="stable")
        used, used_starts = np.unique(columns[by_column], return_index=True)
        return cls(
            columns=columns,
            starts=np.concatenate([[0], np.cumsum(lengths)[:-1]]),
            row_of=np.repeat(np.arange(len(examples)), lengths),
            values=(1 / np.sqrt(lengths)).astype(np.float32)[:, None],
            by_column=by_column,
            used=used,
            used_starts=used_starts,
        )

    def times(self, weights: Floats) -> Floats:
        """Return matrix @ weights."""
        sums: Floats = np.add.reduceat(weights[self.columns], self.starts, axis=0)
        return sums * self.values

    def transposed_times(self, errors: Floats) -> Floats:
        """Return matrix.T @ errors."""
        result = np.zeros((ROWS, errors.shape[1]), np.float32)
        entries = (errors * self.values)[self.row_of[self.by_column]]
        result[self.used] = np.add.reduceat(entries, self.used_starts, axis=0)
        return result


def softmax(logits: Floats) -> Floats:
    """Return probabilities, row by row."""
    powers: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    total: Floats = powers.sum(axis=1, keepdims=True)
    return powers / total


def labels(examples: list[Example]) -> Ints:
    """Return the column of each example's type."""
    return np.array([TYPES.index(each.type) for each in examples])


def train(examples: list[Example]) -> tuple[Floats, Floats]:
    """Return weights (ROWS x types) and biases of a softmax regression.

    Our own prompts count equally per type; benchmark rows come on top at half the weight.
    """
    matrix, target = Matrix.of(examples), labels(examples)
    own = np.array([each.origin in OWN for each in examples])
    share = np.where(own, 1.0, 0.5) / np.bincount(target[own], minlength=len(TYPES))[target]
    share = (share / share.sum()).astype(np.float32)[:, None]
    wanted = np.eye(len(TYPES), dtype=np.float32)[target] * (1 - SMOOTHING) + SMOOTHING / len(TYPES)
    weights: Floats = np.zeros((ROWS, len(TYPES)), np.float32)
    bias: Floats = np.zeros(len(TYPES), np.float32)
    mean, spread = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        errors = (softmax(matrix.times(weights) + bias) - wanted) * share
        gradient = matrix.transposed_times(errors) + L2 * weights
        mean = 0.9 * mean + 0.1 * gradient
        spread = 0.99 * spread + 0.01 * gradient * gradient
        rate = LEARNING_RATE * (1 - 0.9 * step / STEPS)
        weights -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(spread / (1 - 0.99**step)) + 1e-8)
        bias -= rate * errors.sum(axis=0)
    return weights, bias


def best_temperature(logits: Floats, target: Ints) -> float:
    """Return the temperature that makes the probabilities of held-out prompts most likely."""

    def loss(temperature: float) -> float:
        chosen = softmax(logits / temperature)[np.arange(len(target)), target]
        return float(-np.log(chosen + 1e-9).mean())

    return min((float(each) for each in np.arange(0.2, 4.01, 0.02)), key=loss)


def calibration_error(logits: Floats, target: Ints) -> float:
    """Return the expected calibration error over ten bins."""
    probabilities = softmax(logits)
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == target
    bins = np.minimum((top * 10).astype(int), 9)
    return float(sum(abs((top - right)[bins == each].sum()) for each in range(10)) / len(target))


def report(title: str, examples: list[Example], logits: Floats) -> None:
    """Print accuracy over all and per type."""
    target, guess = labels(examples), logits.argmax(axis=1)
    right = guess == target
    print(f"{title}: {right.mean():.3f} of {len(target)}")
    for origin in sorted({each.origin for each in examples}):
        chosen = np.array([each.origin == origin for each in examples])
        print(f"    {origin:32} {right[chosen].mean():.3f} of {chosen.sum()}")
    for column, task_type in enumerate(TYPES):
        chosen = target == column
        if chosen.any():
            print(f"  {task_type:20} {right[chosen].mean():.3f} of {chosen.sum()}")


def measure(extra: list[Example]) -> float:
    """Print cross-validated accuracy on unseen prompts and templates; return the temperature."""
    held_examples: list[Example] = []
    held_logits = []
    for fold in range(FOLDS):
        weights, bias = train(own_examples(fold, held=False) + extra)
        held = own_examples(fold, held=True)
        held_logits.append(Matrix.of(held).times(weights) + bias)
        held_examples += held
    logits, target = np.concatenate(held_logits), labels(held_examples)
    report("held out (prompts, templates and fillings never trained on)", held_examples, logits)
    temperature = best_temperature(logits, target)
    before, after = (
        calibration_error(logits, target),
        calibration_error(logits / temperature, target),
    )
    print(f"temperature {temperature:.2f}: calibration error {before:.3f} -> {after:.3f}")
    return temperature


def model_bytes(weights: Floats, bias: Floats, temperature: float) -> bytes:
    """Return the weights file: a JSON line, then signed bytes row by row."""
    limit = float(np.quantile(np.abs(weights[weights != 0]), 0.9995))
    scale = limit / 127
    table: bytes = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8).tobytes()
    header = {
        "format": "ymera-task-model/1",
        "features_version": features.VERSION,
        "types": list(TYPES),
        "rows": ROWS,
        "scale": round(scale, 8),
        "bias": [round(float(each), 5) for each in bias],
        "temperature": round(temperature, 3),
        "sha256": hashlib.sha256(table).hexdigest(),
    }
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + table


def main() -> None:
    """Measure, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="weights file to write")
    parser.add_argument("--data", type=Path, help="directory of queries_*.parquet")
    parser.add_argument("--quick", action="store_true", help="skip the cross-validation")
    arguments = parser.parse_args()

    extra = benchmark_examples(arguments.data, "train") if arguments.data else []
    temperature = 1.0 if arguments.quick else measure(extra)
    weights, bias = train(own_examples(None, held=False) + extra)
    if arguments.data:
        held = benchmark_examples(arguments.data, "val")
        report("benchmarks (validation split)", held, Matrix.of(held).times(weights) + bias)
    data = model_bytes(weights, bias, temperature)
    arguments.out.write_bytes(data)
    print(f"{arguments.out}: {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
