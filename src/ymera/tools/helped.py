"""What a server leaves unsaid: where it works, and how its well-known tools are used.

Small models need to be told; large ones save a failed call. Only words and defaults are added:
what a tool may do is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ymera.core.ports import ToolSource
from ymera.core.tool import ContextItem, Tool, ToolResult
from ymera.tools.schemas import properties

__all__ = ["HelpedSource"]

_PLACES = frozenset(
    "repo repo_path repository repository_path project_path project_dir workspace workspace_path "
    "root root_path base_path".split()
)

_NOTES: dict[str, str] = {
    "git_log": "Lists the commits, newest first: hash, author, date, message. For questions about "
    "the history: who wrote a commit, its message, the first, last or latest commit.",
    "git_show": "Shows one commit with the lines and values it changed.",
    "git_status": "Shows which files are staged, changed or new and not yet committed.",
    "git_diff_staged": "Shows the changed lines of staged files.",
    "git_diff_unstaged": "Shows the changed lines of files that are not staged.",
    "git_branch": "Lists the names of branches.",
    "git_diff": "Compares with another branch or commit.",
}

_ARGUMENTS: dict[str, dict[str, dict[str, object]]] = {
    "git_branch": {"branch_type": {"enum": ["local", "remote", "all"], "default": "all"}},
    "git_show": {"revision": {"description": "The hash of the commit."}},
    "git_diff": {"target": {"description": "The hash of a commit, or the name of a branch."}},
}
"""Of servers that many people use: read from their source, by the tools' own names."""


class HelpedSource:
    """A `ToolSource` whose tools say more about their use.

    Args:
        source: the server.
        place: the one directory it was started for; a default for arguments that ask for it.
    """

    def __init__(self, source: ToolSource, *, place: str | None = None) -> None:
        self._source = source
        self._place = place

    async def tools(self) -> Sequence[Tool]:
        """Return the server's tools with what helps."""
        return [self._helped(tool) for tool in await self._source.tools()]

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolResult:
        """Call a tool."""
        return await self._source.call(name, arguments)

    async def context(self, query: str) -> Sequence[ContextItem]:
        """Return what bears on `query`."""
        return await self._source.context(query)

    async def close(self) -> None:
        """Close the server."""
        await self._source.close()

    def _helped(self, tool: Tool) -> Tool:
        own_name = tool.name.partition("__")[2]
        known = properties(tool)
        more = {
            name: {**schema, **_ARGUMENTS.get(own_name, {}).get(name, {})}
            for name, schema in known.items()
        }
        if self._place is not None:
            for name, schema in more.items():
                if name in _PLACES and schema.get("type") == "string":
                    schema.setdefault("default", self._place)
        note = _NOTES.get(own_name)
        if note is not None:
            tool = msgspec.structs.replace(tool, description=f"{note} {tool.description}")
        if more == known:
            return tool
        schema = msgspec.json.decode(tool.parameters, type=dict[str, object])
        schema["properties"] = more
        return msgspec.structs.replace(tool, parameters=msgspec.Raw(msgspec.json.encode(schema)))
