from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.errors import ProviderError
from ymera.wire.sse import SSEParser, sse_event

pieces = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b": note", b"event: x", b"a", b"\xc3\xa4", b"\xef\xbb\xbf"]
    )
    | st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n"]),
    max_size=30,
).map(b"".join)
cuts = st.lists(st.integers(0, 200), max_size=10)


def cut(sent: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(sent)) for place in at), len(sent)]
    return [sent[start:end] for start, end in itertools.pairwise(edges)]


@pytest.mark.proves("wire.any-chunking")
@given(pieces, cuts)
def test_any_chunking_gives_the_same_events(sent: bytes, at: list[int]) -> None:
    parser = SSEParser()

    in_pieces = [event for chunk in cut(sent, at) for event in parser.feed(chunk)]

    assert in_pieces == SSEParser().feed(sent)


@pytest.mark.proves("wire.any-chunking")
@given(st.lists(st.binary().filter(lambda data: not set(data) & {10, 13})), cuts)
def test_what_was_written_is_read_back(payloads: list[bytes], at: list[int]) -> None:
    parser = SSEParser()

    chunks = cut(b"".join(map(sse_event, payloads)), at)

    assert [event for chunk in chunks for event in parser.feed(chunk)] == payloads


@pytest.mark.proves("wire.any-bytes")
@given(st.lists(st.binary(max_size=50)))
def test_any_bytes_are_events_or_one_error(chunks: list[bytes]) -> None:
    parser = SSEParser(max_event_bytes=100)
    with contextlib.suppress(ProviderError):
        for chunk in chunks:
            parser.feed(chunk)
