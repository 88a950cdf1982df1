"""Agents: the bundled ones, the user's own, and what is said of a wrong file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ymera.core.errors import ConfigError, UnknownModel
from ymera.phases.load import Agents
from ymera.phases.types import ArtefactKind, Strategy

BUNDLED = [
    "analysis_agent",
    "code_review_agent",
    "coding_agent",
    "data_analysis_agent",
    "database_agent",
    "documentation_agent",
    "general_agent",
    "research_agent",
    "testing_agent",
]
MINE = """\
description = "Mine."
[parameters.form]
[single]
task_type = "chat"
prompt = "{{ task }}"
[[phases]]
name = "plan"
task_type = "chat"
prompt = "{{ task }}"
[[phases]]
name = "write"
task_type = "chat"
after = ["plan"]
prompt = '''
{{ artefacts.plan }}
{{ parameters.form }}
'''
"""


def mine(folder: Path, text: str = MINE, name: str = "my_agent") -> Agents:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return Agents(folder)


def refusal(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        mine(folder, text).get("my_agent")
    assert refused.value.hint
    return refused.value


@pytest.mark.proves("agents.bundled")
@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_agent_plans_generates_reviews_and_combines(name: str) -> None:
    agent = Agents().get(name)
    phases = {phase.name: phase for phase in agent.phases}
    assert agent.phases[0].name == "plan"
    assert phases["plan"].model == "fast"
    assert phases["generate"].model in {"auto", "best"}
    assert phases["review"].review_of == "generate"
    assert phases["combine"].revises == "generate"
    assert agent.result == "combine"
    assert len({phase.name for phase in agent.phases if phase.after == ("plan",)}) >= 2


@pytest.mark.proves("agents.bundled")
def test_there_are_nine_bundled_agents_and_code_is_checked_as_code() -> None:
    assert list(Agents().names()) == BUNDLED
    coding = Agents().get("coding_agent")
    assert {
        phase.output.kind for phase in coding.phases if phase.name in {"generate", "combine"}
    } == {ArtefactKind.CODE}
    assert coding.single.output.language == "{{ parameters.language }}"
    assert Agents().source("coding_agent") == "bundled"


@pytest.mark.proves("agents.user")
def test_an_agent_of_the_user_is_found_and_wins_by_name(tmp_path: Path) -> None:
    agents = mine(tmp_path)
    assert agents.get("my_agent").description == "Mine."
    mine(tmp_path, MINE, "coding_agent")
    assert agents.get("coding_agent").description == "Mine."
    assert agents.source("coding_agent") == str(tmp_path / "coding_agent.toml")
    assert sorted({*BUNDLED, "my_agent"}) == list(agents.names())


@pytest.mark.proves("agents.user")
def test_a_named_pipe_among_the_agents_is_not_waited_for(tmp_path: Path) -> None:
    agents = mine(tmp_path)
    os.mkfifo(tmp_path / "pipe.toml")
    assert "pipe" not in agents.names()
    assert [each.name for each in agents.list() if each.error is not None] == []


@pytest.mark.proves("agents.user")
def test_an_edit_takes_effect_at_the_next_use(tmp_path: Path) -> None:
    agents = mine(tmp_path)
    assert agents.get("my_agent").strategy is None
    mine(tmp_path, 'strategy = "multi_model"\n' + MINE)
    assert agents.get("my_agent").strategy is Strategy.MULTI_MODEL


@pytest.mark.proves("agents.unknown")
def test_an_unknown_agent_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="'codng_agent'") as refused:
        Agents(tmp_path / "none").get("codng_agent")
    assert "'coding_agent'" in str(refused.value.hint)
    assert (refused.value.exit_code, refused.value.http_status) == (2, 404)
    with pytest.raises(UnknownModel) as refused:
        Agents().get("zzz")
    assert "research_agent" in str(refused.value.hint)


@pytest.mark.proves("agents.unknown")
def test_a_path_is_no_name_of_an_agent(tmp_path: Path) -> None:
    mine(tmp_path)
    with pytest.raises(UnknownModel):
        Agents(tmp_path / "sub").get("../my_agent")


@pytest.mark.proves("agents.schema-errors")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            (
                '[[phases]]\nname = "plan"\ntask_type = "chat"',
                '[[phases]]\nname = "plan"\ntask_type = "codegen"',
            ),
            "line 8: phases[0].task_type: 'codegen' is no task type",
        ),
        (
            ('after = ["plan"]', 'aftre = ["plan"]'),
            "line 13: phases[1].aftre is no key; did you mean 'after'?",
        ),
        (
            ('after = ["plan"]', 'after = ["plna"]'),
            "line 13: phases[1].after: 'plna' is no phase; did you mean 'plan'?",
        ),
        (
            ('after = ["plan"]', 'after = ["write"]'),
            "line 13: phases[1].after: form a cycle: write -> write",
        ),
        (('name = "write"', 'name = "plan"'), "line 11: phases[1].name: 'plan' stands twice"),
        (
            ('name = "write"', 'name = "Write!"'),
            "line 11: phases[1].name: expected `str` matching regex",
        ),
        (
            ('[single]\ntask_type = "chat"', "[single]\ntask_type = 3"),
            "line 4: single.task_type: expected `str`, got `int`",
        ),
        (
            ('description = "Mine."', 'descripton = "Mine."'),
            "line 1: descripton is no key; did you mean 'description'?",
        ),
        (
            ("[parameters.form]", '[parameters.form]\nchoices = "a"'),
            "line 3: parameters.form.choices: expected `array`, got `str`",
        ),
        (
            ("[parameters.form]", '[parameters.form]\ndefault = "c"\nchoices = ["a"]'),
            "line 3: parameters.form.default: 'c' is none of its choices",
        ),
        (
            ('after = ["plan"]', 'after = ["plan"]\nmodel = "fsat"'),
            "line 14: phases[1].model: 'fsat' is no alias and no model; did you mean 'fast'?",
        ),
        (
            ('after = ["plan"]', 'after = ["plan"]\nretries = -1'),
            "line 14: phases[1].retries: expected `int` >= 0",
        ),
        (
            ('after = ["plan"]', 'after = ["plan"]\noutput = { kind = "jsn" }'),
            "line 14: phases[1].output.kind: 'jsn' is no kind; did you mean 'json'?",
        ),
        (
            (
                'after = ["plan"]',
                'after = ["plan"]\noutput = { kind = "json", schema = { type = "objct" } }',
            ),
            "line 14: phases[1].output.schema is no JSON Schema",
        ),
        (
            ('after = ["plan"]', 'after = ["plan"]\noutput = { schema = { type = "object" } }'),
            "line 14: phases[1].output.schema goes with kind = 'json' only",
        ),
        (
            ("[single]", "[budget]\ncalls = 1\n[single]"),
            "line 4: budget.calls: 1 calls are too few for 2 phases",
        ),
        (
            ("[single]", "[budget]\ncals = 1\n[single]"),
            "line 4: budget.cals is no key; did you mean 'calls'?",
        ),
        (
            ('description = "Mine."', 'description = "Mine."\nresult = "wrte"'),
            "line 2: result: 'wrte' is no phase; did you mean 'write'?",
        ),
        (
            ('description = "Mine."', 'description = "Mine."\nstrategy = "both"'),
            "line 2: strategy: 'both' is no strategy",
        ),
        (('name = "write"\n', ""), "line 10: phases[1] has no name"),
        (('[single]\ntask_type = "chat"\n', "[single]\n"), "line 3: single.task_type is missing"),
    ],
)
def test_every_fault_is_named_with_file_line_and_key(
    tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    assert MINE.count(change[0]) == 1
    error = refusal(tmp_path, MINE.replace(*change))
    assert error.message.startswith(f"agents/my_agent.toml {says}")
    assert error.param


@pytest.mark.proves("agents.cycle")
def test_phases_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, MINE.replace('name = "plan"', 'name = "plan"\nafter = ["write"]'))
    assert "form a cycle" in error.message
    assert "agents/my_agent.toml line" in error.message


@pytest.mark.proves("agents.template-errors")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ("{{ parameters.form }}", "{{ parameters.form }"),
            "line 16: phases[1].prompt: template error",
        ),
        (("{{ parameters.form }}", "{% if x %}"), "line 16: phases[1].prompt: template error"),
        (
            ("{{ parameters.form }}", "{{ task | sing }}"),
            "line 16: phases[1].prompt: template error: No filter named 'sing'",
        ),
        (
            ("{{ parameters.form }}", "{{ tsk }}"),
            "line 16: phases[1].prompt: templates know task, parameters, artefacts, not 'tsk'",
        ),
        (
            ("{{ parameters.form }}", "{{ parameters.from }}"),
            "line 16: phases[1].prompt: parameters.from is not there",
        ),
        (
            ("{{ artefacts.plan }}", "{{ artefacts['paln'] }}"),
            "line 15: phases[1].prompt: artefacts.paln is not there",
        ),
        (
            ('prompt = "{{ task }}"\n[[phases]]', 'prompt = "{{ artefacts.plan }}"\n[[phases]]'),
            "line 5: single.prompt: artefacts.plan is not there",
        ),
    ],
)
def test_a_template_error_is_found_when_the_file_is_read(
    tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    text = MINE.replace(change[0], change[1], 1)
    assert refusal(tmp_path, text).message.startswith(f"agents/my_agent.toml {says}")


@pytest.mark.proves("agents.schema-errors")
def test_a_file_that_is_no_toml_or_no_text_is_named(tmp_path: Path) -> None:
    assert "line 1, column 5" in refusal(tmp_path, "a = \n").message
    (tmp_path / "my_agent.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Agents(tmp_path).get("my_agent")
    (tmp_path / "my_agent.toml").write_text("#" * 1_048_577)
    with pytest.raises(ConfigError, match="larger than"):
        Agents(tmp_path).get("my_agent")
    with pytest.raises(ConfigError, match="alias already"):
        mine(tmp_path, MINE, "auto").get("auto")


@pytest.mark.proves("agents.user")
def test_a_broken_file_hides_no_other_agent(tmp_path: Path) -> None:
    agents = mine(tmp_path, "a = ")
    listed = {each.name: each for each in agents.list()}
    assert listed["my_agent"].agent is None
    assert "my_agent.toml" in str(listed["my_agent"].error)
    assert all(listed[name].agent for name in BUNDLED)


def test_a_sandboxed_template_reaches_nothing_of_python(tmp_path: Path) -> None:
    from ymera.phases.plan import plan_run
    from ymera.phases.prompt import build_prompt

    text = MINE.replace(
        'prompt = "{{ task }}"\n[[', 'prompt = "{{ task.__class__.__mro__ }}"\n[[', 1
    )
    spec = plan_run(mine(tmp_path, text).get("my_agent"), "Do", strategy="single_model")
    with pytest.raises(ConfigError, match=r"phases.answer.prompt"):
        build_prompt(spec, spec.phases[0], {}, context_tokens=100)
