"""Calls to conversations, and conversations to bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommendations.drift import columns, values
from recommendations.drift.columns import FIGURES, Calls


def calls(*rows: tuple[int, int, float, int]) -> Calls:
    """(trace, second, latency, failed)."""
    figures = np.full((len(FIGURES), len(rows)), np.nan)
    figures[0] = [row[2] for row in rows]
    figures[3] = [row[3] for row in rows]
    zeros = np.zeros(len(rows), np.int64)
    return Calls(
        trace=np.array([row[0] for row in rows]), at_s=np.array([row[1] for row in rows]), figures=figures,
        model=zeros, prompt_version=zeros, use_case=zeros, texts=(("m",), ("v1",)),
    )  # fmt: skip


def test_a_conversation_is_the_mean_of_its_calls_at_its_last_one() -> None:
    found = columns.group(calls((1, 0, 2.0, 0), (2, 10, 9.0, 0), (1, 60, np.nan, 1), (1, 120, 4.0, 0)))

    # by hand: trace 2 closes at 10; trace 1 at 120 with (2 + 4) / 2 seconds and one failure of three calls
    assert found.at_s.tolist() == [10, 120]
    assert found.latency_s.tolist() == [9.0, 3.0]
    assert found.failed.tolist() == pytest.approx([0.0, 1 / 3])
    assert found.calls.tolist() == [1, 3]


def test_half_an_hour_of_silence_ends_a_conversation() -> None:
    found = columns.group(calls((1, 0, 1.0, 0), (1, 1799, 1.0, 0), (1, 1799 + 1800, 5.0, 0)))

    assert found.calls.tolist() == [2, 1]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 10_000), st.floats(0, 9), st.integers(0, 1)), max_size=60))
def test_packing_and_joining_lose_nothing(rows: list[tuple[int, int, float, int]]) -> None:
    found = columns.group(calls(*rows))

    again = columns.unpack(columns.pack(found))
    both = columns.joined([again.between(0, 5000), again.between(5000, 1e9)])

    assert both.at_s.tolist() == found.at_s.tolist()
    assert both.latency_s == pytest.approx(found.latency_s, rel=1e-6, nan_ok=True)
    assert both.calls.sum() == len(rows)


def test_contributions_of_a_dimension_add_up_to_the_shift() -> None:
    rng = np.random.default_rng(4)
    sides = []
    for share in (0.2, 0.6):
        found = columns.group(calls(*((n, 4000 * n, 1.0, 0) for n in range(500))))
        object.__setattr__(found, "use_case", (rng.random(500) < share).astype(np.int64) + 1)
        sides.append(found)
    before, after = rng.random(500), rng.random(500) + 0.3

    parts = values.contributions(*sides, x_before=before, x_after=after, names={1: "refunds", 2: "returns"})

    total = after.mean() - before.mean()
    for dimension in values.DIMENSIONS:
        of = [one["contribution"] for one in parts if one["dimension"] == dimension]
        assert sum(of) == pytest.approx(total)
