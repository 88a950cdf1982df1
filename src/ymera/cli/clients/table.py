"""One row per client: its file, what belongs into it, and which of our routes and names it uses.

Sources (read 2026-11): the clients' own documentation of their configuration: Claude Code's
settings and gateway pages, Codex's configuration reference, aider's "OpenAI compatible APIs" and
YAML configuration pages, opencode's configuration and provider pages, Open WebUI's list of
environment variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["CLIENTS", "PLACEHOLDER", "Client", "FileKind"]

PLACEHOLDER = "ymera"
"""Stands where a client insists on a key. The server on loopback wants none, so it is no secret."""

Values = Mapping[str, object]


class FileKind(StrEnum):
    """How a client's file is written."""

    JSON = "json"
    TOML = "toml"
    YAML = "yaml"
    ENV = "env"


@dataclass(frozen=True, kw_only=True)
class Client:
    """A program that can ask Ymera.

    Attributes:
        name: for people.
        kind: how its file is written.
        path: where its file is; takes the environment and the user's home.
        values: what belongs into the file, nested; takes the server's URL without a path.
        routes: which of our routes it uses.
        model: the name it asks for.
        notes: what else to know, one sentence each.
    """

    name: str
    kind: FileKind
    path: Callable[[Mapping[str, str], Path], Path]
    values: Callable[[str], Values]
    routes: tuple[str, ...]
    model: str
    notes: tuple[str, ...] = ()


def _folder(variable: str, *default: str) -> Callable[[Mapping[str, str], Path], Path]:
    """Return what finds a folder that a variable may name."""

    def find(environ: Mapping[str, str], home: Path) -> Path:
        named = environ.get(variable, "").strip()
        return Path(named).expanduser() if named else home.joinpath(*default)

    return find


_claude = _folder("CLAUDE_CONFIG_DIR", ".claude")
_codex = _folder("CODEX_HOME", ".codex")
_config = _folder("XDG_CONFIG_HOME", ".config")


def _claude_code(url: str) -> Values:
    return {
        "env": {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_AUTH_TOKEN": PLACEHOLDER,
            "ANTHROPIC_MODEL": "auto",
            "ANTHROPIC_DEFAULT_OPUS_MODEL": "best",
            "ANTHROPIC_DEFAULT_SONNET_MODEL": "auto",
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": "fast",
        }
    }


def _codex_cli(url: str) -> Values:
    return {
        "model": "auto",
        "model_provider": "ymera",
        "web_search": "disabled",
        "model_providers": {
            "ymera": {"name": "Ymera", "base_url": f"{url}/v1", "wire_api": "responses"}
        },
    }


def _aider(url: str) -> Values:
    return {
        "openai-api-base": f"{url}/v1",
        "openai-api-key": PLACEHOLDER,
        "model": "openai/auto",
        "weak-model": "openai/fast",
        "show-model-warnings": False,
    }


def _opencode(url: str) -> Values:
    models = {name: {"name": f"Ymera {name}"} for name in ("auto", "best", "fast", "free")}
    return {
        "$schema": "https://opencode.ai/config.json",
        "provider": {
            "ymera": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Ymera",
                "options": {"baseURL": f"{url}/v1", "apiKey": PLACEHOLDER},
                "models": models,
            }
        },
        "model": "ymera/auto",
        "small_model": "ymera/fast",
    }


def _open_webui(url: str) -> Values:
    return {"OPENAI_API_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": PLACEHOLDER}


CLIENTS: Mapping[str, Client] = {
    "claude-code": Client(
        name="Claude Code",
        kind=FileKind.JSON,
        path=lambda environ, home: _claude(environ, home) / "settings.json",
        values=_claude_code,
        routes=("/v1/messages", "/v1/messages/count_tokens"),
        model="auto",
        notes=(
            "Unset ANTHROPIC_API_KEY if your shell sets it: it would be sent as well.",
            "Claude Code's opus, sonnet and haiku become best, auto and fast.",
        ),
    ),
    "codex": Client(
        name="Codex",
        kind=FileKind.TOML,
        path=lambda environ, home: _codex(environ, home) / "config.toml",
        values=_codex_cli,
        routes=("/v1/responses",),
        model="auto",
        notes=(
            "Its web search runs at OpenAI and is switched off; Codex warns that it does not "
            "know the model, which is right.",
        ),
    ),
    "aider": Client(
        name="aider",
        kind=FileKind.YAML,
        path=lambda _environ, home: home / ".aider.conf.yml",
        values=_aider,
        routes=("/v1/chat/completions",),
        model="auto",
        notes=("A .aider.conf.yml or .env in a project wins over this file.",),
    ),
    "opencode": Client(
        name="opencode",
        kind=FileKind.JSON,
        path=lambda environ, home: _config(environ, home) / "opencode" / "opencode.json",
        values=_opencode,
        routes=("/v1/chat/completions",),
        model="auto",
        notes=("An opencode.json of a project wins over this file.",),
    ),
    "open-webui": Client(
        name="Open WebUI",
        kind=FileKind.ENV,
        path=lambda _environ, _home: Path.cwd() / "open-webui.env",
        values=_open_webui,
        routes=("/v1/chat/completions", "/v1/models"),
        model="auto",
        notes=(
            "Give it at the first start: docker run --network host --env-file open-webui.env ...",
            "Later it keeps connections in its database: add the URL under Admin Settings, "
            "Connections, OpenAI.",
        ),
    ),
}
"""Clients by the word `ymera connect` takes."""
