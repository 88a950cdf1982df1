"""What `ymera catalog check` finds in a catalogue that loads but is not right."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from tests.unit.catalog.conftest import SNAPSHOT_DAY, model, provider
from ymera.catalog.catalog import Catalog
from ymera.catalog.check import Counts, Level, Problem, check, count
from ymera.catalog.decode import decode_snapshot
from ymera.catalog.load import build
from ymera.core.model import HubFile, LocalWeights, Provider, ProviderKind, WheelMember, WheelParts

HASH = "0" * 64


def messages(providers: list[Provider], **changes: object) -> list[str]:
    catalog = Catalog(
        generated=SNAPSHOT_DAY, providers=providers, models=[model("host/alpha", **changes)]
    )
    return [f"{each.level}: {each.message}" for each in check(catalog)]


def weights(**changes: object) -> LocalWeights:
    fields: dict[str, object] = {
        "filename": "a.gguf",
        "sha256": HASH,
        "size_bytes": 3,
        "licence": "MIT",
        "source": HubFile(repo="o/r", file="a.gguf"),
    }
    return LocalWeights(**(fields | changes))  # type: ignore[arg-type]


def part(size_bytes: int, wheel_sha256: str = HASH) -> WheelMember:
    return WheelMember(
        requirement="a==1", wheel_sha256=wheel_sha256, member="a/b", size_bytes=size_bytes
    )


def test_a_sound_catalogue_has_no_problem(three_hosts: Catalog) -> None:
    assert check(three_hosts) == ()


@pytest.mark.proves("catalog.check")
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"base_url": None}, "error: It has no base URL."),
        ({"auth_format": "Bearer"}, "error: Its auth_format has no place for the key, `{key}`."),
        (
            {"free_class": "local"},
            "error: Its free class is local, but it runs on others' hardware.",
        ),
        (
            {"base_url": "https://x.example/{account_id}"},
            "error: Nothing fills ['account_id'] in its base URL.",
        ),
    ],
)
def test_a_wrong_provider_is_found(changes: dict[str, object], complaint: str) -> None:
    assert messages([provider(**changes)]) == [complaint]


@pytest.mark.proves("catalog.check")
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"context_window": 10, "max_output": 11},
            "warning: max_output 11 exceeds context_window 10.",
        ),
        ({"quality": {"chat": 1.2}}, "error: quality.chat 1.2 is not within 0..1."),
        (
            {"weights": weights(sha256="beef")},
            "error: A SHA-256 of its weights is not 64 hex digits.",
        ),
        (
            {"weights": weights(source=part(3, "beef"))},
            "error: A SHA-256 of its weights is not 64 hex digits.",
        ),
        (
            {"weights": weights(source=WheelParts(parts=(part(1), part(1))))},
            "error: The parts of its weights do not add up to size_bytes.",
        ),
    ],
)
def test_a_wrong_model_is_found(changes: dict[str, object], complaint: str) -> None:
    assert messages([provider()], **changes) == [complaint]


def test_an_embedded_model_without_weights_is_found() -> None:
    here = provider(kind=ProviderKind.EMBEDDED, free_class="local", base_url=None)

    assert messages([here]) == ["error: It is embedded but names no weights."]
    assert messages([here], weights=weights()) == []


def test_old_terms_are_found_once_per_host_by_the_day_asked_for(three_hosts: Catalog) -> None:
    assert check(three_hosts, today=date(2027, 1, 15)) == (
        Problem(
            level=Level.WARNING,
            subject="host",
            message="The free terms of 2 models are unverified (2026-11-01).",
        ),
    )


def test_provenance_is_checked_and_errors_come_first() -> None:
    evidence = {
        "src": {"tools": "gossip", "colour": "seen"},
        "free_src": ["rumour"],
        "conflicts": [{"field": "tools", "values": {"a": "yes", "b": "no"}}],
        "notes": ["litellm deprecation_date 2026-11-01", "litellm deprecation_date 2027-01-01"],
    }
    host = {"id": "h", "name": "H", "kind": "hosted", "wire": [], "base_url": "https://h.example"}
    data = {
        "schema_version": 1,
        "generated": "2026-11-22",
        "providers": [host | {"src": ["hearsay"]}],
        "models": [
            {"provider": "h", "id": "m", "quality": {"chat": 0.5}, "evidence": evidence},
            {"provider": "h", "id": "n", "evidence": {"src": 7}},
        ],
    }
    snapshot = decode_snapshot("x.json", msgspec.json.encode(data))

    assert [
        f"{each.level} {each.subject}: {each.message}" for each in check(build({"x": snapshot}))
    ] == [
        "error h: It names an unknown source, 'hearsay'.",
        "error h/m: It names an unknown source, 'gossip'.",
        "error h/m: It names an unknown source, 'rumour'.",
        "error h/m: It names an unknown source, 'seen'.",
        "error h/m: It gives a source for an unknown field, 'colour'.",
        "error h/m: quality.chat has no source.",
        "error h/n: Its evidence is broken: Expected `object`, got `int` - at `$.src`.",
        "warning h/m: Sources disagree on tools: a yes, b no.",
        "warning h/m: A source says it ended on 2026-11-01.",
    ]


def test_spellings_of_one_model_count_once_and_aliases_not_at_all(three_hosts: Catalog) -> None:
    spelt = [
        "host/vendor/Llama-3_3-70B-Instruct",
        "host/meta-llama-3.3-70b:free",
        "host/nemotron-3-super",
        "host/nvidia/nemotron-3-super-120b-a12b",
        "host/gpt-oss-20b",
        "host/gpt-oss-120b",
        "host/flash-latest",
        "host/free",
    ]
    overlaid = three_hosts.with_overlay(models=[model(each) for each in spelt])

    assert count(overlaid) == Counts(
        providers=3,
        pairs=12,
        free_now=11,
        auto_routable=11,
        hosted_free_now=10,
        distinct_free_chat=5,
    )
