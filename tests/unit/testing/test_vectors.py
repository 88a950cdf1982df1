"""Vectors the simulator makes up, seen from outside any host."""

from __future__ import annotations

import msgspec
import pytest

from ymera.core.model import Dialect
from ymera.testing.vectors import EmbedWish, answer_embedding


@pytest.mark.proves("simulator.dialects")
def test_a_senseless_length_is_cut_and_does_not_end_the_connection() -> None:
    wish = EmbedWish(model="m", texts=("a",), dimensions=10**30)
    answer = msgspec.json.decode(answer_embedding(Dialect.OLLAMA, wish, None))
    assert len(answer["embeddings"][0]) == 16_384
