"""The reference of the settings, made from their schema: JSON Schema, and tables for people.

`python -m ymera.config.reference docs` writes `config.schema.json` and the tables between the
marks of `configuration.md`; a test fails when either differs from the schema.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from ymera.config.keys import Leaf, Node, Section, Table, find
from ymera.config.schema import Settings

__all__ = ["BEGIN", "END", "json_schema", "key_tables", "schema_text", "with_tables"]

BEGIN = "<!-- made by python -m ymera.config.reference docs: begin -->"
END = "<!-- made by python -m ymera.config.reference docs: end -->"

_TOP_LEVEL = "Top level"


class _WithoutTitles(GenerateJsonSchema):
    """Leaves out titles that only repeat a field's name."""

    def field_title_should_be_set(self, schema: core_schema.CoreSchema) -> bool:
        return False


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) of `ymera.toml` and its JSON siblings."""
    schema: dict[str, object] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return schema | Settings.model_json_schema(schema_generator=_WithoutTitles)


def schema_text() -> str:
    """Return the JSON Schema as its file holds it."""
    return json.dumps(json_schema(), indent=2) + "\n"


def key_tables() -> str:
    """Return one Markdown table per section: key, what it accepts, default, meaning."""
    top_level: list[tuple[str, Node]] = []
    parts: list[str] = []
    for name in Settings.model_fields:
        node = find((name,))
        if isinstance(node, Leaf):
            top_level.append((name, node))
        elif node is not None:
            parts += _section(name, node)
    parts += [f"### {_TOP_LEVEL}", "", "Above the first `[section]` of a TOML file.", ""]
    parts += _table(top_level)
    return "\n".join(_dedented(parts))


def with_tables(document: str) -> str:
    """Return the document with the tables between its marks made anew.

    Raises:
        ValueError: the document lacks the marks.
    """
    before, _, rest = document.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError("the document has no marks for the tables")
    return f"{before}{BEGIN}\n\n{key_tables()}\n\n{END}{after}"


def _section(name: str, node: Section | Table) -> Iterator[str]:
    """Yield the table of one section, then those of the tables in it."""
    if isinstance(node, Table):
        name, node = f"{name}.ID", Section(node.model)
    fields = _fields(node)
    yield from (f"### `{name}`", "", node.model.__doc__ or "", "")
    if any(isinstance(field, Leaf) for _, field in fields):
        yield from (*_table(fields), "")
    for below, field in fields:
        if not isinstance(field, Leaf):
            yield from _section(f"{name}.{below}", field)


def _fields(section: Section) -> list[tuple[str, Node]]:
    found = ((name, find((name,), section)) for name in section.model.model_fields)
    return [(name, node) for name, node in found if node is not None]


def _table(rows: list[tuple[str, Node]]) -> Iterator[str]:
    yield "| key | accepts | default | meaning |"
    yield "|---|---|---|---|"
    for name, node in rows:
        if isinstance(node, Leaf):
            default = json.dumps(node.field.default, default=int)  # money is a whole 0
            description = (node.field.description or "").replace("|", "\\|")
            yield f"| `{name}` | {node.expects} | `{default}` | {description} |"


def _dedented(lines: list[str]) -> Iterator[str]:
    """Yield single lines; docstrings of several lose their indent."""
    for block in lines:
        yield from (
            (line.strip() for line in block.strip().split("\n")) if "\n" in block else [block]
        )


def _write(folder: Path) -> None:
    (folder / "config.schema.json").write_text(schema_text(), encoding="utf-8")
    page = folder / "configuration.md"
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
