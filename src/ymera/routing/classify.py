"""What kind of task a prompt is: a small trained linear model, standard library only.

A softmax regression over hashed words and word pairs (`features`), trained by
`training/train_task_classifier.py`. Whoever builds the application reads the weights file and
hands its bytes in; this package reads no files.
"""

from __future__ import annotations

from hashlib import blake2b, sha256
from math import exp, sqrt
from struct import Struct
from typing import Annotated, NamedTuple, Self

import msgspec

from ymera.core.errors import CatalogError
from ymera.core.task import TaskComplexity, TaskType
from ymera.routing import features
from ymera.routing.complexity import infer_complexity

__all__ = ["Classification", "ModelHeader", "TaskClassifier"]

_FORMAT = "ymera-task-model/1"

_MOST_KNOWN = 512
_DIGEST_BYTES = 16
_LANE_BYTES = 4
_BIAS = 128
_UNSIGNED = bytes((stored + _BIAS) % 256 for stored in range(256))
"""Stored signed byte -> the same plus 128."""


class Classification(NamedTuple):
    """What a prompt looks like.

    Attributes:
        type: most probable task type.
        complexity: simple or complex where the prompt shows it, else None.
        probability: 0..1, calibrated: of prompts classified with 0.8, about 80% are right.
    """

    type: TaskType
    complexity: TaskComplexity | None
    probability: float


class ModelHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """First line of a weights file, as JSON; the rest is the table of weights.

    Attributes:
        format: name and version of this layout.
        features_version: `features.VERSION` the weights were trained with.
        types: one per column.
        rows: number of features, a power of two.
        scale: real weight = scale * stored signed byte.
        bias: one per column.
        temperature: logits are divided by it; chosen on held-out prompts.
        sha256: of the table (rows x columns signed bytes, row by row), 64 hex digits.
    """

    format: str
    features_version: int
    types: tuple[TaskType, ...]
    rows: Annotated[int, msgspec.Meta(ge=1)]
    scale: Annotated[float, msgspec.Meta(gt=0)]
    bias: tuple[float, ...]
    temperature: Annotated[float, msgspec.Meta(gt=0)]
    sha256: str


class TaskClassifier:
    """Classifies prompts; one instance serves every thread.

    The last few hundred answers are remembered by a digest of what was looked at: an agent asks
    again and again with the same last user turn. No text is kept.

    A row of weights is held as one large integer, a lane of 32 bits per type, each weight plus
    128: so adding rows adds all types at once, without numpy four times faster than by columns.

    Args:
        header: describes the table.
        table: signed bytes, row by row, as the header says.
    """

    def __init__(self, header: ModelHeader, table: bytes) -> None:
        self._types = header.types
        self._mask = header.rows - 1
        self._known: dict[tuple[int, bytes], Classification] = {}
        self._bias = tuple(each / header.temperature for each in header.bias)
        self._scale = header.scale / header.temperature
        self._lanes = Struct(f"<{len(header.types)}I")
        lanes = bytearray(_LANE_BYTES * len(table))
        lanes[::_LANE_BYTES] = table.translate(_UNSIGNED)
        width = self._lanes.size
        self._rows = [
            int.from_bytes(lanes[start : start + width], "little")
            for start in range(0, len(lanes), width)
        ]

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the classifier stored in `data`.

        Raises:
            CatalogError: truncated, corrupted, or made for another version of Ymera.
        """
        line, _, table = data.partition(b"\n")
        try:
            header = msgspec.json.decode(line, type=ModelHeader)
        except msgspec.MsgspecError as error:
            raise _broken(f"its header is unreadable ({error})") from error
        problem = _problem(header, table)
        if problem is not None:
            raise _broken(problem)
        return cls(header, table)

    def classify(self, text: str) -> Classification:
        """Return the most probable type of `text`; the cost is bounded however long it is."""
        seen = features.excerpt(text).encode("utf-8", "surrogatepass")
        key = len(text), blake2b(seen, digest_size=_DIGEST_BYTES).digest()
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._classify(text)
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
        return known

    def _classify(self, text: str) -> Classification:
        probabilities = self.probabilities(text)
        best = max(probabilities, key=probabilities.__getitem__)
        return Classification(best, infer_complexity(text, best), probabilities[best])

    def probabilities(self, text: str) -> dict[TaskType, float]:
        """Return the probability of each type; they add up to 1."""
        ids = features.feature_ids(text, self._mask)
        total = sum(map(self._rows.__getitem__, ids))
        sums = self._lanes.unpack(total.to_bytes(self._lanes.size, "little"))
        scale = self._scale / sqrt(len(ids))  # a long prompt is no surer than a short one
        offset = _BIAS * len(ids)
        logits = [
            scale * (value - offset) + bias for value, bias in zip(sums, self._bias, strict=True)
        ]
        top = max(logits)
        powers = [exp(value - top) for value in logits]
        whole = sum(powers)
        return {task: power / whole for task, power in zip(self._types, powers, strict=True)}


def _problem(header: ModelHeader, table: bytes) -> str | None:
    columns = len(header.types)
    if header.format != _FORMAT or header.features_version != features.VERSION:
        return "it was made for another version of Ymera"
    if columns == 0 or len(header.bias) != columns or len(set(header.types)) != columns:
        return "its columns do not fit together"
    if header.rows & (header.rows - 1):
        return f"{header.rows} rows are no power of two"
    if len(table) != header.rows * columns:
        return f"{len(table)} bytes of weights where {header.rows * columns} belong"
    if sha256(table).hexdigest() != header.sha256:
        return "its checksum is wrong"
    return None


def _broken(problem: str) -> CatalogError:
    return CatalogError(
        f"The task model cannot be used: {problem}.",
        hint="Install Ymera again; a broken download or disk is the usual reason.",
    )
