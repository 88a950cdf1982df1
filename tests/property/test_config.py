"""Whatever files and variables hold, loading gives settings or a `ConfigError`."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.config import Settings, load_settings
from ymera.config.files import read_table
from ymera.config.keys import Leaf, all_keys, dotted, parse_text, variable_name
from ymera.config.layers import LayerReader, nested
from ymera.config.sources import Layer
from ymera.core.errors import ConfigError

MINE = Settings.model_validate(
    {
        "providers": {"mine": {}},
        "mcp": {"servers": {"mine": {}}},
        "tools": {"databases": {"mine": {}}},
    }
)
LEAVES = list(all_keys(MINE))
NAMES = sorted({part for path, _ in LEAVES for part in path} | {"mine", "typo", "api_key"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=20),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.lists(st.one_of(st.text(max_size=5), st.integers()), max_size=3),
)
TREES = st.recursive(
    st.dictionaries(st.sampled_from(NAMES), SCALARS, max_size=4),
    lambda below: st.dictionaries(st.sampled_from(NAMES), st.one_of(below, SCALARS), max_size=4),
    max_leaves=12,
)


@pytest.mark.proves("config.wrong-type", "config.unknown-key")
@given(tree=TREES)
def test_any_tree_is_sorted_into_good_values_and_problems(tree: dict[str, object]) -> None:
    reader = LayerReader(Layer.PROJECT, Path("/project"))
    reader.read_file(Path("/project/ymera.toml"), tree)
    Settings.model_validate(nested(reader.values))  # what is left is valid
    for problem in reader.problems:
        assert problem.sentence.startswith("/project/ymera.toml: ")
        assert problem.hint


@pytest.mark.proves("config.broken-file")
@given(content=st.binary(max_size=200), name=st.sampled_from(["a.toml", "a.json"]))
def test_any_bytes_are_a_table_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    said = ""
    try:
        assert isinstance(read_table(path), dict)
    except ConfigError as error:
        said = error.message
    assert not said or str(path) in said


@pytest.mark.proves("config.layers")
@given(
    environ=st.dictionaries(
        st.one_of(
            st.sampled_from([variable_name(path) for path, _ in LEAVES] + ["YMERA_PROVIDERS"]),
            st.text("ABC_", max_size=8).map(lambda end: "YMERA_" + end),
        ),
        st.text(max_size=30),
        max_size=4,
    )
)
def test_any_variables_give_settings_or_an_error_that_names_them(environ: dict[str, str]) -> None:
    nowhere = Path("/nonexistent")
    said = ""
    try:
        loaded = load_settings(environ=environ, cwd=nowhere, user_dir=nowhere)
        assert list(loaded.values()) == list(loaded.sources)
    except ConfigError as error:
        said = error.message
    assert not said or any(name in said for name in environ)


def as_text(value: object) -> str:
    if isinstance(value, list):
        return json.dumps(value)
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


@pytest.mark.parametrize(("path", "leaf"), LEAVES, ids=[dotted(path) for path, _ in LEAVES])
def test_every_default_survives_the_way_through_a_variable(
    path: tuple[str, ...], leaf: Leaf
) -> None:
    nowhere = Path("/nonexistent")
    tables = dict.fromkeys(
        ("YMERA_PROVIDERS", "YMERA_MCP__SERVERS", "YMERA_TOOLS__DATABASES"), '{"mine": {}}'
    )
    defaults = load_settings(environ=tables, cwd=nowhere, user_dir=nowhere).values()
    text = as_text(defaults[dotted(path)])
    if text == "null" and not leaf.nullable:
        pytest.fail("a null default needs a nullable setting")
    loaded = load_settings(
        environ={**tables, variable_name(path): text},
        cwd=nowhere,
        user_dir=nowhere,
    )
    assert loaded.values() == defaults
    assert loaded.sources[dotted(path)].place == variable_name(path)


@given(amount=st.decimals(min_value=0, max_value=10_000, places=9))
def test_money_stays_exact_through_a_variable(amount: Decimal) -> None:
    leaf = dict(all_keys())[("budget", "max_usd_per_request")]
    assert parse_text(leaf, str(amount)) == amount
