"""Whether a tool may be called: by its effect, the allowlist, and what its arguments are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from ymera.core.access import Principal
from ymera.core.errors import Forbidden
from ymera.core.tool import Tool, ToolEffect
from ymera.security.arguments import argument_problem

__all__ = ["AllowlistGate"]

_MAX_DEPTH = 8
_ODD = re.compile(r"[^\w.*\[\]-]")


class AllowlistGate:
    """Read-only tools run; others only where the allowlist names them (a `ToolGate`).

    Arguments are judged by what they are (a path, an address, a statement), as their names say.
    Text that is none of these is not judged: what a document says is no reason to refuse to
    write it.

    Args:
        allow: patterns of `tools.allow`, such as `files__*`.
        report: told the kind of each refusal, such as `tool.path`.
    """

    def __init__(
        self, allow: Sequence[str], *, report: Callable[[str], None] = lambda _kind: None
    ) -> None:
        self._allow = tuple(allow)
        self._report = report

    def check(self, tool: Tool, arguments: Mapping[str, object], principal: Principal) -> str:
        """Return what lets it run: `read_only` or `allowlist`.

        Raises:
            Forbidden: its effect needs permission it has not, or an argument must not pass.
        """
        del principal  # every caller has the same rights as yet
        allowed = any(fnmatchcase(tool.name, pattern) for pattern in self._allow)
        read_only = tool.effect is ToolEffect.READ_ONLY
        if not read_only and not allowed:
            self._report("tool.not_allowed")
            raise Forbidden(
                f"The tool {_name(tool.name)} may change something, and nobody has allowed it.",
                hint=f"To allow it, add it to tools.allow: {_name(tool.name)}, or every tool of a"
                " server as `server__*`. If it changes nothing, say so with"
                " mcp.servers.<name>.read_only.",
                param=tool.name[:64],
            )
        for path, name, value in _strings("", "", arguments, 0):
            problem = argument_problem(tool, name, value, vouched=allowed)
            if problem is not None:
                self._report(f"tool.{problem.kind}")
                raise Forbidden(
                    f"The argument {_name(path)} of the tool {_name(tool.name)} {problem.detail}.",
                    hint=problem.hint,
                    param=path[:64],
                )
        return "read_only" if read_only else "allowlist"


def _strings(path: str, name: str, value: object, depth: int) -> Iterator[tuple[str, str, str]]:
    """Yield (path, name of the nearest field, text) for each text in the arguments.

    Raises:
        Forbidden: they are nested deeper than anything sensible.
    """
    if depth > _MAX_DEPTH:
        raise Forbidden("The arguments are nested too deeply.", hint="Call it with fewer levels.")
    match value:
        case str():
            yield path, name, value
        case Mapping():
            for key, inner in value.items():
                yield from _strings(f"{path}.{key}".lstrip("."), str(key), inner, depth + 1)
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from _strings(f"{path}[{index}]", name, inner, depth + 1)
        case _:
            return


def _name(text: str) -> str:
    """Return a name a model made up in a form that is safe to show."""
    return f"'{_ODD.sub('?', text[:64])}'"
