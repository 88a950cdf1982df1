"""Every active pair of the catalogue, called through the real application against the simulator."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support.chat import make_request
from tests.support.command_line import CommandLine
from tests.support.simulated import app_at
from ymera.catalog.load import load
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import AnswerBuilder
from ymera.core.errors import YmeraError
from ymera.core.model import ModelKind, ProviderKind
from ymera.testing import Fault, FaultPlan, simulated_providers
from ymera.testing.every_pair import Totals

MIX = {
    Fault.MINUTE: 0.03,
    Fault.BROKEN: 0.04,
    Fault.OVERLOADED: 0.03,
    Fault.CUT_BEFORE_HEAD: 0.03,
    Fault.CUT_MID_STREAM: 0.02,
    Fault.ERROR_EVENT: 0.02,
    Fault.BAD_CHUNK: 0.02,
    Fault.NO_FINISH: 0.02,
    Fault.DUPLICATE_FINISH: 0.02,
    Fault.WRONG_USAGE: 0.02,
    Fault.HTML_BAD_GATEWAY: 0.02,
    Fault.GONE: 0.02,
    Fault.NO_CREDIT: 0.01,
}
"""More than a fifth of all calls go wrong."""

NOT_OVER_HTTP = {ProviderKind.EMBEDDED, ProviderKind.SCRIPTED}


@pytest.fixture
def ymera(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.mark.proves("simulator.every-model")
@pytest.mark.parametrize("quota", ["documented", "none"])
def test_every_chat_and_embedding_pair_answers_in_its_own_dialect(
    ymera: CommandLine, quota: str
) -> None:
    result = ymera("simulate", "--check", "--json", "--quota", quota)

    totals = msgspec.json.decode(result.out, type=Totals)
    assert totals.failures == ()
    assert result.code == 0
    catalog = load()
    rows = {p.id for p in catalog.providers.values() if p.active and p.kind not in NOT_OVER_HTTP}
    assert {each.provider for each in totals.providers} == rows
    assert all(each.passed == each.pairs > 0 for each in totals.providers)
    pairs = [
        model
        for model in catalog.models
        if model.provider in rows and model.kind is not ModelKind.TRANSCRIPTION
    ]
    assert totals.pairs == totals.passed == len(pairs)
    assert totals.vouched < 20
    assert totals.hosted_free_chat >= 38
    spoken = {each.provider: each.dialect for each in totals.providers}
    assert (spoken["anthropic"], spoken["google"], spoken["ollama"], spoken["groq"]) == (
        "anthropic",
        "gemini",
        "ollama",
        "openai-chat",
    )
    assert "proves our side only" in result.err


@pytest.mark.proves("simulator.every-model")
def test_the_check_says_in_words_what_passed_and_what_that_proves(ymera: CommandLine) -> None:
    result = ymera("simulate", "--check", "--provider", "groq", "--provider", "vllm")

    assert result.code == 0
    assert "7 of 7 passed" in result.out or "9 of 9 passed" in result.out
    assert "a stand-in" in result.out
    assert "2 of 2 providers passed whole" in result.out
    assert "this proves our side only" in result.out


@pytest.mark.proves("simulator.every-provider")
@pytest.mark.parametrize("stream", [True, False])
async def test_whatever_goes_wrong_upstream_answers_are_right_or_errors(
    tmp_path: Path, stream: bool
) -> None:
    right, broke_off, not_tried = 0, 0, []
    async with (
        simulated_providers(faults=FaultPlan.mix(MIX, seed=5)) as simulator,
        app_at(simulator, tmp_path) as app,
    ):
        for number in range(150):
            simulator.advance(20)
            prompt = f"Say hello to number {number}."
            request = make_request(prompt, stream=stream)
            builder = AnswerBuilder()
            try:
                reply = await app.gateway.handle(request, LOCAL_OWNER)
                async for event in reply.events():
                    builder.add(event)
                assert builder.build().text == f"You asked: {prompt}"
                right += 1
            except YmeraError as error:
                if error.broke_off:
                    broke_off += 1
                else:
                    not_tried.append(error)  # it could have been asked elsewhere
        refused = [provider for provider, _, status in simulator.calls.elements() if status == 402]

    assert not_tried == []
    assert right + broke_off == 150
    assert right >= (130 if stream else 150)
    assert refused, "nobody asked for credit, so nothing was closed"
    assert len(refused) == len(set(refused)), "a provider that asked for credit was asked again"
