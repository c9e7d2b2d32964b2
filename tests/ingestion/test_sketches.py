"""Sketches: off by 2 % at most at every quantile, the same counts in any order."""

import random

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion import sketches

VALUE = st.one_of(st.integers(0, 30), st.integers(0, 10**7), st.integers(-(2**63), 2**63 - 1))
ARRAYS = ("group", "bucket", "count")
SHARE = st.integers(1, 1000).map(lambda thousandths: thousandths / 1000)


def one(values: list[int]) -> sketches.Sketch:
    found = np.array(values, dtype=np.int64)
    return sketches.count(np.zeros(len(values), dtype=np.int64), sketches.buckets(found)).of(1)[0]


@given(st.lists(VALUE, min_size=1, max_size=200), SHARE)
@example([2**63 - 1], 0.5)
@example([-(2**63)], 0.5)
def test_every_quantile_is_at_most_two_percent_off(values: list[int], q: float) -> None:
    exact = sorted(values)[-(-len(values) * round(q * 1000) // 1000) - 1]

    found = one(values).quantile(q)

    assert found is not None
    assert abs(found - exact) <= sketches.ACCURACY * abs(exact) * (1 + 1e-12)


@given(st.lists(st.integers(0, 24), min_size=1))
def test_small_numbers_are_exact(values: list[int]) -> None:
    assert one(values).quantiles([0.5, 1]) == [sorted(values)[(len(values) + 1) // 2 - 1], max(values)]


@given(st.lists(st.tuples(st.integers(0, 3), VALUE)), st.randoms(use_true_random=False))
def test_counts_are_the_same_in_any_order_of_adding_up(pairs: list[tuple[int, int]], chance: random.Random) -> None:
    def counted(given_: list[tuple[int, int]]) -> sketches.Sketches:
        group, values = (
            np.array(column, dtype=np.int64) for column in ([g for g, _ in given_], [v for _, v in given_])
        )
        return sketches.count(group, sketches.buckets(values))

    whole, mixed = counted(pairs), chance.sample(pairs, len(pairs))
    cut = chance.randint(0, len(pairs))
    parts = [counted(mixed[cut:]), counted(mixed[:cut])]

    merged = sketches.count(*(np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS))

    for name in ARRAYS:
        assert getattr(merged, name).tobytes() == getattr(whole, name).tobytes()


@given(st.lists(st.tuples(st.integers(0, 3), VALUE)), st.lists(SHARE, max_size=3))
def test_quantiles_of_all_groups_at_once_are_those_of_each(pairs: list[tuple[int, int]], wanted: list[float]) -> None:
    group, values = (np.array(column, dtype=np.int64) for column in ([g for g, _ in pairs], [v for _, v in pairs]))
    found = sketches.count(group, sketches.buckets(values))

    assert found.quantiles(5, wanted) == [each.quantiles(wanted) for each in found.of(5)]


def test_many_groups_that_lie_far_apart_are_counted_without_filling_the_gaps() -> None:
    group, bucket = np.array([10**9, 3, 10**9], dtype=np.int64), np.array([5, -7, 5], dtype=np.int64)

    found = sketches.count(group, bucket)
    again = sketches.count(found.group, found.bucket, found.count)

    assert found.group.tolist() == again.group.tolist() == [3, 10**9]
    assert found.count.tolist() == again.count.tolist() == [1, 2]


def test_each_value_lies_within_the_ends_of_its_bucket() -> None:
    values = [0, 1, -1, 25, 26, 27, 65535, 65536, 10**12, -(10**12), 2**63 - 1, -(2**63)]

    for value, bucket in zip(values, sketches.buckets(np.array(values, dtype=np.int64)).tolist(), strict=True):
        low, high = sketches.ends(bucket)
        assert low <= value <= high


def test_how_many_values_are_at_most_so_large() -> None:
    assert [one([1, 2, 2, 3]).at_most(value) for value in (0, 2, 3, 99)] == [0, 3, 4, 4]


def test_no_values_have_no_quantile() -> None:
    empty = one([])

    assert empty.n == 0
    assert empty.quantile(0.5) is None
