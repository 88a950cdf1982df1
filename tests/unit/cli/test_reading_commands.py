"""Commands that show something: for people, and as JSON for programs."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest

from tests.support.command_line import CommandLine
from ymera.catalog.load import load


@pytest.mark.proves("cli.route")
def test_route_explains_the_choice_and_asks_nothing(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ymera.testing.scripted import ScriptedProvider

    def never(*_: object) -> None:
        pytest.fail("route asked a model")

    monkeypatch.setattr(ScriptedProvider, "stream", never)
    result = ymera("route", "--json", "Translate 'good morning' into French")
    found = msgspec.json.decode(result.out)
    assert result.code == 0
    assert found["task"]["type"] == "translation"
    (candidate,) = found["candidates"]
    assert candidate["model"] == "stage/actor"
    assert candidate["score"] == pytest.approx(sum(candidate["terms"].values()))
    assert candidate["free"] is True
    reasons = {each["reason"] for each in found["exclusions"]}
    assert {"no_key", "not_chat"} <= reasons
    assert all(each["detail"] for each in found["exclusions"])
    people = ymera("route", "Translate 'good morning' into French")
    assert "1. stage/actor" in people.out
    assert "Left out:" in people.out
    every = ymera("route", "hi there", "--all")
    assert len(every.out.splitlines()) > 100


@pytest.mark.proves("cli.route", "routing.exclusions")
def test_route_with_no_candidate_still_explains(bare: CommandLine) -> None:
    result = bare("route", "hi there")
    assert result.code == 0
    assert "No model can be asked now." in result.out
    assert "2 not pulled" in result.out
    pinned = bare("route", "--model", "mistral/mistral-large-4", "hi there").out
    assert "mistral/mistral-large-4 cannot serve this: No money may be spent." in pinned


@pytest.mark.proves("cli.models")
def test_an_alias_is_no_model_and_sends_to_its_explanation(bare: CommandLine) -> None:
    result = bare("models", "show", "auto")
    assert result.code == 2
    assert "ymera route --model auto" in result.err


@pytest.mark.proves("cli.models")
def test_an_empty_list_of_listed_models_says_where_they_come_from(bare: CommandLine) -> None:
    assert "`ymera catalog update` reads the lists" in bare("models", "--listed").err


@pytest.mark.proves("cli.models")
def test_models_lists_what_can_be_called(ymera: CommandLine) -> None:
    result = ymera("models")
    assert result.code == 0
    assert result.out == "stage/actor  chat  ?  free  ready\n"
    assert "cannot be called now" in result.err
    assert ymera("models", "list").out == result.out
    assert ymera("models", "--all").out == ymera("models", "list", "--all").out != result.out
    listed = msgspec.json.decode(ymera("models", "list", "--json", "--all").out)
    assert len(listed) > 150
    groq = next(each for each in listed if each["id"] == "groq/openai/gpt-oss-120b")
    assert groq["callable"] is False
    assert "GROQ_API_KEY" in groq["reason"]


@pytest.mark.proves("cli.models", "cli.json")
@pytest.mark.parametrize(
    ("group", "default"), [("models", "list"), ("config", "show"), ("catalog", "check")]
)
def test_options_of_a_group_are_those_of_its_default_command(
    ymera: CommandLine, group: str, default: str
) -> None:
    result = ymera(group, "--json")
    assert msgspec.json.decode(result.out)
    assert result == ymera(group, default, "--json")
    for option in ("--help", "-h"):
        assert f"Usage: ymera {group} [OPTIONS] COMMAND" in ymera(group, option).out
    mistake = ymera(group, "--nope", "--json")
    assert (mistake.code, mistake.out) == (2, "")
    assert (
        msgspec.json.decode(mistake.err)["error"]["hint"] == f"See: ymera {group} {default} --help"
    )


@pytest.mark.proves("cli.models")
def test_a_model_is_paid_only_where_a_price_is_known(ymera: CommandLine) -> None:
    models = {model.id: model for model in load().models}
    rows = [line.split() for line in ymera("models", "--all").out.splitlines()]
    costs = {row[0]: row[3] for row in rows if row[0] in models}
    assert set(costs) == set(models)
    assert set(costs.values()) == {"free", "paid", "unknown"}
    for model_id, cost in costs.items():
        model = models[model_id]
        priced = bool(model.price.input_usd_per_mtok or model.price.output_usd_per_mtok)
        assert (cost == "paid") <= priced, model_id
        assert (cost == "free") == model.free.may_auto_route, model_id
        assert (cost == "unknown") <= (not priced), model_id


@pytest.mark.proves("cli.models")
def test_models_show_gives_each_fact_its_source(ymera: CommandLine) -> None:
    result = ymera("models", "show", "groq/openai/gpt-oss-120b", "--json")
    found = msgspec.json.decode(result.out)
    context = next(each for each in found["facts"] if each["field"] == "context_window")
    assert context["value"] == "131072"
    assert context["source"] == "modelsdev"
    assert context["date"] == "2026-09-30"
    people = ymera("models", "show", "groq/openai/gpt-oss-120b")
    assert "GROQ_API_KEY" in people.out
    assert "131072" in people.out
    assert ymera("models", "show", "groq/nope").code == 2


@pytest.mark.proves("cli.models")
def test_models_test_sends_one_prompt(ymera: CommandLine) -> None:
    assert ymera("models", "test", "stage/actor").out.startswith("stage/actor answered in")
    found = msgspec.json.decode(ymera("models", "test", "stage/actor", "--json").out)
    assert (found["model"], found["cost_usd"]) == ("stage/actor", "0")


@pytest.mark.proves("cli.models")
def test_pulling_what_is_no_embedded_model_names_those_that_are(ymera: CommandLine) -> None:
    result = ymera("models", "pull", "gpt-oss-120b")
    assert (result.code, result.out) == (2, "")
    assert "smollm2-135m" in result.err


@pytest.mark.proves("catalog.check")
def test_catalog_check_passes_on_the_snapshot_and_counts(ymera: CommandLine) -> None:
    result = ymera("catalog")
    assert result.code == 0
    assert "distinct free chat: " in result.out
    found = msgspec.json.decode(ymera("catalog", "check", "--json").out)
    assert found["ok"] is True
    assert found["counts"]["distinct_free_chat"] >= 38


@pytest.mark.proves("cli.config")
def test_config_shows_values_and_where_they_came_from(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    file = clean_environment / "ymera.toml"
    file.write_text("[models]\nmax_retries = 7\n")
    monkeypatch.setenv("YMERA_SERVER__PORT", "9000")
    found = msgspec.json.decode(bare("config", "show", "--sources", "--json").out)
    assert found["models.max_retries"] == {"value": 7, "source": f"project: {file}"}
    assert found["server.port"] == {"value": 9000, "source": "environment: YMERA_SERVER__PORT"}
    assert found["models.prefer_free"] == {"value": True, "source": "default"}
    people = bare("config", "show", "--sources").out
    assert f"project: {file}" in people
    assert "models.max_retries" in bare("config").out
    assert bare("config", "--sources").out == people


@pytest.mark.proves("cli.config")
def test_config_get_prints_one_value(bare: CommandLine) -> None:
    assert bare("config", "get", "security.max_input_length").out == "100000\n"
    assert bare("config", "get", "models.prefer_free").out == "true\n"
    assert bare("config", "get", "local.threads").out == "null\n"
    assert bare("config", "get", "keyless_consent").out == "(none)\n"
    assert msgspec.json.decode(bare("config", "get", "server.host", "--json").out) == "127.0.0.1"
    result = bare("config", "get", "security.max_input_lenght")
    assert (result.code, result.out) == (2, "")
    assert "'security.max_input_length'" in result.err


@pytest.mark.proves("cli.config")
def test_config_path_names_files_and_the_data_directory(
    bare: CommandLine, clean_environment: Path, tmp_path: Path
) -> None:
    (clean_environment / "ymera.toml").write_text("")
    found = msgspec.json.decode(bare("config", "path", "--json").out)
    assert {"path": str(clean_environment / "ymera.toml"), "found": True} in found["files"]
    assert found["data_dir"] == str(tmp_path / "data")
    assert "(not there)" in bare("config", "path").out


@pytest.mark.proves("cli.doctor")
def test_doctor_passes_where_a_model_can_be_asked(ymera: CommandLine) -> None:
    result = ymera("doctor")
    assert result.code == 0
    assert "FAILED" not in result.out
    names = [each["name"] for each in msgspec.json.decode(ymera("doctor", "--json").out)]
    assert names == [
        "python",
        "settings",
        "catalog",
        "data directory",
        "record store",
        "run store",
        "audit log",
        "embedded runtime",
        "models",
        "server port",
    ]


@pytest.mark.proves("cli.doctor")
def test_doctor_fails_without_a_model_and_prints_the_fix(bare: CommandLine) -> None:
    result = bare("doctor")
    assert result.code == 1
    assert "FAILED   models" in result.out
    assert "fix: `ymera models pull`" in result.out


@pytest.mark.proves("cli.doctor")
def test_doctor_tells_of_a_damaged_record_store(ymera: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "records.sqlite3").write_bytes(b"no database at all" * 100)
    result = ymera("doctor")
    assert result.code == 1
    assert "FAILED   records" in result.out


@pytest.mark.proves("cli.doctor")
def test_doctor_warns_of_a_port_in_use(ymera: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("YMERA_SERVER__PORT", str(taken.getsockname()[1]))
        result = ymera("doctor")
    assert result.code == 0
    assert "WARNING  server port" in result.out


@pytest.mark.proves("server.port-in-use", "cli.exit-codes")
def test_a_port_in_use_is_named(ymera: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = ymera("serve", "--port", str(port))
    assert (result.code, result.out) == (1, "")
    assert f"Port {port} on 127.0.0.1 is already in use." in result.err


@pytest.mark.proves("server.loopback-only", "cli.exit-codes")
def test_serving_others_without_access_keys_is_refused(ymera: CommandLine) -> None:
    result = ymera("serve", "--host", "0.0.0.0", "--port", "0")
    assert (result.code, result.out) == (2, "")
    assert "loopback only" in result.err


@pytest.mark.proves("cli.doctor")
def test_doctor_sees_a_damaged_store_of_runs(ymera: CommandLine, tmp_path: Path) -> None:
    store = tmp_path / "data" / "runs" / "runs.sqlite3"
    store.parent.mkdir(parents=True)
    store.write_bytes(b"no database at all, " * 300)
    result = ymera("doctor", "--json")
    assert result.code == 1
    failed = [each for each in msgspec.json.decode(result.out) if each["health"] == "failed"]
    assert [each["name"] for each in failed] == ["runs"]
    assert "damaged" in failed[0]["fix"]
