"""A ceiling that a dialect demands excludes no model; a bound that was meant does."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.support.chat import make_model
from tests.support.routing import shipped
from ymera.core.chat import ChatRequest, Sampling
from ymera.core.model import Model
from ymera.core.task import TaskComplexity, TaskProfile
from ymera.engine.ceiling import under_ceiling
from ymera.routing.profile import profile
from ymera.wire import anthropic, openai_chat
from ymera.wire.codec import CallerDialect

SMALL = msgspec.structs.replace(make_model(), max_output=8_192, context_window=32_768)
QUESTION = {"model": "m", "max_tokens": 32_000, "messages": [{"role": "user", "content": "Hi"}]}


def asked(dialect: CallerDialect) -> ChatRequest:
    return dialect.decode_request(json.dumps(QUESTION).encode())


def profile_of(request: ChatRequest) -> TaskProfile:
    return profile(request, shipped(), TaskComplexity.MEDIUM)


@pytest.mark.proves("engine.ceiling")
def test_what_an_anthropic_client_has_to_name_is_lowered_to_what_the_model_writes() -> None:
    request = asked(anthropic.CALLER)
    found = profile_of(request)
    assert not found.output_bounded
    assert found.est_output_tokens < 8_192
    sent, losses = under_ceiling(request, SMALL, found)
    assert sent.sampling == msgspec.structs.replace(request.sampling, max_tokens=8_192)
    assert losses == (
        "max_tokens was lowered from 32,000 to 8,192, the most that fits this model.",
    )


@pytest.mark.proves("engine.ceiling")
def test_it_is_lowered_to_what_fits_beside_the_prompt() -> None:
    request = asked(anthropic.CALLER)
    found = msgspec.structs.replace(profile_of(request), est_input_tokens=30_000)
    sent, _ = under_ceiling(request, SMALL, found)
    assert sent.sampling.max_tokens == 2_768


@pytest.mark.proves("engine.ceiling")
@pytest.mark.parametrize(
    "model", [SMALL, msgspec.structs.replace(SMALL, max_output=None, context_window=None)]
)
def test_a_bound_that_was_meant_stays(model: Model) -> None:
    request = asked(openai_chat.CALLER)
    found = profile_of(request)
    assert (found.output_bounded, found.est_output_tokens) == (True, 32_000)
    assert under_ceiling(request, model, found) == (request, ())


def test_a_ceiling_that_fits_changes_nothing() -> None:
    request = msgspec.structs.replace(asked(anthropic.CALLER), sampling=Sampling(max_tokens=100))
    assert under_ceiling(request, SMALL, profile_of(request)) == (request, ())
