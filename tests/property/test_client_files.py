"""Editing other programs' files: ours is in, theirs is kept, a second time changes nothing."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
import tomlkit
import yaml  # type: ignore[import-untyped]
from hypothesis import assume, given
from hypothesis import strategies as st

from ymera.cli.clients.merge import merged
from ymera.cli.clients.table import CLIENTS, FileKind
from ymera.core.errors import ConfigError

URL = "http://127.0.0.1:8080"
names = st.sampled_from(["model", "env", "theme", "provider", "model_providers"]) | st.from_regex(
    r"[a-z][a-z_-]{0,8}", fullmatch=True
)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
scalars = st.booleans() | st.integers(-(2**40), 2**40) | texts
trees = st.recursive(
    st.dictionaries(names, scalars | st.lists(scalars, max_size=3), max_size=4),
    lambda inner: st.dictionaries(names, scalars | inner, max_size=4),
    max_leaves=8,
)


def laid_over(before: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the file has to mean afterwards."""
    after = dict(before)
    for name, value in values.items():
        now = after.get(name, {})
        after[name] = laid_over(now, value) if isinstance(value, dict) else value
    return after


def fits(before: object, values: Mapping[str, Any]) -> bool:
    """Whether there is an object wherever one is needed."""
    if not isinstance(before, dict):
        return False
    nested = {name: value for name, value in values.items() if isinstance(value, dict)}
    return all(fits(before.get(name, {}), value) for name, value in nested.items())


@pytest.mark.proves("cli.connect-keeps")
@given(trees, st.sampled_from([None, 2, 4, "\t"]), st.sampled_from(["claude-code", "opencode"]))
def test_json_keeps_everything_else(tree: dict[str, Any], indent: int | str, client: str) -> None:
    values: Any = CLIENTS[client].values(URL)
    text = json.dumps(tree, indent=indent, ensure_ascii=False)
    if not fits(tree, values):
        with pytest.raises(ConfigError):
            merged(FileKind.JSON, text, values)
        return
    new = merged(FileKind.JSON, text, values)
    assert json.loads(new) == laid_over(tree, values)
    assert list(json.loads(new))[: len(tree)] == list(tree)
    assert merged(FileKind.JSON, new, values) == new


@pytest.mark.proves("cli.connect-keeps")
@given(trees, st.booleans())
def test_toml_keeps_everything_else_or_refuses(tree: dict[str, Any], windows: bool) -> None:
    values: Any = CLIENTS["codex"].values(URL)
    text = "# a comment that stays\n" + tomlkit.dumps(tree)
    assume("\n" in text)
    if windows:
        text = text.replace("\n", "\r\n")
    try:
        new = merged(FileKind.TOML, text, values)
    except ConfigError:
        nested = any(isinstance(tree.get(name), dict | list) for name in values)
        assert nested or not fits(tree, values)
        return
    assert tomllib.loads(new) == laid_over(tomllib.loads(text), values)
    assert new.startswith("# a comment that stays")
    assert ("\r\n" in new) == windows
    assert merged(FileKind.TOML, new, values) == new


@pytest.mark.proves("cli.connect-keeps")
@given(
    st.dictionaries(
        names | st.sampled_from(["openai-api-base", "weak-model"]),
        scalars | st.lists(texts, min_size=1, max_size=2),
        max_size=5,
    ),
    st.booleans(),
)
def test_yaml_keeps_everything_else_or_refuses(tree: dict[str, Any], comment: bool) -> None:
    values: Any = CLIENTS["aider"].values(URL)
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True) if tree else ""
    text = f"# mine\n{text}" if comment else text
    before = yaml.safe_load(text) or {}
    try:
        new = merged(FileKind.YAML, text, values)
    except ConfigError:
        ours = [tree[name] for name in values if name in tree]
        assert any(isinstance(value, list | str) for value in ours)
        return
    assert yaml.safe_load(new) == laid_over(before, values)
    assert new.startswith("# mine") == comment
    assert merged(FileKind.YAML, new, values) == new


@pytest.mark.proves("cli.connect-keeps")
@given(st.text(max_size=60), st.sampled_from(list(CLIENTS)))
def test_any_text_is_edited_or_refused(text: str, client: str) -> None:
    row = CLIENTS[client]
    values = row.values(URL)
    try:
        new = merged(row.kind, text, values)
    except ConfigError:
        return
    assert merged(row.kind, new, values) == new
