"""The callers: a coding client in each dialect, which keeps its own history as it was answered."""

from __future__ import annotations

import json
from typing import Protocol

from bench.sessions.script import TOOLS
from ymera.core.chat import ChatRequest
from ymera.core.model import Dialect
from ymera.wire.dialects import caller_dialect

__all__ = ["CLIENTS", "Client", "Wanted"]

_Json = dict[str, object]

Wanted = list[tuple[str, str]]
"""Id and name of each call that waits for its result; both as the client was told."""

_MAX_TOKENS = 4096


class Client(Protocol):
    """Speaks one dialect.

    Attributes:
        dialect: which.
        chars: of the conversation so far.
    """

    dialect: Dialect
    chars: int

    def says(self, text: str) -> None:
        """Add a turn of the user."""

    def answered(self, body: bytes) -> Wanted:
        """Add the answer as it came; return the calls that it makes."""

    def results(self, results: list[tuple[str, str, str]]) -> None:
        """Add the results: id, name and text of each."""

    def request(self, *, stream: bool) -> ChatRequest:
        """Return the next request, through the bytes that would be sent."""


class _Base:
    dialect: Dialect

    def __init__(self, system: str) -> None:
        self.system = system
        self.history: list[_Json] = []
        self.chars = len(system)

    def _keep(self, *turns: _Json) -> None:
        self.history += turns
        self.chars += len(json.dumps(turns))

    def _decoded(self, fields: _Json) -> ChatRequest:
        return caller_dialect(self.dialect).decode_request(json.dumps(fields).encode())


class _OpenAI(_Base):
    dialect = Dialect.OPENAI_CHAT

    def says(self, text: str) -> None:
        self._keep({"role": "user", "content": text})

    def answered(self, body: bytes) -> Wanted:
        message = json.loads(body)["choices"][0]["message"]
        self._keep(message)
        calls = message.get("tool_calls") or []
        return [(call["id"], call["function"]["name"]) for call in calls]

    def results(self, results: list[tuple[str, str, str]]) -> None:
        for id, _, text in results:
            self._keep({"role": "tool", "tool_call_id": id, "content": text})

    def request(self, *, stream: bool) -> ChatRequest:
        return self._decoded(
            {
                "model": "auto",
                "messages": [{"role": "system", "content": self.system}, *self.history],
                "tools": [
                    {"type": "function", "function": {"name": name, "parameters": _schema(name)}}
                    for name in TOOLS
                ],
                "stream": stream,
            }
        )


class _Anthropic(_Base):
    dialect = Dialect.ANTHROPIC

    def says(self, text: str) -> None:
        self._keep({"role": "user", "content": [{"type": "text", "text": text}]})

    def answered(self, body: bytes) -> Wanted:
        blocks = json.loads(body)["content"]
        self._keep({"role": "assistant", "content": blocks})
        return [(each["id"], each["name"]) for each in blocks if each["type"] == "tool_use"]

    def results(self, results: list[tuple[str, str, str]]) -> None:
        blocks = [
            {"type": "tool_result", "tool_use_id": id, "content": text} for id, _, text in results
        ]
        self._keep({"role": "user", "content": blocks})

    def request(self, *, stream: bool) -> ChatRequest:
        return self._decoded(
            {
                "model": "auto",
                "max_tokens": _MAX_TOKENS,
                "system": [{"type": "text", "text": self.system}],
                "messages": self.history,
                "tools": [{"name": name, "input_schema": _schema(name)} for name in TOOLS],
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "stream": stream,
            }
        )


class _Gemini(_Base):
    dialect = Dialect.GEMINI

    def says(self, text: str) -> None:
        self._keep({"role": "user", "parts": [{"text": text}]})

    def answered(self, body: bytes) -> Wanted:
        content = json.loads(body)["candidates"][0]["content"]
        self._keep(content)
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        return [(call.get("id", ""), call["name"]) for call in calls]

    def results(self, results: list[tuple[str, str, str]]) -> None:
        parts = []
        for id, name, text in results:
            response: _Json = {"name": name, "response": {"output": text}}
            parts.append({"functionResponse": {"id": id, **response} if id else response})
        self._keep({"role": "user", "parts": parts})

    def request(self, *, stream: bool) -> ChatRequest:
        from ymera.wire.gemini import decode_request_for

        fields = {
            "systemInstruction": {"parts": [{"text": self.system}]},
            "contents": self.history,
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": name, "parameters": _schema(name)} for name in TOOLS
                    ]
                }
            ],
        }
        return decode_request_for(json.dumps(fields).encode(), "auto", stream)


def _schema(name: str) -> _Json:
    properties = TOOLS[name]
    return {"type": "object", "properties": properties, "required": list(properties)}


CLIENTS: tuple[type[_OpenAI | _Anthropic | _Gemini], ...] = (_OpenAI, _Anthropic, _Gemini)
"""Every caller; sessions take them in turn."""
