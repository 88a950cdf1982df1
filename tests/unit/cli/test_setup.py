"""`ymera setup`: what it finds, what it asks, and what it writes."""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from ymera.cli.commands import setup

NOWHERE = "http://127.0.0.1:9/v1"
KEY = "sk-0123456789abcdefghij"


@dataclass
class Host:
    """A host of the OpenAI dialect, and what it was sent."""

    url: str = ""
    healthy: bool = True
    models: tuple[str, ...] = ("llama3.2:latest", "nomic-embed-text")
    owner: str = "library"
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def host() -> Iterator[Host]:
    state = Host()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

        def do_GET(self) -> None:
            rows = [{"id": name, "owned_by": state.owner} for name in state.models]
            self._reply({"object": "list", "data": rows})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            if not state.healthy:
                self._reply({"error": {"message": "out of memory"}}, 500)
                return
            message = {"role": "assistant", "content": "ready"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._reply({"id": "c", "object": "chat.completion", "choices": [choice]})

        def _reply(self, body: object, status: int = 200) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.seen.append((self.path, headers))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let no server of this machine be found; return the user's configuration file."""
    for name in ("OLLAMA", "LMSTUDIO", "LLAMACPP", "VLLM"):
        monkeypatch.setenv(f"YMERA_PROVIDERS__{name}__BASE_URL", NOWHERE)
    monkeypatch.setenv("YMERA_LOCAL__ENABLED", "false")
    return tmp_path / "home" / "xdg_config_home" / "ymera" / "config.toml"


@pytest.fixture
def ollama(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("YMERA_PROVIDERS__OLLAMA__BASE_URL", host.url)
    return host


@pytest.mark.proves("cli.setup-looks")
def test_without_a_terminal_and_flags_it_explains(bare: CommandLine, machine: Path) -> None:
    result = bare("setup")
    assert result.code == 2
    assert "--enable" in result.err
    assert "--consent" in result.err
    assert not machine.exists()


@pytest.mark.proves("cli.setup-looks")
def test_a_look_names_keys_servers_terms_and_gains_and_writes_nothing(
    bare: CommandLine, machine: Path, ollama: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    monkeypatch.setenv("GROQ_API_KEY_2", f"{KEY}2")
    assert bare("keys", "set", "groq", "--number", "3", "--no-test", stdin=KEY.encode()).code == 0
    result = bare("setup", "--dry-run", "--json")
    assert result.code == 0
    found = json.loads(result.out)
    (key,) = found["keys"]
    assert key["more"] == 2
    assert (key["provider"], key["source"]) == ("groq", "GROQ_API_KEY")
    assert KEY not in result.out + result.err
    (server,) = found["local_servers"]
    assert server["provider"] == "ollama"
    assert server["models"] == ["llama3.2:latest"]  # what makes vectors answers no chat
    hosts = {each["provider"]: each for each in found["keyless"]}
    assert {"ovhcloud", "llm7"} <= set(hosts)
    assert hosts["ovhcloud"]["allowance"].startswith("2 requests a minute")
    assert any("pay-as-you-go" in line for line in hosts["ovhcloud"]["terms"])
    offers = {each["provider"]: each for each in found["obtainable_keys"]}
    assert "groq" not in offers
    assert offers["google"]["requests_per_day"] > 1000
    assert offers["google"]["signup_url"].startswith("https://")
    assert offers["google"]["training"] == "your prompts may be used for training"
    days = [each["requests_per_day"] or 0 for each in found["obtainable_keys"]]
    assert days == sorted(days, reverse=True)
    assert not machine.exists()
    assert not found["written"]
    assert {path for path, _ in ollama.seen} == {"/v1/models"}
    shown = bare("setup", "--dry-run")
    assert "llama3.2:latest" in shown.err
    assert "(GROQ_API_KEY) and 2 more, 7 free chat models" in shown.err
    assert "Pollinations (pollinations): 1 free chat model\n" in shown.err
    assert "your prompts may be used for training; sign up: https://" in shown.err


@pytest.mark.proves("cli.setup-looks")
def test_a_setting_that_says_nothing_of_terms_hides_no_allowance(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_PROVIDERS__GROQ__KEYS_SHARE_QUOTA", "false")
    found = json.loads(bare("setup", "--dry-run", "--json").out)
    offers = {each["provider"]: each for each in found["obtainable_keys"]}
    assert offers["groq"]["requests_per_day"] > 1000


@pytest.mark.proves("cli.setup-writes")
def test_a_server_is_tried_and_written(bare: CommandLine, machine: Path, ollama: Host) -> None:
    result = bare("setup", "--enable", "ollama", "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert [(t["provider"], t["verdict"]) for t in told["tests"]] == [("ollama", "answered")]
    assert told["file"] == str(machine)
    assert tomllib.loads(machine.read_text()) == {
        "providers": {
            "ollama": {
                "enabled": True,
                "free": True,
                "keyless": True,
                "models": ["llama3.2:latest"],
            }
        }
    }
    listed = json.loads(bare("models", "--json").out)
    assert "ollama/llama3.2:latest" in [model["id"] for model in listed]
    again = bare("setup", "--enable", "ollama", "--json")
    assert not json.loads(again.out)["written"]
    assert [each.name for each in machine.parent.iterdir()] == ["config.toml"]


@pytest.mark.proves("cli.setup-writes")
def test_yes_takes_servers_but_gives_no_consent(
    bare: CommandLine, machine: Path, ollama: Host
) -> None:
    assert bare("setup", "--yes", "--no-test").code == 0
    written = tomllib.loads(machine.read_text())
    assert list(written) == ["providers"]
    assert {path for path, _ in ollama.seen} == {"/v1/models"}


@pytest.mark.proves("cli.setup-writes")
def test_what_the_file_holds_is_kept(bare: CommandLine, machine: Path, ollama: Host) -> None:
    machine.parent.mkdir(parents=True)
    before = '# mine\nkeyless_consent = ["llm7"] # read them\n\n[server]\nport = 9000 # free\n'
    machine.write_text(before)
    flags = ["--yes", "--consent", "ovhcloud", "--no-embedded", "--no-test"]
    assert bare("setup", *flags).code == 0
    text = machine.read_text()
    found = tomllib.loads(text)
    assert found["keyless_consent"] == ["llm7", "ovhcloud"]
    assert found["server"] == {"port": 9000}
    assert found["local"] == {"enabled": False}
    assert found["providers"]["ollama"]["enabled"]
    assert text.startswith("# mine\n")
    assert "port = 9000 # free\n" in text
    assert machine.with_name("config.toml.before-ymera").read_text() == before


@pytest.mark.proves("cli.setup-tests")
def test_what_does_not_answer_is_not_written(
    bare: CommandLine, machine: Path, ollama: Host
) -> None:
    ollama.healthy = False
    result = bare("setup", "--enable", "ollama", "--consent", "ovhcloud", "--no-test")
    assert result.code == 0
    machine.unlink()
    result = bare("setup", "--enable", "ollama", "--json")
    assert result.code == 1
    told = json.loads(result.out)
    assert told["tests"][0]["verdict"] == "failed"
    assert not told["written"]
    assert not machine.exists()


@pytest.mark.proves("cli.setup-no-key-for-ovh")
def test_ovh_is_never_sent_a_key(
    bare: CommandLine, machine: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_PROVIDERS__OVHCLOUD__BASE_URL", host.url)
    monkeypatch.setenv("OVHCLOUD_API_KEY", KEY)
    result = bare("setup", "--consent", "ovhcloud", "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert [key["used"] for key in told["keys"]] == [False]
    assert [(t["provider"], t["verdict"]) for t in told["tests"]] == [("ovhcloud", "answered")]
    asked = [headers for path, headers in host.seen if path.endswith("/chat/completions")]
    assert asked
    for headers in asked:
        assert "authorization" not in headers
        assert KEY not in json.dumps(headers)
    assert tomllib.loads(machine.read_text()) == {"keyless_consent": ["ovhcloud"]}


@pytest.mark.proves("cli.setup-writes")
def test_our_own_server_is_not_taken_for_another(bare: CommandLine, ollama: Host) -> None:
    ollama.owner = "ymera"
    assert json.loads(bare("setup", "--dry-run", "--json").out)["local_servers"] == []


@pytest.mark.proves("cli.setup-looks")
@pytest.mark.parametrize(
    ("flags", "words"),
    [(["--enable", "ollama"], "answers"), (["--consent", "groq"], "without a key")],
)
def test_what_is_not_there_cannot_be_chosen(
    bare: CommandLine, machine: Path, flags: list[str], words: str
) -> None:
    result = bare("setup", *flags)
    assert result.code == 2
    assert words in result.err
    assert not machine.exists()


@pytest.mark.proves("cli.setup-writes")
def test_at_a_terminal_it_asks_and_does_what_is_said(
    bare: CommandLine, machine: Path, ollama: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "stdin_is_terminal", lambda: True)
    refused = bare("setup", stdin=b"n\n" * 20)
    assert refused.code == 0, refused.err
    assert not machine.exists()
    result = bare("setup", stdin=b"y\n" + b"n\n" * 20)
    assert result.code == 0, result.err
    assert "without a key?" in result.err
    assert list(tomllib.loads(machine.read_text())["providers"]) == ["ollama"]


@pytest.mark.proves("cli.setup-writes")
def test_a_broken_file_is_told_and_left(bare: CommandLine, machine: Path, ollama: Host) -> None:
    machine.parent.mkdir(parents=True)
    machine.write_text("providers = {}\n")
    result = bare("setup", "--yes", "--no-test")
    assert result.code == 2
    assert "by hand" in result.err
    assert machine.read_text() == "providers = {}\n"


@pytest.mark.proves("cli.setup-tests")
def test_a_key_is_tried_and_never_shown_or_written(
    bare: CommandLine, machine: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_PROVIDERS__GROQ__BASE_URL", host.url)
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    result = bare("setup", "--yes", "--consent", "llm7", "--no-test", "--json")
    assert json.loads(result.out)["tests"] == []
    assert host.seen == []
    machine.unlink()
    result = bare("setup", "--yes", "--json")
    told = json.loads(result.out)
    assert [(t["provider"], t["verdict"]) for t in told["tests"]] == [("groq", "answered")]
    assert KEY not in result.out + result.err
    assert not machine.exists()  # nothing was chosen, so nothing is written
    assert host.seen[0][1]["authorization"] == f"Bearer {KEY}"


@pytest.mark.proves("cli.setup-writes")
def test_an_embedded_model_that_is_here_is_not_fetched_again(
    bare: CommandLine, machine: Path, small_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(small_model_dir))
    result = bare("setup", "--embedded", "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert told["embedded"]["pulled"]
    assert told["written"]
    assert tomllib.loads(machine.read_text()) == {"local": {"enabled": True}}
    assert "Fetching" not in result.err


@pytest.mark.proves("cli.setup-looks")
def test_where_embedded_models_cannot_run_none_is_fetched(
    bare: CommandLine, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ymera.providers.local.is_runnable", lambda: False)
    result = bare("setup", "--embedded")
    assert result.code == 1
    assert "ymera[local]" in result.err
    assert not machine.exists()
