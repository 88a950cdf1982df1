"""No two tool calls of a conversation share an id, whatever its hosts call them."""

import pytest

from ymera.core.answer import ChatEvent, TextDelta, ToolCallDelta
from ymera.core.chat import Message, Role, ToolCall
from ymera.wire.anthropic.upstream_turns import tool_ids as anthropic_tool_ids
from ymera.wire.tool_ids import FreshIds

pytestmark = pytest.mark.proves("wire.fresh-tool-ids")


def earlier(*ids: str) -> list[Message]:
    calls = tuple(ToolCall(id=id, name="read", arguments="{}") for id in ids)
    return [Message(role=Role.USER), Message(role=Role.ASSISTANT, tool_calls=calls)]


def called(*ids: str | None) -> list[ChatEvent]:
    return [ToolCallDelta(index=at, id=id, name="read") for at, id in enumerate(ids)]


def ids_of(events: list[ChatEvent]) -> list[str | None]:
    return [event.id for event in events if isinstance(event, ToolCallDelta)]


def test_a_new_id_stays_as_the_host_wrote_it() -> None:
    events = called("functions.read:1")
    assert FreshIds(earlier("functions.read:0"))(events) == events


def test_an_id_of_an_earlier_turn_is_replaced_by_the_same_one_each_time() -> None:
    first, second = (FreshIds(earlier("call_0"))(called("call_0", "call_1")) for _ in range(2))
    assert ids_of(first) == ids_of(second)
    assert ids_of(first)[0] not in {"call_0", "call_1"}
    assert ids_of(first)[1] == "call_1"


def test_calls_without_an_id_get_different_ones_in_each_turn() -> None:
    ids = ids_of(FreshIds(earlier("call_9"))(called(None, "")))
    later = ids_of(FreshIds([*earlier("call_9"), *earlier("x")])(called(None, "")))
    assert None not in ids
    assert len({*ids, *later}) == 4


def test_two_calls_of_one_answer_do_not_share_an_id() -> None:
    assert len(set(ids_of(FreshIds(())(called("call_0", "call_0"))))) == 2


def test_only_the_first_piece_of_a_call_is_named() -> None:
    named = FreshIds(earlier("call_0"))
    named(called("call_0"))
    rest: list[ChatEvent] = [TextDelta("so"), ToolCallDelta(index=0, arguments="{}")]
    assert named(rest) == rest


def test_an_id_that_the_caller_knows_rewritten_is_not_given_a_second_time() -> None:
    as_shown = anthropic_tool_ids()("functions.read:0")
    assert as_shown != "functions.read:0"
    (id,) = ids_of(FreshIds(earlier(as_shown))(called("functions.read:0")))
    assert id is not None
    assert anthropic_tool_ids()(id) not in {as_shown, "functions.read:0"}
    assert FreshIds(earlier(as_shown))(called("functions.read:1")) == called("functions.read:1")
