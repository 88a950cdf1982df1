"""Reasoning between tags at the start of a text, however it is cut on its way."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.answer import (
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.usage import Usage
from ymera.wire.think_tags import ThinkTags

STOP = Finish(FinishReason.STOP)


def split(*pieces: str) -> tuple[str, str]:
    """Return reasoning and text of an answer that came in these pieces."""
    tags = ThinkTags()
    events = [
        event
        for step in [[TextDelta(piece)] for piece in pieces] + [[STOP]]
        for event in tags.split(list[ChatEvent](step))
    ]
    assert events[-1] == STOP
    assert all(event.text for event in events if isinstance(event, TextDelta | ReasoningDelta))
    return (
        "".join(event.text for event in events if isinstance(event, ReasoningDelta)),
        "".join(str(event) for event in events),
    )


@pytest.mark.proves("wire.think-tags")
@pytest.mark.parametrize(
    ("written", "reasoning", "text"),
    [
        ("<think>a b</think>c", "a b", "c"),
        ("<thought>a</thought>c", "a", "c"),
        (" \n<think>a</think>\n\nc d ", "a", "c d "),
        ("<think></think>c", "", "c"),
        ("<think>a < b </thinking>", "a < b </thinking>", ""),
        ("<think>never closed", "never closed", ""),
        ("<think>a</think>", "a", ""),
        ("no tags", "", "no tags"),
        ("  no tags", "", "  no tags"),
        ("see <think>a</think>", "", "see <think>a</think>"),
        ("<thinker>a", "", "<thinker>a"),
        ("<thi", "", "<thi"),
        ("", "", ""),
        (" \n", "", " \n"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("<thought>a</think>b", "a</think>b", ""),
    ],
)
def test_what_stands_between_the_tags_at_the_start_is_reasoning(
    written: str, reasoning: str, text: str
) -> None:
    assert split(written) == (reasoning, text)
    assert split(*written) == (reasoning, text)


PIECES = st.lists(
    st.one_of(
        st.sampled_from(["<think>", "</think>", "<thought>", "</thought>", "<", ">", " ", "\n"]),
        st.text(max_size=4),
    ),
    max_size=8,
).map("".join)


@pytest.mark.proves("wire.think-tags")
@given(written=PIECES, cuts=st.lists(st.integers(0, 60), max_size=12))
def test_where_a_text_is_cut_changes_nothing(written: str, cuts: list[int]) -> None:
    at = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    pieces = [written[start:end] for start, end in itertools.pairwise(at)]

    assert "".join(pieces) == written
    assert split(*pieces) == split(written)


@given(written=PIECES)
def test_nothing_is_lost_but_tags_and_the_white_space_beside_them(written: str) -> None:
    reasoning, text = split(written)

    assert "".join(written.split()).endswith("".join(text.split()))
    assert reasoning in written


def test_what_is_held_back_comes_before_a_tool_call_or_the_end() -> None:
    tags = ThinkTags()
    call = ToolCallDelta(index=0, id="c", name="f")
    usage = UsageReport(Usage(input_tokens=1))

    assert tags.split([TextDelta("<th"), usage]) == [usage]
    assert tags.split([call, TextDelta("<think>a"), STOP]) == [
        TextDelta("<th"),
        call,
        TextDelta("<think>a"),
        STOP,
    ]


def test_reasoning_that_the_host_marks_itself_passes_as_it_is() -> None:
    marked = ReasoningDelta("a")

    assert ThinkTags().split([marked, TextDelta("b"), STOP]) == [marked, TextDelta("b"), STOP]
