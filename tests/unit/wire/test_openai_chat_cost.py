"""What hosts say a call cost, in whatever form they say it."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.answer import AnswerBuilder, UsageReport
from ymera.core.errors import ProviderError
from ymera.core.usage import Usage
from ymera.wire.openai_chat.answer import StreamDecoder, decode_answer

COUNTS = '"prompt_tokens":3,"completion_tokens":4'
TOKENS = Usage(input_tokens=3, output_tokens=4)


def reports(usage: str) -> list[UsageReport]:
    """Return the usage reports of a plain answer with this usage object."""
    body = (
        '{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],'
        f'"usage":{{{usage}}}}}'
    )
    return [each for each in decode_answer(body.encode()) if isinstance(each, UsageReport)]


@pytest.mark.proves("money.reported-cost")
@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ('"cost":0.000123', "0.000123"),
        ('"cost":"0.0045"', "0.0045"),
        ('"cost":0', "0"),
        ('"cost":1e-9', "1E-9"),
        ('"estimated_cost":0.25', "0.25"),
        ('"cost":null,"estimated_cost":0.25', "0.25"),
        ('"cost_in_usd_ticks":15000', "0.0000015"),
        ('"cost":null', None),
        ('"cost":-1', None),
        ('"cost":{"total":1}', None),
        ('"cost":"a lot"', None),
        ('"cost":1e999999', None),
        ('"cost_details":{"upstream":1}', None),
    ],
)
def test_a_cost_is_read_exactly_and_nonsense_is_unknown_not_zero(
    said: str, cost: str | None
) -> None:
    assert reports(f"{COUNTS},{said}") == [
        UsageReport(TOKENS, None if cost is None else Decimal(cost))
    ]


@pytest.mark.proves("money.reported-cost")
def test_a_cost_without_counts_is_still_told() -> None:
    assert [each.cost_usd for each in reports('"cost":0.5')] == [Decimal("0.5")]
    assert reports('"total":7') == []


@pytest.mark.proves("money.reported-cost")
@pytest.mark.parametrize("count", ["0.5", '"3"', "[]", "9" * 40, "1e400"])
def test_a_cost_beside_counts_that_cannot_be_read_is_still_told(count: str) -> None:
    usage = f'"prompt_tokens":{count},"completion_tokens":4,"cost":0.5'
    assert [each.cost_usd for each in reports(usage)] == [Decimal("0.5")]


@pytest.mark.proves("money.reported-cost")
def test_a_cost_said_late_or_once_stays_said() -> None:
    decoder, built = StreamDecoder(), AnswerBuilder()
    for data in (
        b'{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}',
        b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"cost":0.01}}',
        b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
        b"[DONE]",
    ):
        for event in decoder.feed(data):
            built.add(event)
    assert (built.usage, built.reported_cost_usd) == (TOKENS, Decimal("0.01"))
    assert built.build().cost_usd == Decimal("0.01")


@pytest.mark.proves("money.reported-cost")
@given(st.text(alphabet='0123456789eE+-."[]{}nulltrue ,:', max_size=40))
def test_whatever_stands_where_a_cost_should_costs_no_tokens(said: str) -> None:
    found: list[UsageReport] = []
    with contextlib.suppress(ProviderError):  # no JSON at all
        found = reports(f'{COUNTS},"cost":{said}')
    for each in found:
        assert each.cost_usd is None or each.cost_usd >= 0
