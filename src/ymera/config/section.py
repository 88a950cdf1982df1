"""What every table of the settings has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Section"]


class Section(BaseModel):
    """A table: no unknown names, no other types than said, not changed once it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
