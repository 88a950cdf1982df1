"""Which call goes wrong, and how: by rules, or by a seeded mix."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from ymera.core.errors import ConfigError
from ymera.testing.faults import Fault

__all__ = ["FaultPlan", "FaultRule", "json_lines"]

T = TypeVar("T")


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a fault strikes.

    Attributes:
        fault: what goes wrong.
        provider, model: whose calls; `*` and `?` stand for anything. The model is the name the
            provider knows it by.
        after: so many matching calls go well first.
        times: so often; None for ever.
        chance: 0..1, of each matching call.
    """

    fault: Fault
    provider: str = "*"
    model: str = "*"
    after: Annotated[int, Meta(ge=0)] = 0
    times: Annotated[int, Meta(ge=1)] | None = None
    chance: Annotated[float, Meta(ge=0, le=1)] = 1.0


class FaultPlan:
    """Says of each call what goes wrong with it; the same for the same seed and calls.

    Args:
        rules: the first one that strikes decides.
        seed: of the chances.
    """

    def __init__(self, rules: Iterable[FaultRule] = (), *, seed: int = 0) -> None:
        self.rules = tuple(rules)
        self._matched = [0] * len(self.rules)
        self._struck = [0] * len(self.rules)
        self._random = random.Random(seed)

    @classmethod
    def read(cls, path: Path, *, seed: int = 0) -> FaultPlan:
        """Read rules from a file, one JSON object a line.

        Raises:
            ConfigError: no such file, or a line that is no rule.
        """
        return cls(json_lines(path, FaultRule), seed=seed)

    @classmethod
    def mix(cls, shares: Mapping[Fault, float], *, seed: int = 0) -> FaultPlan:
        """Return a plan in which each fault strikes that share of all calls.

        Raises:
            ValueError: the shares add up to more than 1, or one is below 0.
        """
        if min(shares.values(), default=0.0) < 0 or sum(shares.values()) > 1 + 1e-9:
            raise ValueError("shares are from 0 and add up to 1 at most")
        rules, left = [], 1.0
        for fault, share in shares.items():
            chance = min(share / left, 1.0) if left > 1e-12 else 0.0  # of calls still unharmed
            rules.append(FaultRule(fault=fault, chance=chance))
            left -= share
        return cls(rules, seed=seed)

    def next(self, provider: str, model: str) -> Fault | None:
        """Return what goes wrong with this call; None when nothing does."""
        for index, rule in enumerate(self.rules):
            if not (fnmatchcase(provider, rule.provider) and fnmatchcase(model, rule.model)):
                continue
            self._matched[index] += 1
            if self._matched[index] <= rule.after:
                continue
            if rule.times is not None and self._struck[index] >= rule.times:
                continue
            if rule.chance < 1 and self._random.random() >= rule.chance:
                continue
            self._struck[index] += 1
            return rule.fault
        return None


def json_lines(path: Path, kind: type[T]) -> list[T]:
    """Return the lines of a file; empty ones and those that begin with # are skipped.

    Raises:
        ConfigError: no such file, or a line of another shape.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be read: {error.strerror}.", hint="Name a file of JSON lines."
        ) from error
    decoder = msgspec.json.Decoder(kind)
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        try:
            found.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"Line {number} of {str(path)!r}: {error}",
                hint="Each line is one JSON object; docs/simulator.md shows its fields.",
            ) from error
    return found
