"""Maximum flow (Dinic's algorithm), for the bound that knows the future."""

from __future__ import annotations

from collections import deque

__all__ = ["Flow"]


class Flow:
    """A network of numbered nodes; add edges, then ask for the most that flows."""

    def __init__(self) -> None:
        self._edges: list[list[int]] = []
        self._to: list[int] = []
        self._left: list[int] = []

    def node(self) -> int:
        """Return a new node."""
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, start: int, end: int, capacity: int) -> int:
        """Add an edge; return its number."""
        number = len(self._to)
        for one, other, room in ((start, end, capacity), (end, start, 0)):
            self._edges[one].append(len(self._to))
            self._to.append(other)
            self._left.append(room)
        return number

    def most(self, source: int, sink: int) -> int:
        """Return the maximum flow."""
        total = 0
        while (levels := self._levels(source, sink)) is not None:
            places = [0] * len(self._edges)
            while pushed := self._push(source, sink, levels, places):
                total += pushed
        return total

    def _levels(self, source: int, sink: int) -> list[int] | None:
        levels = [-1] * len(self._edges)
        levels[source] = 0
        waiting = deque([source])
        while waiting:
            node = waiting.popleft()
            for edge in self._edges[node]:
                end = self._to[edge]
                if self._left[edge] and levels[end] < 0:
                    levels[end] = levels[node] + 1
                    waiting.append(end)
        return levels if levels[sink] >= 0 else None

    def _push(self, source: int, sink: int, levels: list[int], places: list[int]) -> int:
        """Find one path along the levels and fill it."""
        path: list[int] = []
        node = source
        while node != sink:
            edge = self._next(node, levels, places)
            if edge is not None:
                path.append(edge)
                node = self._to[edge]
            elif path:
                node = self._to[path.pop() ^ 1]
                places[node] += 1
            else:
                return 0
        amount = min(self._left[edge] for edge in path)
        for edge in path:
            self._left[edge] -= amount
            self._left[edge ^ 1] += amount
        return amount

    def _next(self, node: int, levels: list[int], places: list[int]) -> int | None:
        """Return an edge that leads on from a node, None at a dead end."""
        edges = self._edges[node]
        while places[node] < len(edges):
            edge = edges[places[node]]
            if self._left[edge] and levels[self._to[edge]] == levels[node] + 1:
                return edge
            places[node] += 1
        return None
