from __future__ import annotations

import pytest

from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.wire.sse import SSEParser, sse_event


@pytest.mark.parametrize(
    ("sent", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\r\n\r\ndata: b\r\rdata: c\n\n", [b"a", b"b", b"c"]),
        (b": comment\n\nevent: x\nid: 1\ndata: a\nretry: 3\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\n", [b""]),
        (b"data:  a\n\n", [b" a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\n\n\n", []),
        (b"datax: a\n\n", []),
        (b"data: never finished", []),
        (sse_event(b"{}"), [b"{}"]),
    ],
)
def test_events_are_read_as_the_standard_says(sent: bytes, events: list[bytes]) -> None:
    assert SSEParser().feed(sent) == events


def test_a_line_end_cut_between_its_two_bytes_ends_one_line() -> None:
    parser = SSEParser()

    assert parser.feed(b"data: a\r") == []
    assert parser.feed(b"\ndata: b\r") == []
    assert parser.feed(b"") == []
    assert parser.feed(b"\n\r\n") == [b"a\nb"]


@pytest.mark.parametrize("line", [b"data: ", b": ", b""])
def test_an_event_that_grows_without_end_is_refused(line: bytes) -> None:
    parser = SSEParser(max_event_bytes=1000)
    parser.feed(line)
    parser.feed(b"x" * 900)

    with pytest.raises(ProviderError) as caught:
        parser.feed(b"x" * 101)

    assert caught.value.kind is ProviderErrorKind.BAD_ANSWER


def test_many_events_and_comments_are_not_one_large_event() -> None:
    parser = SSEParser(max_event_bytes=100)

    assert len(parser.feed(b": keep-alive\ndata: 0123456789\n\n" * 100)) == 100
    assert parser.feed(b": keep-alive\n" * 100) == []
