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
    ],
)
def test_plain_sentences_stay_as_they_are(text: str) -> None:
    assert redact(text) == text
