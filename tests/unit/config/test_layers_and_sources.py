"""Layers over each other: who wins, and that every value knows where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from ymera.config import Layer, Loaded, Settings, Source, load_settings
from ymera.core.errors import ConfigError, MachineError


@pytest.fixture
def user_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "user"
    folder.mkdir()
    return folder


@pytest.fixture
def cwd(clean_environment: Path) -> Path:
    return clean_environment


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(
    cwd: Path, user_dir: Path, environ: Mapping[str, str] | None = None, **more: object
) -> Loaded:
    flags = more.get("flags")
    assert flags is None or isinstance(flags, dict)
    return load_settings(cwd=cwd, user_dir=user_dir, environ=environ or {}, flags=flags)


@pytest.mark.proves("config.layers")
def test_each_layer_beats_the_ones_below_it(cwd: Path, user_dir: Path) -> None:
    key = "performance.timeout_seconds"
    seen = [load(cwd, user_dir).settings.performance.timeout_seconds]
    body = {"performance": {"timeout_seconds": 41}}
    write(cwd / "config/ai_config_development.json", json.dumps(body))
    seen.append(load(cwd, user_dir).settings.performance.timeout_seconds)
    write(user_dir / "config.toml", "performance.timeout_seconds = 42")
    seen.append(load(cwd, user_dir).settings.performance.timeout_seconds)
    write(cwd / "ymera.toml", "[performance]\ntimeout_seconds = 43")
    seen.append(load(cwd, user_dir).settings.performance.timeout_seconds)
    environ = {"YMERA_PERFORMANCE__TIMEOUT_SECONDS": "44"}
    seen.append(load(cwd, user_dir, environ).settings.performance.timeout_seconds)
    flags = {key: 45}
    seen.append(load(cwd, user_dir, environ, flags=flags).settings.performance.timeout_seconds)
    assert seen == [30, 41, 42, 43, 44, 45]


@pytest.mark.proves("config.layers", "config.sources")
def test_layers_merge_setting_by_setting_and_each_remembers_its_source(
    cwd: Path, user_dir: Path
) -> None:
    ai_config = write(
        cwd / "config/ai_config_development.json", '{"security": {"rate_limit_per_hour": 5}}'
    )
    user = write(user_dir / "config.toml", "[models]\nprefer_free = false\nmax_retries = 1")
    project = write(
        cwd / "ymera.toml", "[models]\nmax_retries = 2\n[providers.mine]\nenabled = false"
    )
    environ = {"YMERA_BUDGET__MAX_USD_PER_REQUEST": "0.05"}
    loaded = load(cwd, user_dir, environ, flags={"server.port": "9000"})
    expected = Settings.model_validate(
        {
            "security": {"rate_limit_per_hour": 5},
            "models": {"prefer_free": False, "max_retries": 2},
            "providers": {"mine": {"enabled": False}},
            "budget": {"max_usd_per_request": Decimal("0.05")},
            "server": {"port": 9000},
        }
    )
    assert loaded.settings == expected
    set_by_somebody = {
        key: source for key, source in loaded.sources.items() if source.layer is not Layer.DEFAULT
    }
    assert set_by_somebody == {
        "security.rate_limit_per_hour": Source(Layer.AI_CONFIG, str(ai_config)),
        "models.prefer_free": Source(Layer.USER, str(user)),
        "models.max_retries": Source(Layer.PROJECT, str(project)),
        "providers.mine.enabled": Source(Layer.PROJECT, str(project)),
        "budget.max_usd_per_request": Source(
            Layer.ENVIRONMENT, "YMERA_BUDGET__MAX_USD_PER_REQUEST"
        ),
        "server.port": Source(Layer.FLAGS, "command line"),
    }


def test_a_source_reads_as_layer_and_place() -> None:
    assert str(Source(Layer.PROJECT, "/p/ymera.toml")) == "project: /p/ymera.toml"
    assert str(Source(Layer.DEFAULT)) == "default"


@pytest.mark.proves("config.sources")
def test_every_value_has_a_source_in_the_same_order(cwd: Path, user_dir: Path) -> None:
    write(user_dir / "config.toml", "[providers.mine]\n[providers.other]\nkey_env = 'OTHER_KEY'")
    loaded = load(cwd, user_dir)
    values = loaded.values()
    assert list(values) == list(loaded.sources)
    assert values["providers.mine.kind"] == "openai-chat"
    assert values["providers.other.key_env"] == "OTHER_KEY"
    assert values["models.default_complexity"] == "medium"
    assert json.loads(json.dumps(values)) == values


def test_a_list_replaces_the_list_below(cwd: Path, user_dir: Path) -> None:
    write(user_dir / "config.toml", "keyless_consent = ['kilo', 'llm7']")
    environ = {"YMERA_KEYLESS_CONSENT": '["aion"]'}
    assert load(cwd, user_dir, environ=environ).settings.keyless_consent == ("aion",)


@pytest.mark.proves("config.layers")
@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("YMERA_MODELS__PREFER_FREE", "no", "models.prefer_free", False),
        ("YMERA_MODELS__PREFER_FREE", " TRUE ", "models.prefer_free", True),
        ("YMERA_MODELS__DEFAULT_COMPLEXITY", "complex", "models.default_complexity", "complex"),
        ("YMERA_LOCAL__THREADS", "4", "local.threads", 4),
        ("YMERA_LOCAL__THREADS", "null", "local.threads", None),
        ("YMERA_LOCAL__MODEL", "1234", "local.model", "1234"),
        ("YMERA_BUDGET__MAX_USD_PER_REQUEST", "0.1", "budget.max_usd_per_request", "0.1"),
        ("YMERA_KEYLESS_CONSENT", "kilo, llm7,", "keyless_consent", ["kilo", "llm7"]),
        ("YMERA_KEYLESS_CONSENT", '["kilo"]', "keyless_consent", ["kilo"]),
        ("YMERA_PROVIDERS__MINE__FREE", "1", "providers.mine.free", True),
        ("YMERA_PROVIDERS", '{"a-b": {"enabled": false}}', "providers.a-b.enabled", False),
        ("YMERA_SECURITY__MAX_INPUT_LENGTH", "", "security.max_input_length", 100_000),
    ],
)
def test_variables_are_parsed_by_the_type_of_the_setting(
    cwd: Path, user_dir: Path, variable: str, text: str, key: str, value: object
) -> None:
    assert load(cwd, user_dir, {variable: text}).values()[key] == value


def test_variables_of_others_are_left_alone(cwd: Path, user_dir: Path) -> None:
    environ = {
        "YMERA_TEST_MODEL_MIRROR": "1",
        "YMERA_ENV": "production",
        "GROQ_API_KEY": "secret",
        "ymera_models__prefer_free": "nonsense",
    }
    assert load(cwd, user_dir, environ).settings == Settings()


@pytest.mark.proves("config.environment-file")
def test_the_environment_is_the_argument_else_the_variable_else_development(
    cwd: Path, user_dir: Path
) -> None:
    for number, name in enumerate(("development", "production", "staging"), start=1):
        body = {"models": {"max_retries": number}}
        write(cwd / f"config/ai_config_{name}.json", json.dumps(body))
    retries = {}
    for env, variable in ((None, ""), (None, "production"), ("staging", "production")):
        loaded = load_settings(cwd=cwd, user_dir=user_dir, env=env, environ={"YMERA_ENV": variable})
        retries[loaded.env] = loaded.settings.models.max_retries
    assert retries == {"development": 1, "production": 2, "staging": 3}


@pytest.mark.parametrize("name", ["../secrets", "a/b", "..", "a\0b", "x" * 65])
def test_an_environment_name_that_leaves_the_folder_is_refused(cwd: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="not the name of an environment") as caught:
        load_settings(cwd=cwd, environ={}, env=name)
    assert caught.value.hint


class TestProjectFile:
    def test_is_found_upward_to_the_root_of_the_checkout(
        self, tmp_path: Path, user_dir: Path
    ) -> None:
        write(tmp_path / "ymera.toml", "models.max_retries = 9")
        root = tmp_path / "checkout"
        (root / ".git").mkdir(parents=True)
        deep = root / "a" / "b"
        deep.mkdir(parents=True)
        assert load(deep, user_dir).settings.models.max_retries == 3  # not above the root
        write(root / "ymera.toml", "models.max_retries = 7")
        assert load(deep, user_dir).settings.models.max_retries == 7
        write(root / "a" / "ymera.toml", "models.prefer_free = false")
        nearest = load(deep, user_dir).settings.models
        assert (nearest.prefer_free, nearest.max_retries) == (False, 3)  # the nearest alone counts

    def test_is_found_upward_to_the_home_directory_and_not_above(
        self, tmp_path: Path, user_dir: Path
    ) -> None:
        write(tmp_path / "ymera.toml", "models.max_retries = 9")
        home = tmp_path / "me"
        work = home / "work"
        work.mkdir(parents=True)
        environ = {"HOME": str(home)}
        assert load(work, user_dir, environ).settings.models.max_retries == 3
        write(home / "ymera.toml", "models.max_retries = 7")
        assert load(work, user_dir, environ).settings.models.max_retries == 7

    def test_outside_of_home_and_checkout_only_the_working_directory_counts(
        self, tmp_path: Path, user_dir: Path
    ) -> None:
        write(tmp_path / "ymera.toml", "models.max_retries = 9")
        below = tmp_path / "below"
        below.mkdir()
        assert load(below, user_dir, {"HOME": "/nowhere"}).settings.models.max_retries == 3
        assert load(tmp_path, user_dir, {"HOME": "/nowhere"}).settings.models.max_retries == 9

    def test_a_named_file_takes_its_place(self, cwd: Path, user_dir: Path) -> None:
        write(cwd / "ymera.toml", "models.max_retries = 1")
        write(user_dir / "config.toml", "models.prefer_free = false")
        by_flag = write(cwd / "other" / "a.toml", "models.max_retries = 2")
        by_variable = write(cwd / "b.json", '{"models": {"max_retries": 4}}')
        environ = {"YMERA_CONFIG": "b.json"}
        for config_file, path in ((Path("other/a.toml"), by_flag), (None, by_variable)):
            loaded = load_settings(
                cwd=cwd, user_dir=user_dir, environ=environ, config_file=config_file
            )
            assert loaded.settings.models.max_retries == (2 if config_file else 4)
            assert loaded.settings.models.prefer_free is False  # the user's file stays below it
            assert loaded.sources["models.max_retries"] == Source(Layer.PROJECT, str(path))

    @pytest.mark.parametrize(
        ("config_file", "environ", "named"),
        [
            (Path("gone.toml"), {}, "config_file"),
            (None, {"YMERA_CONFIG": "~nobody-here/gone.toml"}, "YMERA_CONFIG"),
        ],
    )
    def test_a_named_file_that_is_missing_is_an_error(
        self, cwd: Path, config_file: Path | None, environ: dict[str, str], named: str
    ) -> None:
        with pytest.raises(ConfigError, match=r"gone\.toml does not exist") as caught:
            load_settings(cwd=cwd, environ=environ, config_file=config_file)
        assert named in (caught.value.hint or "")


def test_every_file_looked_at_is_listed_found_or_not(tmp_path: Path, user_dir: Path) -> None:
    root = tmp_path / "checkout"
    (root / ".git").mkdir(parents=True)
    project = write(root / "ymera.toml", "")
    deep = root / "deep"
    deep.mkdir()
    loaded = load(deep, user_dir)
    assert [(file.path, file.layer, file.stamp is not None) for file in loaded.files] == [
        (deep / "ymera.toml", Layer.PROJECT, False),
        (project, Layer.PROJECT, True),
        (user_dir / "config.toml", Layer.USER, False),
        (deep / "config/ai_config_development.json", Layer.AI_CONFIG, False),
    ]


def test_relative_paths_start_from_the_file_and_those_of_variables_from_the_working_directory(
    cwd: Path, user_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    write(user_dir / "config.toml", "data_dir = 'd'\nlocal.models_dir = '~/m'")
    settings = load(cwd, user_dir).settings
    assert (settings.data_dir, settings.local.models_dir) == (user_dir / "d", Path("/home/me/m"))
    write(cwd / "config/ai_config_development.json", '{"data_dir": "_data"}')
    (user_dir / "config.toml").unlink()
    assert load(cwd, user_dir).settings.data_dir == cwd / "_data"
    assert load(cwd, user_dir, {"YMERA_DATA_DIR": "v"}).settings.data_dir == cwd / "v"
    assert load(cwd, user_dir, flags={"data_dir": "/f"}).settings.data_dir == Path("/f")
    odd = load(cwd, user_dir, {"YMERA_DATA_DIR": "~no-such-user/x"}).settings.data_dir
    assert odd == cwd / "~no-such-user/x"


def test_without_arguments_the_process_decides(
    cwd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_MODELS__MAX_RETRIES", "8")
    monkeypatch.delenv("HOME")  # the account's own home is looked up then
    write(tmp_path / "home/xdg_config_home/ymera/config.toml", "local.slots = 5")
    write(cwd / "ymera.toml", "local.context_tokens = 1024")
    settings = load_settings().settings
    assert settings.models.max_retries == 8
    assert (settings.local.slots, settings.local.context_tokens) == (5, 1024)
    assert settings.data_dir == tmp_path / "data"


def test_a_working_directory_that_is_gone_is_a_clear_error(cwd: Path) -> None:
    cwd.rmdir()
    with pytest.raises(MachineError, match="working directory no longer exists"):
        load_settings()


def test_making_settings_directly_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YMERA_MODELS__MAX_RETRIES", "8")
    assert Settings().models.max_retries == 3
