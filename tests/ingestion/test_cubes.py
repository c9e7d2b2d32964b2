"""Cubes: exact sums of any size, the same bytes in any order and however cut."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion import cube_parts, cubes
from ingestion.cubes import METRICS, PAIRS, Rows

LARGE = st.integers(-(2**63), 2**63 - 1)
FIGURE = st.one_of(st.none(), st.integers(0, 50), st.integers(0, 10**7), LARGE)
CALL = st.tuples(
    st.integers(0, 23), st.sampled_from("ab"), st.sampled_from(["m1", "", "模型", "z"]), st.sampled_from(["", "v2"]),
    st.integers(0, 3), st.integers(0, 2), st.tuples(*[FIGURE] * len(METRICS)),
)  # fmt: skip
CALLS = st.lists(CALL, max_size=40)


def rows(calls: Any) -> Rows:
    """Calls as columns; texts in order of appearance, as a reader finds them."""
    texts: list[list[str]] = [[], [], []]
    keys = np.zeros((7, len(calls)), dtype=np.int64)
    figures = np.zeros((len(METRICS), len(calls)), dtype=np.int64)
    for n, (hour, provider, model, version, use_case, status, values) in enumerate(calls):
        for place, text in enumerate((provider, model, version)):
            if text not in texts[place]:
                texts[place].append(text)
            keys[1 + place, n] = texts[place].index(text)
        told = sum(1 << bit for bit, value in enumerate(values) if value is not None)
        keys[0, n], keys[4, n], keys[5, n], keys[6, n] = hour, use_case, status, told
        figures[:, n] = [value or 0 for value in values]
    return Rows(keys, tuple(map(tuple, texts)), figures)


@given(CALLS, st.randoms(use_true_random=False))
def test_a_cube_is_the_same_bytes_in_any_order_and_however_it_is_cut(calls: Any, chance: random.Random) -> None:
    whole = cube_parts.pack(cubes.of(rows(calls)))
    mixed = chance.sample(calls, len(calls))
    cuts = sorted(chance.choices(range(len(calls) + 1), k=3))
    pieces = [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(calls)], strict=True)]

    first, *rest = [cubes.of(rows(piece)) for piece in pieces]
    grouped = cubes.merge([first, cubes.merge(reversed(rest))])

    assert cube_parts.pack(grouped) == whole
    assert cube_parts.pack(cube_parts.unpack(whole)) == whole


@given(CALLS)
def test_sums_and_products_are_exact_beyond_64_bits(calls: Any) -> None:
    found = cubes.of(rows(calls))

    for metric, name in enumerate(METRICS):
        told = [call[-1][metric] for call in calls if call[-1][metric] is not None]
        assert sum(cubes.totals(found, name)) == sum(told)
    for one, other in PAIRS:
        both = [
            (call[-1][one], call[-1][other])
            for call in calls
            if call[-1][one] is not None and call[-1][other] is not None
        ]
        assert sum(cubes.product_sums(found, METRICS[one], METRICS[other])) == sum(a * b for a, b in both)


@given(CALLS)
def test_the_hours_of_a_day_add_up_to_the_day(calls: Any) -> None:
    found = cubes.of(rows(calls))

    early, late = cubes.without_hours(found, range(12, 24)), cubes.without_hours(found, range(12))
    day = cubes.of(rows([(0, *call[1:]) for call in calls]))

    assert cube_parts.pack(cubes.merge([late, early])) == cube_parts.pack(found)
    assert cube_parts.pack(cubes.without(found, cubes.HOUR)) == cube_parts.pack(day)


def test_a_cube_of_nothing_packs_too() -> None:
    bare = cube_parts.pack(cubes.empty())

    assert cube_parts.unpack(bare).n_groups == 0
    assert cube_parts.pack(cubes.merge([])) == bare
    assert cube_parts.needed(["latency"], products=True) == ["figures", "products", "latency"]
    with pytest.raises(KeyError):
        cube_parts.unpack({})
