"""Why a model was chosen: candidates with their scores, exclusions with their reasons."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from ymera.core.model import Model
from ymera.core.task import TaskProfile

__all__ = ["Candidate", "Exclusion", "ExclusionReason", "RoutePlan", "RoutePolicy"]


class RoutePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of the one decision; an alias is a name for one of these.

    Attributes:
        name: alias the caller used (`auto`, `fast`, ...), or the id of a pinned model.
        selector: name of the selector that ranks.
        only_model: catalogue id when the caller pinned one model; then nothing else is asked.
        prefer_free: rank every model that costs nothing before any that does.
        max_cost_usd: most that one request may be estimated to cost; 0 excludes paid models.
        quality_weight, speed_weight, cost_weight: how much each counts in the score, 0..1.
        max_candidates: at most this many models are tried, at least 1.
        avoid: ids of models to ask last, each with why, as what follows "it".
    """

    name: str = "auto"
    selector: str = "free_first"
    only_model: str | None = None
    prefer_free: bool = True
    max_cost_usd: Decimal = Decimal(0)
    quality_weight: float = 0.8
    speed_weight: float = 0.2
    cost_weight: float = 0.0
    max_candidates: int = 4
    avoid: dict[str, str] = {}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A model, and the key to ask it with, considered for one request.

    Attributes:
        model: catalogue entry.
        score: higher is better; comparable within one plan only.
        terms: the parts `score` adds up from, by name.
        reason: one sentence for people.
        key_id: name of the key that would be used, never the key; None where none is needed.
    """

    model: Model
    score: float
    terms: dict[str, float]
    reason: str
    key_id: str | None = None


class ExclusionReason(StrEnum):
    """Why a model is not a candidate (stable codes)."""

    NOT_CHAT = "not_chat"
    NOT_FREE = "not_free"
    NO_KEY = "no_key"
    NO_CONSENT = "no_consent"
    NOT_PULLED = "not_pulled"
    NOT_CALLABLE = "not_callable"
    CONTEXT = "context"
    LIMIT_MINUTE = "limit_minute"
    LIMIT_DAY = "limit_day"
    NO_TOOLS = "no_tools"
    NO_VISION = "no_vision"
    NO_JSON_SCHEMA = "no_json_schema"
    PRIVACY = "privacy"
    HEALTH = "health"
    KEY = "key"
    """Every key of its provider was refused or is out of credit."""
    QUOTA = "quota"
    """Used up for now; `limit_minute` and `limit_day` are of requests too large at any time."""
    CLOSED = "closed"
    """Its provider billed, or was about to, and stays closed until it is opened by hand."""
    NOT_ASKED = "not_asked"


class Exclusion(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was left out.

    Attributes:
        model_id: catalogue id.
        reason: stable code.
        detail: one sentence with the numbers.
        retry_after_s: seconds after which it may be asked; None where waiting does not help.
    """

    model_id: str
    reason: ExclusionReason
    detail: str
    retry_after_s: float | None = None


class RoutePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be asked, in order, and what will not, with reasons.

    A plan made to explain has every model of the catalogue in it; one made to be carried out only
    those that can be called at all. Of an `admitted` one it was looked at, the moment it was made,
    whether the first candidate can be asked, and with which key.
    """

    profile: TaskProfile
    policy: RoutePolicy
    candidates: tuple[Candidate, ...]
    exclusions: tuple[Exclusion, ...]
    admitted: bool = False
