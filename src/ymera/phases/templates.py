"""The templates of agents: sandboxed, strict, and looked over before anything is asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.nodes import Template as Tree
    from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["VARIABLES", "template", "template_problems"]

VARIABLES = ("task", "parameters", "artefacts")
"""What templates know."""


@lru_cache(maxsize=512)
def template(source: str) -> Template:
    """Return a template ready to be filled in.

    Raises:
        jinja2.TemplateSyntaxError: it is none.
    """
    return _environment().from_string(source)


def template_problems(
    source: str, parameters: Collection[str], artefacts: Collection[str]
) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with a template: the line in it, counted from 1, and a clause.

    Args:
        source: the template.
        parameters: names of parameters it may use.
        artefacts: names of phases whose artefacts it may use.
    """
    from jinja2 import TemplateSyntaxError, meta

    if not source:
        return
    environment = _environment()
    try:
        tree = environment.parse(source)
        environment.compile(tree)
        tree = environment.parse(source)  # compiling may change it
    except TemplateSyntaxError as error:
        yield error.lineno, f"template error: {(error.message or 'not valid').removesuffix('.')}"
        return
    known = {"parameters": parameters, "artefacts": artefacts}
    for name in sorted(meta.find_undeclared_variables(tree) - set(VARIABLES)):
        words = f"templates know {', '.join(VARIABLES)}, not {name!r}"
        yield _line_of_name(tree, name), words
    for table, key, line in _looked_up(tree):
        if table in known and key not in known[table]:
            have = ", ".join(sorted(known[table])) or "none"
            yield line, f"{table}.{key} is not there for this phase (there: {have})"


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )


def _line_of_name(tree: Tree, name: str) -> int:
    from jinja2 import nodes

    return next((each.lineno for each in tree.find_all(nodes.Name) if each.name == name), 1)


def _looked_up(tree: Tree) -> Iterator[tuple[str, str, int]]:
    """Yield every `table.key` and `table["key"]`, with its line."""
    from jinja2 import nodes

    for found in tree.find_all(nodes.Getattr):
        if isinstance(found.node, nodes.Name):
            yield found.node.name, found.attr, found.lineno
    for item in tree.find_all(nodes.Getitem):
        key = item.arg.value if isinstance(item.arg, nodes.Const) else None
        if isinstance(item.node, nodes.Name) and isinstance(key, str):
            yield item.node.name, key, item.lineno
