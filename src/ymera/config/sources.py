"""Where a value came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Layer", "Source"]


class Layer(StrEnum):
    """Where settings come from, the strongest first."""

    FLAGS = "flags"
    ENVIRONMENT = "environment"
    PROJECT = "project"
    USER = "user"
    AI_CONFIG = "ai_config"
    DEFAULT = "default"


@dataclass(frozen=True)
class Source:
    """Where a value came from.

    Attributes:
        layer: the layer.
        place: path of the file, name of the variable, `command line`, or empty for a default.
    """

    layer: Layer
    place: str = ""

    def __str__(self) -> str:
        return f"{self.layer}: {self.place}" if self.place else self.layer.value
