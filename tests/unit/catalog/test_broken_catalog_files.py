"""A broken catalogue file is one sentence that names file, entry and field."""

from __future__ import annotations

import msgspec
import pytest

from ymera.catalog import load as catalog_load
from ymera.catalog.decode import decode_snapshot
from ymera.catalog.load import build, load
from ymera.core.errors import CatalogError

HOST: dict[str, object] = {"id": "h", "name": "H", "kind": "hosted", "wire": ["openai-chat"]}
MODEL: dict[str, object] = {"provider": "h", "id": "v/m"}


def file_of(**sections: object) -> bytes:
    head = {"schema_version": 1, "generated": "2026-11-22"}
    return msgspec.json.encode(head | sections)


@pytest.mark.proves("catalog.check")
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tolls": True}, "entry 'h/v/m', field 'tolls': unknown field"),
        ({"free": {"rmp": 1}}, "entry 'h/v/m', field 'free.rmp': unknown field"),
        ({"context_window": 0}, "entry 'h/v/m', field 'context_window': Expected `int` >= 1"),
        ({"free": {"rpm": -1}}, "entry 'h/v/m', field 'free.rpm': Expected `int` >= 0"),
        ({"tools": "yes"}, "entry 'h/v/m', field 'tools': Expected `bool | null`, got `str`"),
        ({"kind": "poem"}, "entry 'h/v/m', field 'kind': Invalid enum value 'poem'"),
        ({"quality": {"chat": 1.5}}, "field 'quality[...]': Expected `float` <= 1.0"),
        ({"price": {"input_usd_per_mtok": -1}}, "'price.input_usd_per_mtok': -1 is no price"),
        ({"price": {"output_usd_per_mtok": "NaN"}}, "'price.output_usd_per_mtok': NaN is no price"),
        ({"free": {"as_of": "2026-02-30"}}, "'free.as_of': no such day as 2026-02-30"),
        ({"provider": 7}, "entry 'v/m', field 'provider': Expected `str`, got `int`"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(CatalogError) as caught:
        decode_snapshot("mine.json", file_of(models=[{**MODEL, "id": "v/ok"}, MODEL | change]))

    assert caught.value.message.startswith("The catalogue file mine.json is broken: ")
    assert complaint in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (file_of(models=7), "Expected `array`, got `int`"),
        (file_of(models=[7]), "entry models number 1, Expected `object`, got `int`"),
        (file_of(models=[{"provider": "h"}]), "entry 'h', field 'id': missing"),
        (file_of(providers=[{}]), "entry providers number 1, field 'id': missing"),
        (file_of(schema_version=2), "Invalid enum value 2"),
        (file_of(models=[MODEL, MODEL]), "entry 'h/v/m' stands there twice"),
        (file_of(providers=[HOST | {"free_class": "user"}]), "'user' is for your own settings"),
        (file_of(providers=[HOST | {"auth": {"format": "x"}}]), "field 'auth.format'"),
    ],
)
def test_a_file_of_the_wrong_shape_is_named(data: bytes, complaint: str) -> None:
    with pytest.raises(CatalogError) as caught:
        decode_snapshot("mine.json", data)

    assert "mine.json" in caught.value.message
    assert complaint in caught.value.message


def test_a_model_of_no_provider_is_named_with_its_file() -> None:
    snapshot = decode_snapshot("mine.json", file_of(models=[MODEL]))

    with pytest.raises(CatalogError) as caught:
        build({"mine.json": snapshot})
    assert caught.value.message == (
        "The catalogue file mine.json is broken: "
        "entry 'h/v/m', field 'provider': there is no provider 'h'."
    )


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        ({"providers": [{**HOST, "name": "Other"}]}, "second.json is broken: entry 'h' stands"),
        ({"models": [{**MODEL, "tools": True}]}, "second.json is broken: entry 'h/v/m' stands"),
    ],
)
def test_an_entry_in_two_files_is_named(second: dict[str, object], complaint: str) -> None:
    files = {
        "first.json": decode_snapshot("first.json", file_of(providers=[HOST], models=[MODEL])),
        "second.json": decode_snapshot("second.json", file_of(**second)),
    }

    with pytest.raises(CatalogError, match=complaint):
        build(files)


def test_a_damaged_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_load, "_FACTS", ("lost.json",))

    with pytest.raises(CatalogError, match=r"lost\.json cannot be read") as caught:
        load.__wrapped__()
    assert caught.value.hint == "Reinstall ymera."
