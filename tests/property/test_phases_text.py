"""Arithmetic over texts: lines of TOML keys, prompts that fit, extraction that never fails."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.phases import phase, run_of
from ymera.core.answer import FinishReason
from ymera.phases.checks import examine
from ymera.phases.prompt import build_prompt
from ymera.phases.toml_lines import TomlLines
from ymera.phases.types import (
    Artefact,
    ArtefactKind,
    OutputContract,
    PhaseOutcome,
    PhaseState,
)
from ymera.routing.estimate import text_tokens

NAMES = st.sampled_from(["a", "b2", "c-d", '"e f"', "g"])
VALUES = st.sampled_from(
    ["1", '"x = 1"', "'''\n[no]\nkey = 2\n'''", '"""\nq = 3"""', "[\n1,\n[2],\n]", "{ k = 1 }"]
)


@pytest.mark.proves("agents.schema-errors")
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["table", "array"]), NAMES, st.dictionaries(NAMES, VALUES, max_size=4)
        ),
        max_size=6,
    )
)
def test_every_key_of_a_toml_file_is_found_in_its_line(
    tables: list[tuple[str, str, dict[str, str]]],
) -> None:
    lines: list[str] = ["# a comment", ""]
    expected: dict[tuple[str | int, ...], int] = {}
    seen: dict[str, str] = {}
    counts: dict[str, int] = {}
    for kind, name, entries in tables:
        if seen.setdefault(name, kind) != kind or (kind == "table" and name in counts):
            continue
        at = counts.get(name, 0)
        counts[name] = at + 1
        bare = name.strip('"')
        path: tuple[str | int, ...] = (bare, at) if kind == "array" else (bare,)
        lines.append(f"[[{name}]]" if kind == "array" else f"[{name}] # why")
        expected[path] = len(lines)
        for key, value in entries.items():
            lines += f"{key} = {value}".split("\n")
            expected[*path, key.strip('"')] = len(lines) - value.count("\n")
    text = "\n".join(lines)
    tomllib.loads(text)
    found = TomlLines(text)
    assert {path: found.line_of(path) for path in expected} == expected


@pytest.mark.proves("phases.trim")
@given(
    st.lists(st.text(max_size=3000), min_size=1, max_size=4),
    st.integers(150, 3000),
)
def test_a_prompt_fits_unless_the_task_alone_does_not(texts: list[str], room: int) -> None:
    names = [f"p{number}" for number in range(len(texts))]
    phases = [phase(name) for name in names]
    last = phase(
        "end", " ".join(f"{{{{ artefacts.{name} }}}}" for name in names), after=tuple(names)
    )
    outcomes = {
        name: PhaseOutcome(
            phase=name,
            state=PhaseState.DONE,
            artefact=Artefact(phase=name, kind=ArtefactKind.TEXT, text=text),
        )
        for name, text in zip(names, texts, strict=True)
    }
    prompt = build_prompt(run_of(*phases, last), last, outcomes, context_tokens=room)
    assert sum(text_tokens(message.text) + 6 for message in prompt.messages) <= room
    assert len(prompt.losses) == len(prompt.cut)
    for name, text in zip(names, texts, strict=True):
        if text.strip() and name not in prompt.cut:
            assert text.strip() in prompt.messages[-1].text


@pytest.mark.proves("phases.checks")
@given(
    st.sampled_from(list(ArtefactKind)),
    st.text(alphabet=st.sampled_from(list("`~{}[]\n aA1\"':=()#<>/think")), max_size=300),
    st.sampled_from([None, "python", "json", "rust", "sql", "toml"]),
)
def test_any_answer_is_examined_without_failing(
    kind: ArtefactKind, answer: str, language: str | None
) -> None:
    spec = phase("made", output=OutputContract(kind=kind))
    found = examine(spec, answer, FinishReason.STOP, language=language)
    assert found.checks
    if found.problem is None:
        assert found.artefact.text.strip()
