"""The body of a request: bounded before and after it is unpacked."""

import contextlib
import gzip
import io
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.lib import payload
from agentopt.lib.errors import AgentOptError, Invalid, TooLarge, UnknownEncoding

LIMIT = 1000


class Request:
    def __init__(self, body: bytes, **meta: Any) -> None:
        self.META = meta
        self.read = io.BytesIO(body).read


def test_a_plain_body_is_taken_as_it_is() -> None:
    assert payload.read(Request(b"abc"), limit=LIMIT) == b"abc"
    assert payload.read(Request(b"abc", HTTP_CONTENT_ENCODING="identity"), limit=LIMIT) == b"abc"


def test_gzip_is_unpacked_in_all_its_members() -> None:
    packed = gzip.compress(b"abc", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"def", mtime=0)

    assert payload.read(Request(packed, HTTP_CONTENT_ENCODING="GZIP"), limit=LIMIT) == b"abcdef"


@pytest.mark.parametrize(
    ("body", "encoding", "error"),
    [
        (b"x" * (LIMIT + 1), "", TooLarge),
        (gzip.compress(b"x" * (LIMIT + 1), mtime=0), "gzip", TooLarge),
        (gzip.compress(b"x" * LIMIT, mtime=0) + gzip.compress(b"x", mtime=0), "gzip", TooLarge),
        (b"x", "gzip", Invalid),
        (gzip.compress(b"abc", mtime=0)[:-1], "gzip", Invalid),
        (gzip.compress(b"abc", mtime=0) + b"junk", "gzip", Invalid),
        (b"x", "zstd", UnknownEncoding),
    ],
)
def test_what_cannot_be_taken_is_refused(body: bytes, encoding: str, error: type[AgentOptError]) -> None:
    with pytest.raises(error):
        payload.read(Request(body, HTTP_CONTENT_ENCODING=encoding), limit=LIMIT)


def test_a_bomb_never_fills_the_memory() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000, mtime=0)
    tracemalloc.start()
    with pytest.raises(TooLarge):
        payload.unpack(bomb, limit=10 * LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000


def test_a_body_in_chunks_is_read_to_the_end_that_the_server_marks() -> None:
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": io.BytesIO(b"abc")}

    assert payload.read(Request(b"", **chunked), limit=LIMIT) == b"abc"


@given(st.binary(max_size=300))
def test_any_bytes_are_unpacked_or_refused(body: bytes) -> None:
    assert payload.unpack(gzip.compress(body), limit=LIMIT) == body
    with contextlib.suppress(AgentOptError):
        payload.unpack(body, limit=LIMIT)
