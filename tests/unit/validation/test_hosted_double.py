"""The double of a hosted model answers what fits, at the speed the catalogue publishes."""

from __future__ import annotations

import ast
import json

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.catalog.load import load
from ymera.core.answer import AnswerBuilder, ChatAnswer
from ymera.core.chat import (
    ChatRequest,
    Message,
    RequestHints,
    ResponseFormat,
    Role,
    TextPart,
)
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.ports import Deadlines
from ymera.core.task import TaskType
from ymera.validation.components.performance import nearest_rank
from ymera.validation.hosted import (
    FIRST_TOKEN_S,
    HOST,
    HostedDouble,
    example_of,
    tokens_per_second,
)

pytestmark = pytest.mark.proves("validation.performance")

MODEL = load().get("groq/openai/gpt-oss-120b")
ANY = Deadlines(total_s=None)
LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer", "minimum": 3},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["string", "null"]},
        {"enum": ["accept", "revise"]},
        {"const": "x"},
    ]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, below),
        st.builds(lambda options: {"anyOf": options}, st.lists(below, min_size=1, max_size=2)),
        st.builds(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from(["a", "b", "c"]), below, max_size=3),
        ),
    ),
    max_leaves=8,
)


def request(text: str = "Tell me", **fields: object) -> ChatRequest:
    turn = Message(role=Role.USER, content=(TextPart(text),))
    plain = ChatRequest(model="auto", messages=(turn,))
    return msgspec.structs.replace(plain, **fields)


async def answer(
    double: HostedDouble, asked: ChatRequest, deadlines: Deadlines = ANY
) -> ChatAnswer:
    builder = AnswerBuilder()
    async for batch in double.stream(asked, MODEL, deadlines):
        for event in batch:
            builder.add(event)
    return builder.build()


@given(SCHEMAS)
def test_an_example_fits_its_schema(schema: dict[str, object]) -> None:
    jsonschema.validate(example_of(schema), schema)


async def test_it_takes_the_time_that_the_catalogues_speed_takes() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    hints = RequestHints(task_type=TaskType.CODE_GENERATION)
    said = await answer(HostedDouble(sleep=sleep), request(hints=hints))
    assert said.usage is not None
    assert MODEL.speed_tps == 500
    assert waited == [FIRST_TOKEN_S + said.usage.output_tokens / 500]
    code = said.text.removeprefix("```python\n").removesuffix("```")
    assert len(ast.parse(code).body) == 2


async def test_it_answers_json_where_a_schema_is_asked_for_and_repeats_a_mark() -> None:
    async def sleep(_: float) -> None:
        return

    double = HostedDouble(sleep=sleep)
    schema = {"type": "object", "properties": {"verdict": {"enum": ["accept"]}}}
    form = ResponseFormat(schema=msgspec.Raw(msgspec.json.encode(schema)))
    said = await answer(double, request(response_format=form))
    assert json.loads(said.text) == {"verdict": "accept"}
    assert "[0123456789ab]" in (await answer(double, request("About [0123456789ab]?"))).text


async def test_it_keeps_to_the_deadline_it_is_given() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    with pytest.raises(ProviderError) as late:
        await answer(HostedDouble(sleep=sleep), request(), Deadlines(total_s=0.1))
    assert late.value.kind is ProviderErrorKind.TRANSIENT
    assert waited == [0.1]


async def test_it_is_busy_when_it_is_told_to_be() -> None:
    async def sleep(_: float) -> None:
        return

    double = HostedDouble(fails=lambda call: call == 2, sleep=sleep)
    await answer(double, request())
    with pytest.raises(ProviderError) as busy:
        await answer(double, request())
    assert busy.value.kind is ProviderErrorKind.UPSTREAM_BUSY


def test_a_model_without_a_published_speed_has_the_slowest_of_its_host() -> None:
    of_host = [each for each in load().models if each.provider == HOST]
    published = [each.speed_tps for each in of_host if each.speed_tps is not None]
    unknown = next(each for each in of_host if each.speed_tps is None)
    assert tokens_per_second(unknown) == min(published)


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_nearest_rank_is_the_least_value_that_enough_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = nearest_rank(values, share)
    enough = [each for each in values if sum(v <= each for v in values) >= share * len(values)]
    assert found == min(enough)


def test_the_95th_percentile_of_24_is_not_the_largest() -> None:
    assert nearest_rank([*range(24)], 0.95) == 22
