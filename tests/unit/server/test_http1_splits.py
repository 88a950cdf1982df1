"""However its bytes are cut into pieces, a request is the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.raw_site import RawSite, Seen
from ymera.core.errors import YmeraError
from ymera.server.http1_request import RequestReader

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
VALUE = st.text("abc/;=, \t\"'xyz", max_size=30).map(str.strip)
NAMES = TOKEN.map(lambda name: f"x-{name}").filter(lambda name: name != "x-refuse")
BODY = st.one_of(st.binary(max_size=300), st.just(b"\r\n\r\n0\r\n"))


class Sink:
    """Takes what is read."""

    def __init__(self) -> None:
        self.reader = RequestReader(RawSite(), self)
        self.seen: list[Seen | str] = []

    def take(self, request: RequestReader, refusal: YmeraError | None) -> None:
        if refusal is not None:
            self.seen.append(str(refusal))
        else:
            headers = tuple(request.headers)
            self.seen.append(Seen(request.method, request.path, headers, bytes(request.body)))

    def go_ahead(self) -> None:
        self.seen.append("go ahead")


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, Seen]:
    """Return the bytes of a request and what a handler should see of it."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]))
    path = "/" + draw(TOKEN)
    headers = [("host", "localhost"), *draw(st.lists(st.tuples(NAMES, VALUE), max_size=6))]
    query = draw(st.sampled_from([b"", b"?", b"?a=b&c=%20"]))
    body, sent = draw(BODY), b""
    match draw(st.sampled_from(["none", "length", "chunked"])):
        case "none":
            body = b""
        case "length":
            headers.append(("content-length", str(len(body))))
            sent = body
        case _:
            headers.append(("transfer-encoding", "chunked"))
            sent = draw(chunks(body))
    spelt = [(draw(st.sampled_from([name, name.title()])), value) for name, value in headers]
    space = draw(st.sampled_from([b"", b" ", b" \t"]))
    lines = b"".join(b"%b:%b%b\r\n" % (n.encode(), space, v.encode()) for n, v in spelt)
    line = b"%b %b%b HTTP/1.1\r\n" % (method.encode(), path.encode(), query)
    seen = tuple((name.encode(), value.encode()) for name, value in headers)
    return line + lines + b"\r\n" + sent, Seen(method, path, seen, body)


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    """Return a body in chunks."""
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=5)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    extension = draw(st.sampled_from([b"", b";x=y"]))
    sent = b"".join(b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in pieces if p)
    return sent + b"0\r\n" + draw(st.sampled_from([b"", b"x-trailer: 1\r\n"])) + b"\r\n"


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at places, taken modulo their number."""
    ends = sorted({place % (len(data) + 1) for place in places})
    pieces = [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


@pytest.mark.proves("server.http1-splits")
@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(0, 5000), max_size=30))
def test_any_split_of_any_requests_is_read_the_same(
    drawn: list[tuple[bytes, Seen]], places: list[int]
) -> None:
    sink = Sink()
    for piece in cut(b"".join(data for data, _ in drawn), places):
        sink.reader.feed(piece)
    assert sink.seen == [seen for _, seen in drawn]
    assert not sink.reader.in_message


@pytest.mark.proves("server.http1-splits")
@given(requests())
def test_a_request_that_comes_byte_by_byte_is_read_the_same(drawn: tuple[bytes, Seen]) -> None:
    data, seen = drawn
    sink = Sink()
    for start in range(len(data)):
        assert sink.seen == []
        sink.reader.feed(data[start : start + 1])
    assert sink.seen == [seen]


@pytest.mark.proves("server.http1-splits")
@given(requests(), st.binary(max_size=200), st.lists(st.integers(0, 5000), max_size=10))
def test_whatever_follows_no_bytes_break_the_reader(
    drawn: tuple[bytes, Seen], rest: bytes, places: list[int]
) -> None:
    data, seen = drawn
    sink = Sink()
    for piece in cut(data + rest, places):
        sink.reader.feed(piece)
    assert sink.seen[0] == seen
    assert all(isinstance(each, Seen) for each in sink.seen[:-1]), "read on after a refusal"
    assert sink.reader.done or isinstance(sink.seen[-1], Seen)
