"""Unknown names, wrong types and values out of range: what the error says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ymera.config import load_settings
from ymera.core.errors import ConfigError


@pytest.fixture
def cwd(clean_environment: Path) -> Path:
    return clean_environment


def error_of_file(cwd: Path, text: str) -> ConfigError:
    (cwd / "ymera.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(cwd=cwd, environ={})
    assert caught.value.hint
    assert caught.value.exit_code == 2
    return caught.value


def error_of_variable(cwd: Path, name: str, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_settings(cwd=cwd, environ={name: text})
    assert caught.value.hint
    return caught.value


@pytest.mark.proves("config.unknown-key")
@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ("[models]\nprefer_fre = true", "models.prefer_fre", "models.prefer_free"),
        ("[model]\nprefer_free = true", "model", "models"),
        ("rate_limit_per_hour = 5", "rate_limit_per_hour", "security.rate_limit_per_hour"),
        ("[models]\ntimeout_seconds = 5", "models.timeout_seconds", "performance.timeout_seconds"),
        ("[providers.x]\nbaseurl = 'u'", "providers.x.baseurl", "providers.x.base_url"),
        ("providers.x.enabled = true\nproviders.x.b.c = 1", "providers.x.b", None),
        ("[zzzzqq]", "zzzzqq", None),
        ('"a\\u001b[31m b" = 1', '"a\\u001b[31m b"', None),
    ],
)
def test_an_unknown_key_names_the_file_and_the_nearest_key(
    cwd: Path, text: str, key: str, meant: str | None
) -> None:
    error = error_of_file(cwd, text)
    end = "." if meant is None else f"; did you mean {meant}?"
    assert error.message == f"{cwd / 'ymera.toml'}: {key} is not a setting{end}"
    assert error.param == key


@pytest.mark.proves("config.unknown-key")
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("YMERA_MODELS_PREFER_FREE", "YMERA_MODELS__PREFER_FREE"),
        ("YMERA_DATADIR", "YMERA_DATA_DIR"),
        ("YMERA_PROVIDERS__MINE__BASE_URI", "YMERA_PROVIDERS__MINE__BASE_URL"),
        ("YMERA_MODELS__PREFER_FREE__X", "YMERA_MODELS__PREFER_FREE"),
        ("YMERA_", None),
    ],
)
def test_an_unknown_variable_names_the_nearest_one(cwd: Path, name: str, meant: str | None) -> None:
    end = "." if meant is None else f"; did you mean {meant}?"
    assert error_of_variable(cwd, name, "1").message == f"{name} is not a setting{end}"


@pytest.mark.proves("config.wrong-type")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "models.prefer_free = 'yes'",
            'models.prefer_free must be true or false, not the text "yes".',
        ),
        ("models.prefer_free = 1", "models.prefer_free must be true or false, not 1."),
        (
            "performance.timeout_seconds = '30'",
            "performance.timeout_seconds must be a whole number from 1 to 3,600, "
            'not the text "30".',
        ),
        (
            "performance.timeout_seconds = 1.5",
            "performance.timeout_seconds must be a whole number from 1 to 3,600, not 1.5.",
        ),
        (
            "performance.timeout_seconds = true",
            "performance.timeout_seconds must be a whole number from 1 to 3,600, not true.",
        ),
        (
            "server.port = 70000",
            "server.port must be a whole number from 0 to 65,535, not 70000.",
        ),
        (
            "models.default_complexity = 'hard'",
            'models.default_complexity must be one of "simple", "medium", "complex", '
            'not the text "hard".',
        ),
        ("models = 3", "models must be a table, not 3."),
        ("models = [3]", "models must be a table, not this list."),
        ("local.threads = {}", "local.threads must be a whole number from 1 to 1,024 or null, "
         "not a table."),
        ("local.model = ''", 'local.model must be text that is not empty, not the text "".'),
        ("data_dir = ' '", 'data_dir must be the path of a directory, not the text " ".'),
        ("data_dir = 3", "data_dir must be the path of a directory or null, not 3."),
        ("server.host = 'http://x'", "server.host must be a host name or address, without scheme "
         'and path, not the text "http://x".'),
        ("server.allowed_hosts = 'a'", "server.allowed_hosts must be a list of texts, "
         'not the text "a".'),
        ("server.allowed_hosts = ['a', 3, 4]", "server.allowed_hosts must be a list of texts, "
         "not this list."),
        ("server.allowed_origins = ['https://a/b']", "server.allowed_origins must be an origin "
         "such as https://chat.example.org, without path, not this list."),
        ("server.allowed_origins = ['a']", "server.allowed_origins must be an origin "
         "such as https://chat.example.org, without path, not this list."),
        ("budget.max_usd_per_request = -0.01", "budget.max_usd_per_request must be a number from "
         "0 to 10,000, not -0.01."),
        ("budget.max_usd_per_request = nan", "budget.max_usd_per_request must be a number from "
         "0 to 10,000, not NaN."),
        ("budget.max_usd_per_request = 1979-05-27", "budget.max_usd_per_request must be a number "
         "from 0 to 10,000, not 1979-05-27."),
        (f"local.slots = {'9' * 60}", "local.slots must be a whole number from 1 to 64, "
         "not this value."),
        (f"local.slots = '{'x' * 60}'", "local.slots must be a whole number from 1 to 64, "
         f'not the text "{"x" * 37}...".'),
        ("[providers.Mine]\nfree = true", "providers.Mine: the last part must be a lower-case name "
         "of letters, digits, - and _, up to 64 long."),
    ],
)  # fmt: skip
def test_a_wrong_value_names_the_file_the_key_and_what_is_expected(
    cwd: Path, text: str, said: str
) -> None:
    assert error_of_file(cwd, text).message == f"{cwd / 'ymera.toml'}: {said}"


@pytest.mark.proves("config.wrong-type")
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("YMERA_MODELS__PREFER_FREE", "maybe", 'must be true or false, not the text "maybe".'),
        ("YMERA_LOCAL__SLOTS", "2.5", 'must be a whole number from 1 to 64, not the text "2.5".'),
        ("YMERA_LOCAL__SLOTS", "65", "must be a whole number from 1 to 64, not 65."),
        ("YMERA_BUDGET__MAX_USD_PER_REQUEST", "1 €",
         'must be a number from 0 to 10,000, not the text "1 \\u20ac".'),
        ("YMERA_BUDGET__MAX_USD_PER_REQUEST", "Infinity",
         'must be a number from 0 to 10,000, not the text "Infinity".'),
        ("YMERA_KEYLESS_CONSENT", "[1", 'must be a list of texts, not the text "[1".'),
        ("YMERA_SECURITY", "5", "must be a table, not 5."),
        ("YMERA_SECURITY", "{", 'must be a JSON object, not the text "{".'),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named(cwd: Path, name: str, text: str, said: str) -> None:
    assert error_of_variable(cwd, name, text).message == f"{name} {said}"


def test_a_wrong_part_of_a_json_variable_names_both(cwd: Path) -> None:
    error = error_of_variable(cwd, "YMERA_LOCAL", '{"slots": 0}')
    assert error.message.startswith("YMERA_LOCAL: local.slots must be")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("models.prefer_free = 'yes'", "Write true, without quotes."),
        ("local.slots = '2'", "Write 2, without quotes."),
        ("server.allowed_hosts = 'a,b'", 'Write a list: ["a", "b"].'),
        (
            "local.threads = 'null'",
            "Correct or remove it; docs/configuration.md lists every setting.",
        ),
    ],
)
def test_the_hint_shows_what_was_probably_meant(cwd: Path, text: str, hint: str) -> None:
    assert error_of_file(cwd, text).hint == hint


def test_all_problems_of_all_layers_are_told_at_once(cwd: Path) -> None:
    (cwd / "config").mkdir()
    json_file = cwd / "config/ai_config_development.json"
    json_file.write_text('{"security": 1, "performance": {"timeout_seconds": null}}')
    toml_file = cwd / "ymera.toml"
    toml_file.write_text("[local]\nslot = 1\nthreads = 0\nmodel = 'fine'")
    with pytest.raises(ConfigError) as caught:
        load_settings(
            cwd=cwd, environ={"YMERA_LOCAL__ENABLED": "?"}, flags={"server.prt": 1, "": "x"}
        )
    assert caught.value.message.splitlines() == [
        "7 settings are wrong:",
        "  command line: server.prt is not a setting; did you mean server.port?",
        '  command line: "" is not a setting.',
        '  YMERA_LOCAL__ENABLED must be true or false, not the text "?".',
        f"  {toml_file}: local.slot is not a setting; did you mean local.slots?",
        f"  {toml_file}: local.threads must be a whole number from 1 to 1,024 or null, not 0.",
        f"  {json_file}: security must be a table, not 1.",
        f"  {json_file}: performance.timeout_seconds must be a whole number from 1 to 3,600, "
        "not null.",
    ]


SECRET = "sk-0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    [
        f"GROQ_API_KEY = '{SECRET}'",
        f"[providers.groq]\napi_key = '{SECRET}'",
        f"[providers.groq]\nkey = '{SECRET}'",
        f"[server]\naccess-token = '{SECRET}'",
    ],
)
def test_a_key_in_a_file_is_refused_with_the_way_to_do_it(cwd: Path, text: str) -> None:
    error = error_of_file(cwd, text)
    assert "looks like a secret and is not a setting" in error.message
    assert "export the provider's own variable" in (error.hint or "")
    assert SECRET not in f"{error!r} {error.message} {error.hint}"


def test_a_variable_for_a_key_that_nothing_reads_is_refused(cwd: Path) -> None:
    error = error_of_variable(cwd, "YMERA_API_KEY", SECRET)
    assert error.message == "YMERA_API_KEY looks like a secret and is not a setting."
    assert SECRET not in f"{error!r} {error.hint}"


@pytest.mark.parametrize(
    "text",
    [
        f"[providers.groq]\nkey_env = '{SECRET}'",
        f"[providers.groq]\nbase_url = 'https://me:{SECRET}@example.org/v1'",
        f"[providers.groq]\nbase_url = 'https://example.org/v1?key={SECRET}'",
        f"[providers.groq]\nenabled = '{SECRET}'",
        f"groq = '{SECRET}'",
        f"providers = '{SECRET}'",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(cwd: Path, text: str) -> None:
    error = error_of_file(cwd, text)
    assert SECRET not in f"{error!r} {error.message} {error.hint}"
    error = error_of_variable(cwd, "YMERA_PROVIDERS__GROQ__API_KEY", SECRET)
    assert SECRET not in f"{error!r} {error.message} {error.hint}"


@pytest.mark.parametrize(
    "url",
    ["ftp://a/v1", "https://", "//a/v1", "http://[::1/v1", "http://a:99999/v1", "http://a/v 1",
     "http://a/v1#x", "a.example.org"],
)  # fmt: skip
def test_an_address_that_cannot_be_called_is_refused(cwd: Path, url: str) -> None:
    message = error_of_file(cwd, f"[providers.x]\nbase_url = '{url}'").message
    assert re.search(r"providers\.x\.base_url must be an http:// or https:// address", message)
