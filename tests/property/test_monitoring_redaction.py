"""No credential survives redaction, wherever it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.redaction import redact

secrets = st.text("abcdefghijkXYZ0123456789_-", min_size=12, max_size=60)
shapes = st.sampled_from(
    [
        "sk-{}",
        "gsk_{}",
        "hf_{}",
        "AIza{}",
        "nvapi-{}",
        "Bearer {}",
        "bearer {}",
        "api_key={}",
        "?key={}",
        "X-Api-Key: {}",
        '"GROQ_API_KEY": "{}"',
        "Authorization: Basic {}",
        "token={}",
        'refresh_token": "{}"',
        "?id_token={}&",
        "eyJ{}.x",
        "postgresql://ymera:{}@db/runs",
    ]
)
around = st.text(" \n.,;:()[]{}'\"/é", max_size=10)


@pytest.mark.proves("logs.no-secrets")
@given(before=around, shape=shapes, secret=secrets, after=around)
def test_a_credential_in_any_usual_shape_is_masked(
    before: str, shape: str, secret: str, after: str
) -> None:
    text = redact(before + shape.format(secret) + after)
    assert secret not in text
    assert redact(text) == text


@pytest.mark.proves("logs.no-secrets")
@given(before=around, key=st.from_regex(r"(AKIA|ASIA)[A-Z0-9]{16}", fullmatch=True), after=around)
def test_a_cloud_key_is_masked_without_a_name_before_it(before: str, key: str, after: str) -> None:
    text = redact(before + key + after)
    assert key not in text
    assert f"{key[:4]}***" in text


@given(st.text(max_size=200))
def test_redaction_takes_any_text(text: str) -> None:
    assert isinstance(redact(text), str)


@pytest.mark.parametrize(
    "text",
    [
        "A task-oriented risk-assessment of the desk-lamp.",
        "The model groq/llama-3.3-70b answered in 0.8 s.",
        "Wait 3 min, or raise security.rate_limit_per_hour.",
        "the key of C major = no sharps",
        "It stopped at 4096 tokens: max_tokens=4096, tokens: 1234567.",
        "See https://example.org:8443/a@b and ask me@example.org: AKIA is a prefix.",
    ],
)
def test_plain_sentences_stay_as_they_are(text: str) -> None:
    assert redact(text) == text
