"""Overlay files: what they may hold, and which layer wins."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ymera.catalog.catalog import Catalog
from ymera.catalog.layers import Layers, layered
from ymera.catalog.load import load
from ymera.catalog.overlay import (
    Answered,
    Facts,
    Fetched,
    Layer,
    Learned,
    Origin,
    Row,
    decode_fetched,
    decode_learned,
    decode_own,
    encode_fetched,
    encode_learned,
)
from ymera.catalog.why import truths_of, why
from ymera.core.errors import CatalogError

QWEN = "groq/qwen/qwen3.8-27b"
NEW = "openrouter/acme/rocket-1:free"
TODAY = date(2026, 11, 23)
LIST = Origin(source="https://example.org/models", as_of="2026-11-23")
FILE = Origin(source="mine.toml", as_of="2026-11-20")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def fetched(model: str, /, **facts: object) -> Fetched:
    return Fetched(rows={model: Row().saying(Facts(**facts), LIST)})  # type: ignore[arg-type]


def own(model: str, /, **facts: object) -> dict[str, Row]:
    return {model: Row().saying(Facts(**facts), FILE)}  # type: ignore[arg-type]


def answered(model: str, **outcomes: Answered) -> Learned:
    return Learned(answers={model: outcomes})


def over(**layers: object) -> Catalog:
    return layered(load(), Layers(**layers), TODAY)  # type: ignore[arg-type]


@pytest.mark.proves("catalog.layers")
def test_a_layer_wins_over_those_below_it_field_by_field() -> None:
    catalog = over(
        fetched=fetched(QWEN, context_window=1000, max_output=500),
        own=own(QWEN, context_window=2000),
    )
    model, before = catalog.get(QWEN), load().get(QWEN)
    assert (model.context_window, model.max_output) == (2000, 500)
    assert (model.tools, model.quality) == (before.tools, before.quality)
    facts = {fact.field: fact for fact in why(catalog, QWEN)}
    assert (facts["context_window"].layer, facts["context_window"].source) == (
        Layer.USER,
        "mine.toml",
    )
    assert (facts["max_output"].layer, facts["max_output"].date) == (Layer.FETCHED, "2026-11-23")
    assert facts["tools"].layer == Layer.SNAPSHOT
    assert facts["free.may_auto_route"].layer == "rules"


@pytest.mark.proves("catalog.layers")
def test_without_layers_the_catalogue_is_the_snapshot() -> None:
    assert over().models == load().models


@pytest.mark.proves("catalog.three-truths")
def test_a_listed_id_is_known_and_not_among_the_models() -> None:
    catalog = over(fetched=fetched(NEW, listed=True, free_now=True, context_window=9000))
    assert catalog.find(NEW) is None
    assert catalog.upkeep.unproven == {NEW}
    assert catalog.upkeep.listed[NEW].free.may_auto_route is False
    truths = truths_of(catalog, NEW)
    assert (truths.is_listed, truths.has_answered, truths.may_auto_route) == (True, None, False)


@pytest.mark.proves("catalog.three-truths")
def test_only_listed_answering_and_free_together_make_a_new_id_routable() -> None:
    layer = fetched(NEW, listed=True, free_now=True)
    failed = answered(NEW, K=Answered(ok=False, at=AT))
    assert over(fetched=layer, learned=failed).find(NEW) is None
    ok = answered(NEW, K=Answered(ok=True, at=AT))
    assert over(fetched=layer, learned=ok).get(NEW).free.may_auto_route is True
    unsettled = fetched(NEW, listed=True)
    assert over(fetched=unsettled, learned=ok).get(NEW).free.may_auto_route is False


@pytest.mark.proves("catalog.three-truths")
def test_no_layer_talks_the_free_guard_into_a_host_that_bills() -> None:
    paid = "openai/acme-1"
    says = Answered(ok=True, at=AT)
    catalog = over(
        fetched=fetched(paid, free_now=True, listed=True),
        learned=answered(paid, K=says),
        own=own(paid, free_now=True),
    )
    assert catalog.get(paid).free.may_auto_route is False


@pytest.mark.proves("catalog.benched")
def test_a_benched_model_is_kept_and_the_user_may_overrule_it() -> None:
    gone = fetched(QWEN, listed=False)
    assert over(fetched=gone).get(QWEN).free.may_auto_route is False
    assert "no longer lists it" in over(fetched=gone).upkeep.benched[QWEN]
    assert over(fetched=gone, own=own(QWEN, listed=True)).get(QWEN).free.may_auto_route is True


@pytest.mark.proves("models.live-test")
def test_a_failed_test_benches_while_no_key_works_and_for_sixty_days() -> None:
    gone = Answered(ok=False, gone=True, at=AT, detail="No such model.")
    fine = Answered(ok=True, at=AT)
    assert over(learned=answered(QWEN, A=gone)).get(QWEN).free.may_auto_route is False
    assert over(learned=answered(QWEN, A=gone, B=fine)).get(QWEN).free.may_auto_route is True
    old = Answered(ok=False, gone=True, at=datetime(2026, 9, 1, tzinfo=UTC))
    assert over(learned=answered(QWEN, A=old)).get(QWEN).free.may_auto_route is True


@pytest.mark.proves("catalog.old-terms")
def test_free_terms_older_than_sixty_days_show_as_unverified() -> None:
    assert "unverified" not in load().get(QWEN).free.reason
    later = layered(load(), Layers(), date(2027, 6, 1)).get(QWEN)
    assert "unverified" in later.free.reason
    assert later.free.may_auto_route is True
    seen = Origin(source="list", as_of="2027-05-30")
    fresh = Fetched(rows={QWEN: Row().saying(Facts(free_now=True), seen)})
    renewed = layered(load(), Layers(fetched=fresh), date(2027, 6, 1)).get(QWEN)
    assert "unverified" not in renewed.free.reason


def test_rows_of_unknown_providers_are_left_out() -> None:
    catalog = over(fetched=fetched("nobody/x", listed=True), learned=answered("nobody/y"))
    assert catalog.models == load().models
    assert not catalog.upkeep.listed


@pytest.mark.proves("catalog.layers")
def test_both_files_come_back_as_they_were_written() -> None:
    layer = Fetched(
        rows=dict(fetched(NEW, inputs=("image", "text"), tools=False, listed=True).rows),
        missed={"groq/x": 1},
    )
    assert decode_fetched("f", encode_fetched(layer)) == layer
    learned = answered(NEW, K=Answered(ok=True, at=AT, detail="It answered."))
    assert decode_learned("f", encode_learned(learned)) == learned


@pytest.mark.proves("catalog.layers")
@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"{", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"models":{}}', "field 'version'"),
        (b'{"version":1,"mode":{}}', "field 'mode': unknown field"),
        (b'{"version":1,"models":{"a/b":7}}', "'a/b' must be a table"),
        (b'{"version":1,"models":{"a/b":{"tools":{"source":"x"}}}}', "'tools': it has no value"),
        (
            b'{"version":1,"models":{"a/b":{"tools":{"value":1,"source":"x","as_of":"2026-01-01"}}}}',
            "entry 'a/b', field 'tools'",
        ),
        (
            b'{"version":1,"models":{"a/b":{"tools":{"value":true,"source":"x","as_of":"2026-02-30"}}}}',
            "no such day",
        ),
        (b'{"version":1,"missed":{"a/b":-1}}', "field 'missed'"),
    ],
)
def test_a_broken_fetched_file_names_file_entry_and_field(data: bytes, complaint: str) -> None:
    with pytest.raises(CatalogError) as caught:
        decode_fetched("over.json", data)
    assert "over.json" in caught.value.message
    assert complaint in caught.value.message


@pytest.mark.proves("catalog.layers")
@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"a/b": {"contextwindow": 5}}, "entry 'a/b', field 'contextwindow': unknown field"),
        ({"a/b": {"context_window": 0}}, "entry 'a/b', field 'context_window'"),
        ({"a/b": {"input_usd_per_mtok": -1}}, "is no price"),
        ({"a/b": {"input_usd_per_mtok": "NaN"}}, "is no price"),
        ({"b": {"tools": True}}, "an id is `provider/model`"),
        ({"a/b": {"tools": True, "as_of": "yesterday"}}, "entry 'a/b'"),
    ],
)
def test_a_broken_file_of_ones_own_names_entry_and_field(row: object, complaint: str) -> None:
    with pytest.raises(CatalogError) as caught:
        decode_own("mine.toml", {"models": row}, "2026-11-23")
    assert complaint in caught.value.message
    assert caught.value.hint


def test_a_broken_learned_file_names_file_model_and_key() -> None:
    with pytest.raises(CatalogError, match="entry 'a/b', field 'K'"):
        decode_learned("l.json", b'{"version":1,"answers":{"a/b":{"K":{"ok":"so"}}}}')


def test_ones_own_file_may_say_who_says_so() -> None:
    rows = decode_own(
        "mine.toml",
        {"models": {"a/b": {"tools": True, "source": "their docs", "as_of": "2026-10-01"}}},
        "2026-11-23",
    )
    assert rows["a/b"].origins["tools"] == Origin(source="their docs", as_of="2026-10-01")
