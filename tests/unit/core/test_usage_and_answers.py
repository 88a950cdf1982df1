"""Cost arithmetic and the one reducer."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.answer import (
    AnswerBuilder,
    ChatAnswer,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.chat import ToolCall
from ymera.core.errors import ProviderError
from ymera.core.usage import Price, Usage, cost_usd

prices = st.one_of(st.none(), st.decimals(0, 1000, places=4))
usages = st.one_of(
    st.none(),
    st.builds(Usage, input_tokens=st.integers(0, 10**9), output_tokens=st.integers(0, 10**9)),
)


@pytest.mark.proves("core.unknown-cost")
@given(usages, prices, prices)
def test_a_cost_is_exact_or_unknown_and_never_a_guess(
    usage: Usage | None, inward: Decimal | None, outward: Decimal | None
) -> None:
    cost = cost_usd(usage, Price(input_usd_per_mtok=inward, output_usd_per_mtok=outward))
    if inward == 0 == outward:
        assert cost == 0
    elif usage is None or inward is None or outward is None:
        assert cost is None
    else:
        assert cost is not None
        assert cost * 1_000_000 == usage.input_tokens * inward + usage.output_tokens * outward


@given(st.lists(st.text(max_size=5), max_size=20))
def test_pieces_of_text_join_to_the_whole(pieces: list[str]) -> None:
    builder = AnswerBuilder()
    for piece in pieces:
        builder.add(TextDelta(piece))
    builder.add(Finish(FinishReason.STOP))
    assert builder.build().text == "".join(pieces)
    assert builder.text_chars == len("".join(pieces))


def test_interleaved_pieces_of_tool_calls_are_joined_by_index() -> None:
    builder = AnswerBuilder()
    for event in (
        ReasoningDelta("hm"),
        ToolCallDelta(index=1, id="b", name="sub", arguments='{"x"'),
        ToolCallDelta(index=0, id="a", name="add", arguments=""),
        ToolCallDelta(index=1, arguments=":1}"),
        ToolCallDelta(index=0, arguments="{}"),
        UsageReport(Usage(input_tokens=1)),
        Finish(FinishReason.TOOL_CALLS),
        UsageReport(Usage(input_tokens=2)),
    ):
        builder.add(event)
    assert builder.build() == ChatAnswer(
        text="",
        reasoning="hm",
        finish_reason=FinishReason.TOOL_CALLS,
        tool_calls=(
            ToolCall(id="a", name="add", arguments="{}"),
            ToolCall(id="b", name="sub", arguments='{"x":1}'),
        ),
        usage=Usage(input_tokens=2),
    )


def test_an_answer_without_an_end_is_an_error() -> None:
    builder = AnswerBuilder()
    builder.add(TextDelta("half"))
    with pytest.raises(ProviderError, match="cut"):
        builder.build()


def test_a_builder_that_keeps_no_text_still_counts() -> None:
    builder = AnswerBuilder(keep_text=False)
    builder.add(TextDelta("four"))
    builder.add(Finish(FinishReason.STOP))
    assert (builder.text, builder.text_chars, builder.is_empty) == ("", 4, False)


@pytest.mark.proves("money.reported-cost")
@pytest.mark.parametrize("count", [-1, 10**40])
def test_counts_that_no_call_can_have_had_are_unknown_and_a_bill_beside_them_is_not(
    count: int,
) -> None:
    builder = AnswerBuilder()
    builder.add(UsageReport(Usage(input_tokens=3, output_tokens=count), Decimal("0.5")))
    assert builder.usage is None
    assert builder.reported_cost_usd == Decimal("0.5")
