"""From the researched fact table to the bundled files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scripts.build_catalog import OUT, main, newest
from ymera.catalog.decode import decode_snapshot
from ymera.catalog.entries import Auth, Conflict, Snapshot
from ymera.catalog.load import build, load
from ymera.catalog.why import evidence_of

SOURCE = {"title": "T", "date": "2026-10-10", "licence": "MIT", "url": None}
HOST: dict[str, Any] = {
    "id": "h", "name": "H", "kind": "hosted", "status": "active",
    "openai_base_url": "https://h.example/v1", "native_base_url": None,
    "wire": ["gemini", "openai-chat"],
    "auth": {"header": "x-key", "format": "{key}", "openai_compat_header": "A: Bearer {key}"},
    "key_env": "H_KEY", "key_env_aliases": ["H_TOKEN"], "extra_env": [], "keyless": False,
    "signup_url": None, "models_endpoint": "GET {openai_base_url}/models",
    "free_class": "recurring", "free_confidence": "high",
    "free_limits": {"rpm": 5, "scope": "key", "src": ["s"]},
    "card_required": None, "phone_required": None, "commercial_ok": None,
    "ratelimit_headers": ["x-left"], "ratelimit_headers_src": ["s (unconfirmed)"],
    "usage_in_stream": None, "quirks": [], "error_shape": "openai",
    "privacy": {"trains_on_free_tier": None, "flag": "unknown", "note": None, "src": []},
    "src": ["s"],
}  # fmt: skip
MODEL: dict[str, Any] = {
    "provider": "h", "id": "m", "name": "M", "family": None, "type": "chat", "status": "active",
    "open_weights": None, "context_window": 100, "max_output": 50,
    "modalities_in": ["text", "image"], "modalities_out": ["text"],
    "tools": True, "structured_output": None, "reasoning": None, "embedding_dims": None,
    "price_in_per_mtok": 0.0605, "price_out_per_mtok": 3, "price_notes": [],
    "release_date": None,
    "free": {"free_now": True, "rpm": 5, "src": ["s", "month"]},
    "quality": {
        "chat": {"elo": 1.0, "low": 1, "high": 2, "percentile": 0.9, "variant": "v", "src": "s"},
        "code_edit": {"pass_rate_2_pct": 41.8, "run_date": "2025-08-06", "variant": None,
                      "src": "s"},
    },
    "speed_tps": None, "notes": [],
    "conflicts": [{"field": "price", "s": [1, 2.5], "month": [0, 0]},
                  {"field": "max_output", "s": 50, "month": 60}],
    "src": {"id": "s", "modalities_in": "s", "modalities_out": "s", "price_in_per_mtok": "s"},
}  # fmt: skip


def write_table(folder: Path, hosts: list[object], models: list[object]) -> None:
    sources = {"s": SOURCE, "month": SOURCE | {"date": "2026-11"}}
    head = {"schema_version": 1, "generated": "2026-11-22", "sources": sources}
    (folder / "providers.json").write_text(json.dumps(head | {"providers": hosts}))
    (folder / "models.json").write_text(json.dumps(head | {"arena_tasks": {}, "models": models}))


def run(tmp_path: Path, hosts: list[object], models: list[object]) -> dict[str, bytes]:
    data, out = tmp_path / "table", tmp_path / "out"
    for folder in (data, out):
        folder.mkdir(exist_ok=True)
    write_table(data, hosts, models)
    main(["--data", str(data), "--out", str(out)])
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def snapshots(files: dict[str, bytes]) -> dict[str, Snapshot]:
    return {name: decode_snapshot(name, content) for name, content in files.items()}


def test_facts_arrive_with_their_sources(tmp_path: Path) -> None:
    catalog = build(snapshots(run(tmp_path, [HOST], [MODEL])))
    row, host = catalog.model_entries["h/m"], catalog.provider_entries["h"]
    evidence = evidence_of(row)

    assert str(row.price.input_usd_per_mtok) == "0.0605"
    assert (row.inputs, row.quality, row.free.as_of) == (
        ("text", "image"),
        {"chat": 0.9},
        "2026-11-01",
    )
    assert evidence.src == {"id": "s", "inputs": "s", "price": "s"}
    assert evidence.quality["code_edit"].pass_rate == 0.418
    assert evidence.conflicts == (
        Conflict(field="price", values={"month": "0/0", "s": "1/2.5"}),
        Conflict(field="max_output", values={"month": "60", "s": "50"}),
    )
    assert (host.auth, host.native_auth) == (
        Auth(header="A", format="Bearer {key}"),
        Auth(header="x-key", format="{key}"),
    )
    assert host.key_env == ("H_KEY", "H_TOKEN")
    assert host.models_endpoint == "GET {base_url}/models"
    assert (host.ratelimit_headers_src, host.ratelimit_headers_confirmed) == (("s",), False)
    assert catalog.get("h/m").free.may_auto_route


def test_the_same_facts_in_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    other_host, other_model = HOST | {"id": "a"}, MODEL | {"id": "a", "free": None}

    forwards = run(tmp_path, [HOST, other_host], [MODEL, other_model])
    backwards = run(tmp_path, [other_host, HOST], [other_model, MODEL])

    assert forwards == backwards
    assert list(forwards) == ["models.json", "providers.json", "sources.json"]
    assert all(content.endswith(b"}\n") for content in forwards.values())


def test_a_new_column_stops_the_build_until_someone_decides(tmp_path: Path) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `colour`"):
        run(tmp_path, [HOST], [MODEL | {"colour": "red"}])
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["2026-10-10", "2026-11"], "2026-11-01"),
        (["2026-11-02", "2026-11"], "2026-11-02"),
        (["2026 (stored copy, undated)"], None),
        ([], None),
    ],
)
def test_the_newest_dated_source_gives_the_date(dates: list[str], expected: str | None) -> None:
    assert newest(dates) == expected


def test_the_bundled_files_are_as_the_script_writes_them() -> None:
    for name in ("models.json", "providers.json", "sources.json"):
        content = (OUT / name).read_bytes()
        assert content == msgspec.json.format(content.strip(), indent=1) + b"\n"
    ids = [model.id for model in load().models if model.provider != "local"]
    assert ids == sorted(ids)
