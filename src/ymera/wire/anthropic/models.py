"""The model list, as this dialect's clients page through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from ymera.wire.problems import invalid

__all__ = ["ListedModel", "encode_model", "encode_models"]

_DEFAULT_LIMIT = 20
_MAX_LIMIT = 1000


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """What the list says of one name.

    Attributes:
        id: what a request may name.
        name: for people.
        context_window: most tokens of a request and its answer; None when not known.
        max_output: longest answer in tokens; None when not known.
    """

    id: str
    name: str
    context_window: int | None = None
    max_output: int | None = None


def encode_models(
    models: Sequence[ListedModel], created: datetime, query: Mapping[str, str]
) -> bytes:
    """Return one page of the model list.

    Args:
        models: all of them.
        created: what to say of each, UTC.
        query: `limit` (1..1000, default 20), `after_id`, `before_id`.

    Raises:
        InvalidRequest: the limit is none, or the page begins beside a model that is not listed.
    """
    limit = _limit(query.get("limit"))
    after, before = query.get("after_id"), query.get("before_id")
    ids = [model.id for model in models]
    first = 0 if after is None else _place(ids, "after_id", after) + 1
    last = len(ids) if before is None else _place(ids, "before_id", before)
    found = models[first:last]
    page = found[:limit] if before is None or after is not None else found[-limit:]
    return msgspec.json.encode(
        {
            "data": [_entry(model, created) for model in page],
            "has_more": len(page) < len(found),
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
    )


def encode_model(model: ListedModel, created: datetime) -> bytes:
    """Return one entry of the model list."""
    return msgspec.json.encode(_entry(model, created))


def _entry(model: ListedModel, created: datetime) -> dict[str, object]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output,
    }


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MAX_LIMIT):
        raise invalid("limit", f"is {text!r}.", f"Use a number from 1 to {_MAX_LIMIT}.")
    return int(text)


def _place(ids: Sequence[str], param: str, id: str) -> int:
    if id not in ids:
        raise invalid(param, f"is {id!r}, which is not listed.", "Use an id of the list.")
    return ids.index(id)
