"""Names of fields that could be taken for others."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["is_named_like"]


def is_named_like(name: str, names: Collection[str]) -> bool:
    """Return whether a lenient reader could take `name` for one of `names`, and they differ.

    Servers written in Go read `Model` as `model`, and the last of both counts: a caller could have
    another model asked, or another text read, than the ones that were looked at.

    Args:
        name: as a caller wrote it.
        names: in lower case.
    """
    return name not in names and name.casefold() in names
