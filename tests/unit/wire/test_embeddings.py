"""Vectors in every dialect that has them, asked and answered."""

from __future__ import annotations

import json
from base64 import b64encode
from decimal import Decimal
from struct import pack as struct_pack

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest, pack, unpack
from ymera.core.errors import InvalidRequest, ProviderError, ProviderErrorKind, Unsupported
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.wire.embedding import EMBEDDING_DIALECTS, embedding_caller, embedding_dialect

DIALECTS = sorted(EMBEDDING_DIALECTS)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(numbers=st.lists(FLOATS))
def test_a_packed_vector_gives_its_numbers_back(numbers: list[float]) -> None:
    assert unpack(pack(numbers)) == numbers
    assert pack(numbers) == struct_pack(f"<{len(numbers)}f", *numbers)


@pytest.mark.proves("wire.embeddings")
@pytest.mark.parametrize("dialect", DIALECTS)
@given(
    texts=st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5),
    dimensions=st.none() | st.integers(1, 4096),
)
def test_a_request_keeps_its_meaning(
    dialect: Dialect, texts: list[str], dimensions: int | None
) -> None:
    request = EmbeddingRequest(model="m", inputs=tuple(texts), dimensions=dimensions)
    wire = embedding_dialect(dialect)
    assert wire is not None

    read = embedding_caller(dialect).decode_request(wire.encode_request(request, "up/id"))

    assert read == msgspec.structs.replace(request, model="up/id")
    assert wire.path("up/id").startswith("/")


@pytest.mark.proves("wire.embeddings")
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("as_base64", [False, True])
@given(
    vectors=st.lists(st.lists(FLOATS, min_size=3, max_size=3), min_size=1, max_size=4),
    tokens=st.none() | st.integers(0, 10**6),
)
def test_an_answer_keeps_its_meaning(
    dialect: Dialect, as_base64: bool, vectors: list[list[float]], tokens: int | None
) -> None:
    usage = None if tokens is None else Usage(input_tokens=tokens)
    answer = EmbeddingAnswer(vectors=tuple(map(pack, vectors)), usage=usage)
    request = EmbeddingRequest(model="m", inputs=("x",) * len(vectors), as_base64=as_base64)
    wire = embedding_dialect(dialect)
    assert wire is not None

    body = embedding_caller(dialect).encode_answer(answer, request, "m")

    assert wire.decode_answer(body, len(vectors), ()) == answer
    assert answer.dimensions == 3


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"data":[],"embeddings":[]}',
        b'{"data":[{"embedding":"?"}],"embeddings":["?"]}',
        b'{"data":[{"embedding":"AAAA"}],"embeddings":[[]]}',
        b'{"data":[{"embedding":[1e300]}],"embeddings":[[1e300]]}',
        b'{"data":[{"embedding":[1]},{"embedding":[1]}],"embeddings":[[1],[1]]}',
        b'{"error":{"message":"no"}}',
        b'{"error":"no"}',
        b'{"x":' + b"[" * 100_000,
    ],
    ids=lambda body: body[:40].decode(),
)
def test_what_holds_no_vector_for_each_text_is_no_answer(dialect: Dialect, body: bytes) -> None:
    wire = embedding_dialect(dialect)
    assert wire is not None

    with pytest.raises(ProviderError):
        wire.decode_answer(body, 1, ())


def test_vectors_of_different_lengths_are_no_answer() -> None:
    wire = embedding_dialect(Dialect.OPENAI_CHAT)
    assert wire is not None
    with pytest.raises(ProviderError) as caught:
        wire.decode_answer(b'{"data":[{"embedding":[1]},{"embedding":[1,2]}]}', 2, ())
    assert caught.value.kind is ProviderErrorKind.BAD_ANSWER


def test_vectors_come_in_the_order_of_their_numbers() -> None:
    wire = embedding_dialect(Dialect.OPENAI_CHAT)
    assert wire is not None
    body = b'{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]}'
    assert [unpack(each) for each in wire.decode_answer(body, 2, ()).vectors] == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "total_tokens": 4}, 3),
        ({"total_tokens": 4}, 4),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": "x"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_unknown_usage_stays_unknown(usage: object, expected: int | None) -> None:
    wire = embedding_dialect(Dialect.OPENAI_CHAT)
    assert wire is not None
    body = json.dumps({"data": [{"embedding": [1]}], "usage": usage}).encode()
    read = wire.decode_answer(body, 1, ()).usage
    assert (None if read is None else read.input_tokens) == expected


def test_a_cost_that_the_upstream_reports_is_read() -> None:
    wire = embedding_dialect(Dialect.OPENAI_CHAT)
    assert wire is not None
    usage = {"prompt_tokens": 3, "total_tokens": 3, "cost": 0.0025}
    read = wire.decode_answer(
        json.dumps({"data": [{"embedding": [1]}], "usage": usage}).encode(), 1, ()
    )
    assert (read.usage, read.cost_usd) == (Usage(input_tokens=3), Decimal("0.0025"))


def test_an_error_inside_an_answer_does_not_tell_the_key() -> None:
    wire = embedding_dialect(Dialect.OPENAI_CHAT)
    assert wire is not None
    with pytest.raises(ProviderError) as caught:
        wire.decode_answer(b'{"error":{"message":"bad key canary-0815"}}', 1, ("canary-0815",))
    assert "canary" not in caught.value.message


def test_anthropic_has_no_vectors() -> None:
    assert embedding_dialect(Dialect.ANTHROPIC) is None


# --- the OpenAI dialect's callers ------------------------------------------------------------

decode = embedding_caller(Dialect.OPENAI_CHAT).decode_request


@pytest.mark.proves("wire.embeddings")
def test_one_text_or_several() -> None:
    assert decode(b'{"model":"m","input":"a"}').inputs == ("a",)
    full = decode(
        b'{"model":"m","input":["a","b"],"encoding_format":"base64","dimensions":4,"user":"u"}'
    )
    assert (full.inputs, full.as_base64, full.dimensions) == (("a", "b"), True, 4)
    assert full.extra == {"user": msgspec.Raw(b'"u"')}


@pytest.mark.proves("wire.embeddings")
@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]], ["a", 1]])
def test_tokens_are_refused_by_name(tokens: object) -> None:
    with pytest.raises(Unsupported, match="tokens") as caught:
        decode(json.dumps({"model": "m", "input": tokens}).encode())
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m"}, "input"),
        ({"input": "a"}, "model"),
        ({"model": "m", "input": ""}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": ["a", ""]}, "input"),
        ({"model": "m", "input": ["a"] * 2049}, "input"),
        ({"model": "m", "input": {"text": "a"}}, "input"),
        ({"model": "m", "input": "a", "dimensions": 0}, "dimensions"),
        ({"model": "m", "input": "a", "encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_a_wrong_request_names_the_field(body: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(json.dumps(body).encode())
    assert caught.value.param == param
    assert caught.value.hint


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"model":"m","input":[],"requests":[]}',
        b'{"model":"m","x":' + b"[" * 100_000,
    ],
    ids=["nothing", "no UTF-8", "list", "no texts", "deep"],
)
def test_what_is_no_request_is_refused(dialect: Dialect, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        embedding_caller(dialect).decode_request(body)


def test_fields_for_the_upstream_pass_and_those_that_redirect_do_not() -> None:
    request = decode(
        b'{"model":"m","input":"a","input_type":"query","base_url":"http://evil","api_key":"k"}'
    )
    wire = embedding_dialect(Dialect.OPENAI_CHAT)
    assert wire is not None
    assert json.loads(wire.encode_request(request, "up")) == {
        "model": "up",
        "input": ["a"],
        "input_type": "query",
        "encoding_format": "float",
    }


def test_unknown_usage_is_null_and_base64_is_of_little_endian_floats() -> None:
    request = EmbeddingRequest(model="m", inputs=("a",), as_base64=True)
    answer = EmbeddingAnswer(vectors=(pack([1.0]),))
    body = json.loads(embedding_caller(Dialect.OPENAI_CHAT).encode_answer(answer, request, "p/m"))
    assert body["usage"] is None
    assert body["data"][0]["embedding"] == b64encode(struct_pack("<f", 1.0)).decode()


# --- the others' own ways --------------------------------------------------------------------


def test_ollama_refuses_what_is_too_long_instead_of_cutting_it() -> None:
    wire = embedding_dialect(Dialect.OLLAMA)
    assert wire is not None
    body = json.loads(wire.encode_request(EmbeddingRequest(model="m", inputs=("a",)), "up"))
    assert body == {"model": "up", "input": ["a"], "truncate": False}


def test_gemini_takes_a_hundred_texts_at_once() -> None:
    wire = embedding_dialect(Dialect.GEMINI)
    assert wire is not None
    wire.encode_request(EmbeddingRequest(model="m", inputs=("a",) * 100), "up")
    with pytest.raises(Unsupported, match="100 at once") as caught:
        wire.encode_request(EmbeddingRequest(model="m", inputs=("a",) * 101), "up")
    assert caught.value.param == "input"
    assert wire.path("a/b") == "/v1beta/models/a%2Fb:batchEmbedContents"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_half_a_surrogate_pair_is_the_callers_mistake(dialect: Dialect) -> None:
    wire = embedding_dialect(dialect)
    assert wire is not None
    with pytest.raises(InvalidRequest, match="surrogate"):
        wire.encode_request(EmbeddingRequest(model="m", inputs=("\ud800",)), "up")
