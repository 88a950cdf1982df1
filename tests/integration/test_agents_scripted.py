"""Agents and models together, end to end, over a capable double on loopback.

The double answers whatever form an answer has to have; what is looked at is what Ymera makes of
it: which model is asked for which phase, what is handed on, what is stored, and how a failure ends.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

import pytest

import ymera
from core_services.ai_mcp.monitoring.metrics_collector import get_metrics_collector
from core_services.ai_mcp.multi_model_executor import get_multi_model_executor
from tests.support.actors import CODE, capable, review, reviews
from tests.support.hosted import Hosted, hosting, say
from tests.support.scenario import records, set_environment
from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest, prompt_text
from ymera.core.errors import InvalidRequest, UnknownModel
from ymera.facade.shared import forget_shared_app
from ymera.phases.load import Agents
from ymera.phases.types import ArtefactKind, PhaseState, RunResult, RunState, Strategy
from ymera.testing import Fault

CODER, CHATTER = "qwen3-coder-480b-a35b", "llama-3.2-1b-instruct"
MODELS = f'["{CODER}", "{CHATTER}"]'
TASK = "Create a REST API with create, read, update and delete for books"

Answerer = Callable[[ChatRequest], ChatAnswer]


@pytest.fixture(autouse=True)
def closed_app() -> Iterator[None]:
    yield
    asyncio.run(forget_shared_app())


class Hosts:
    """Makes a host with a coder and a small chat model, the only place to ask."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    @contextmanager
    def __call__(self, answer: Answerer = capable, broken: str = "") -> Iterator[Hosted]:
        with hosting(answer, faults={broken: Fault.BROKEN} if broken else {}) as hosted:
            set_environment(self._monkeypatch, hosted.only("stage", MODELS))
            yield hosted

    @contextmanager
    def of_the_catalogue(self) -> Iterator[Hosted]:
        """Stand in for a host whose models are known to call tools and keep to schemas."""
        with hosting(capable) as hosted:
            settings = {
                "YMERA_LOCAL__ENABLED": "false",
                "YMERA_PROVIDERS__GROQ__BASE_URL": hosted.base_url,
                "GROQ_API_KEY": "gsk_invented",
            }
            set_environment(self._monkeypatch, settings)
            yield hosted


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    return Hosts(monkeypatch)


def do(agent: str = "coding_agent", task: str = TASK, **parameters: str) -> RunResult:
    """Run an agent through the document's own entry."""
    executor = get_multi_model_executor()
    return asyncio.run(_closed(executor.execute_with_multi_model(agent, task, parameters)))


def do_as(strategy: str, agent: str = "coding_agent") -> RunResult:
    """Run an agent with a forced strategy."""
    executor = get_multi_model_executor()
    return asyncio.run(_closed(executor.execute_with_multi_model(agent, TASK, {}, strategy)))


async def _closed(running: Coroutine[object, object, RunResult]) -> RunResult:
    try:
        return await running
    finally:
        await forget_shared_app()  # writes the records


# --- agent to model ------------------------------------------------------------------------------


@pytest.mark.proves("document.agent-to-model", "document.phases")
@pytest.mark.parametrize("agent", Agents().names())
def test_every_agent_does_a_task_phase_by_phase(host: Hosts, agent: str) -> None:
    needed = {
        name: parameter.choices[0] if parameter.choices else "python"
        for name, parameter in Agents().get(agent).parameters.items()
        if parameter.required
    }
    with host.of_the_catalogue():
        result = do(agent, **needed)
    assert (result.state, result.error) == (RunState.DONE, None)
    assert result.failed_phases == 0
    assert result.successful_phases == len(result.phases)
    assert result.result
    assert result.cost == 0


@pytest.mark.proves("document.agent-to-model")
def test_code_is_written_by_the_coder_and_planned_by_the_quick_one(host: Hosts) -> None:
    with host():
        result = do_as("multi_model")
    assert result.phases["generate"].model == f"stage/{CODER}"
    assert "code_generation" in result.phases["generate"].reason
    assert result.phases["review"].model == f"stage/{CHATTER}"  # not who wrote it
    assert len(result.models_used) == 2


@pytest.mark.proves("document.agent-to-model", "document.strategies")
def test_the_caller_may_force_one_model_in_one_call(host: Hosts) -> None:
    with host() as hosted:
        result = do_as("single_model")
    assert result.strategy_type is Strategy.SINGLE_MODEL
    assert result.strategy_reason == "The caller asked for it."
    assert len(hosted.asked) == len(result.phases) == 1
    assert ast.parse(result.result).body


@pytest.mark.proves("document.strategies")
def test_a_simple_task_is_done_by_one_model_and_a_harder_one_by_several(host: Hosts) -> None:
    with host():
        simple = do(task="Create a Python hello world function")
    with host():
        harder = do(task=TASK + ", with validation, pagination, tests and error handling")
    assert simple.strategy_type is Strategy.SINGLE_MODEL
    assert harder.strategy_type is Strategy.MULTI_MODEL


@pytest.mark.proves("document.agent-to-model")
def test_every_call_of_a_run_leaves_a_record_under_its_agent(host: Hosts) -> None:
    with host() as hosted:
        result = do_as("multi_model")
    stored = {str(row["id"]): row for row in records()}
    ids = [id_ for outcome in result.phases.values() for id_ in outcome.request_ids]
    assert sorted(ids) == sorted(stored)
    answered = [row for row in stored.values() if row["error_code"] is None]
    assert len(answered) == len(hosted.asked) == result.spend.calls
    assert {row["agent"] for row in stored.values()} == {"coding_agent"}
    tokens = sum(int(str(row["input_tokens"])) + int(str(row["output_tokens"])) for row in answered)
    assert tokens == result.spend.tokens


@pytest.mark.proves("document.agent-to-model", "document.metrics-models")
async def test_the_dashboard_counts_agents_and_models_of_runs(host: Hosts) -> None:
    with host() as hosted:
        executor = get_multi_model_executor()
        await executor.execute_with_multi_model("coding_agent", TASK, {}, "multi_model")
        await asyncio.sleep(0)  # counted in the loop's next turn
        usage = get_metrics_collector().get_dashboard_data()["usage"]
        await forget_shared_app()
    assert isinstance(usage, dict)
    assert [name for name, _ in usage["top_agents"]] == ["coding_agent"]
    assert sum(count for _, count in usage["top_models"]) == len(hosted.asked)


# --- what is handed on ---------------------------------------------------------------------------


@pytest.mark.proves("document.phase-context", "document.phase-prompts")
def test_what_a_phase_made_reaches_the_phases_that_use_it(host: Hosts) -> None:
    def planner(request: ChatRequest) -> ChatAnswer:
        if "short plan" in prompt_text(request):
            return say("1. Open the zebra crossing.\n2. Write the program.\n3. Test it.")
        return capable(request)

    with host(planner) as hosted:
        result = do_as("multi_model")
    spec = Agents().get("coding_agent")
    users = {phase.name for phase in spec.phases if "plan" in phase.after}
    told = [prompt_text(request) for request in hosted.asked if "zebra" in prompt_text(request)]
    assert len(told) == len(users) >= 2
    assert all(TASK in prompt for prompt in map(prompt_text, hosted.asked))
    assert result.state is RunState.DONE


@pytest.mark.proves("document.combine")
def test_the_reviewed_code_is_revised_and_the_revision_is_the_result(host: Hosts) -> None:
    revised = "# revised\n" + CODE

    def strict(request: ChatRequest) -> ChatAnswer:
        if reviews(request):
            return say(review("revise", "create_book has no docstring."))
        if "no docstring" in prompt_text(request):
            return say(f"```python\n{revised}```")
        return capable(request)

    with host(strict):
        result = do_as("multi_model")
    assert result.result.strip() == revised.strip()
    assert result.phases["combine"].artefact is not None
    assert result.phases["combine"].artefact.kind is ArtefactKind.CODE


@pytest.mark.proves("document.combine", "document.phase-errors")
def test_a_revision_that_breaks_the_code_does_not_replace_it(host: Hosts) -> None:
    def clumsy(request: ChatRequest) -> ChatAnswer:
        if reviews(request):
            return say(review("revise", "create_book has no docstring."))
        if request.messages[0].text.startswith("You correct"):
            return say("```python\ndef create_book(:\n```")
        return capable(request)

    with host(clumsy):
        result = do_as("multi_model")
    assert result.result.strip() == CODE.strip()
    assert "generate" in " ".join(result.phases["combine"].losses)


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.proves("document.phase-errors")
def test_a_failing_model_moves_its_phases_to_the_other(host: Hosts) -> None:
    with host(broken=CODER):
        result = do_as("multi_model")
    assert result.state is RunState.DONE
    assert result.models_used == (f"stage/{CHATTER}",)


@pytest.mark.proves("document.phase-errors")
def test_code_that_does_not_parse_is_asked_for_again(host: Hosts) -> None:
    broken = iter(["```python\ndef f(:\n```"])

    def unlucky(request: ChatRequest) -> ChatAnswer:
        if "whole program" in prompt_text(request):
            return say(next(broken, f"```python\n{CODE}```"))
        return capable(request)

    with host(unlucky):
        result = do_as("multi_model")
    generate = result.phases["generate"]
    assert (generate.state, generate.spend.calls) == (PhaseState.DONE, 2)
    assert ast.parse(result.result).body


@pytest.mark.proves("document.phase-errors")
def test_a_phase_that_cannot_be_done_ends_the_run_with_its_name_and_what_there_is(
    host: Hosts,
) -> None:
    def stubborn(request: ChatRequest) -> ChatAnswer:
        if "code block" in "".join(message.text for message in request.messages):
            return say("I would rather not, sorry.")
        return capable(request)

    with host(stubborn):
        result = do_as("multi_model")
    assert result.state in {RunState.PARTIAL, RunState.FAILED}
    assert result.phases["generate"].state is PhaseState.FAILED
    assert result.phases["plan"].state is PhaseState.DONE
    assert result.error is not None
    assert "generate" in result.error


@pytest.mark.proves("document.phase-errors")
async def test_what_cannot_be_done_is_refused_before_any_call(host: Hosts) -> None:
    with host() as hosted:
        async with ymera.connect() as ai:
            with pytest.raises(UnknownModel, match="codding_agent") as unknown:
                await ai.run(TASK, agent="codding_agent")
            assert "coding_agent" in str(unknown.value.hint)
            with pytest.raises(InvalidRequest, match="lanugage") as mistyped:
                await ai.run(TASK, agent="coding_agent", parameters={"lanugage": "python"})
            assert "language" in str(mistyped.value.hint)
            with pytest.raises(InvalidRequest, match="empty"):
                await ai.run("  ", agent="coding_agent")
    assert hosted.asked == []


@pytest.mark.proves("document.agent-to-model")
async def test_a_private_run_asks_nobody_who_may_keep_it(host: Hosts) -> None:
    with host() as hosted:
        async with ymera.connect() as ai:
            result = await ai.run(TASK, agent="coding_agent", private=True)
    assert hosted.asked == []  # nothing is known of what that host does with texts
    assert result.state is RunState.FAILED
    assert result.error_code == "no_private_route"
    assert result.phases["plan"].error
