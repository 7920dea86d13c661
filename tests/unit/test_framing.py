"""A chunked body comes out whole, however it is cut into pieces, and what is no chunked body is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimble_watch.cluster.framing import Framing

BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@given(BODIES, st.lists(st.integers(1, 60), max_size=20), st.sampled_from((b"", b"X-Trailer: 1\r\n")))
def test_a_body_comes_whole_however_it_is_cut(chunks: list[bytes], cuts: list[int], trailer: bytes) -> None:
    framed = b"".join(b"%x;note=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"
    framing, got = Framing(), b""
    for size in [*cuts, len(framed)]:
        piece, framed = framed[:size], framed[size:]
        got += framing.take(piece)
        assert framing.over is (not framed)
    assert got == b"".join(chunks)


def test_what_is_there_of_a_chunk_is_not_held_back() -> None:
    framing = Framing()
    assert framing.take(b"a\r\nhalf ") == b"half "
    assert framing.take(b"of it\r\n") == b"of it"


@pytest.mark.parametrize("bad", [b"x\r\n", b"-1\r\n", b"1\r\nab\r\n3\r\n", b"\r\n\r\n", b"1" * 70_000])
def test_what_is_no_chunked_body_is_told(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r"out of step|invalid literal|does not end"):
        Framing().take(bad)
