"""Windows are half-open and their parts touch."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.lib.windows import Window

START = datetime(2026, 11, 1, tzinfo=UTC)


def test_a_day_in_four_parts() -> None:
    # by hand: 86,400 s / 4 = 6 h each
    parts = Window(START, START + timedelta(days=1)).parts(4)

    assert [part.since.hour for part in parts] == [0, 6, 12, 18]
    assert all(part.length == timedelta(hours=6) for part in parts)


@given(length_ms=st.integers(1, 10_000_000), n=st.integers(1, 50))
def test_parts_cover_the_window_without_gap_or_overlap(length_ms: int, n: int) -> None:
    window = Window(START, START + timedelta(milliseconds=length_ms))

    parts = window.parts(n)

    assert (parts[0].since, parts[-1].until) == (window.since, window.until)
    assert all(one.until == other.since for one, other in pairwise(parts))
    assert 1 <= len(parts) <= n


def test_a_second_cannot_be_cut() -> None:
    window = Window(START, START + timedelta(seconds=1))

    assert window.parts(10) == [window]


@pytest.mark.parametrize("length", [timedelta(0), timedelta(seconds=-1)])
def test_an_empty_window_is_refused(length: timedelta) -> None:
    with pytest.raises(ValueError, match="ends after"):
        Window(START, START + length)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Window(START.replace(tzinfo=None), START)
