"""Long texts, compressed in the database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.lib import packing


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=600))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert packing.unpack(packing.pack(text)) == text


def test_a_long_text_takes_less_room_and_an_empty_one_none() -> None:
    assert len(packing.pack('{"role": "user"}, ' * 100)) < 100
    assert packing.pack("") == b""


@pytest.mark.parametrize("packed", [b"\x07abc", b"\x01abc", packing.pack("x" * 500)[:-3]])
def test_damaged_bytes_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="packed"):
        packing.unpack(packed)
